"""`make demo`: the Jenkinsfile's one call on the example project, end to end: twice with success, once with a fault in the service."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools import pack

from groovy.jenkins import Jenkins, Run
from lab import ask
from lab.describe import variables
from lab.handle import Lab
from lab.place import home
from lab.up import bring_up

ROOT = Path(__file__).parents[2]
CODE = "aglaia-web-re"
JENKINSFILE = (ROOT / "Jenkinsfile.example").read_text(encoding="utf-8")


def main() -> int:
    lab = Lab(bring_up(home()))
    folder = lab.home / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    repository = folder / "repository"
    shutil.copytree(ROOT / "examples" / CODE, repository)
    # For a person who types commands there; the Jenkinsfile's call has the code itself.
    (repository / "container-pipeline.yml").write_text(f"code: {CODE}\n")
    (repository / "Jenkinsfile").write_text(JENKINSFILE)
    git(repository, "init", "-q")
    commit(repository, "The first version")
    # The agent from the current sources, instead of the committed one.
    pack.build(folder / "resources" / "container-pipeline")
    jenkins = Jenkins(folder / "jenkins")
    try:
        title("The Jenkinsfile's one call")
        if not build(lab, jenkins, folder):
            return 1
        change(repository, "Greet in other words", '"Hello"', '"Hello again"')
        title("The same call after a one-line change")
        if not build(lab, jenkins, folder):
            return 1
        change(repository, "Use a module that is not installed", "import os\n", "import os\nimport redis\n")
        title("The same call after a change that breaks the service: the servers keep what they run")
        if not build(lab, jenkins, folder, "FAILURE"):
            return 1
        change(repository, "Without that module", "import redis\n", "")
    finally:
        jenkins.close()
    title("Look around")
    print(f"  . {lab.home}/env.sh; cd {repository}; container-pipeline status")
    print("  make demo-down     removes all of it")
    return 0


def build(lab: Lab, jenkins: Jenkins, folder: Path, result: str = "SUCCESS") -> bool:
    """Run the Jenkinsfile, and print how it ended; return whether that is ``result``."""
    print(JENKINSFILE.strip(), end="\n\n", flush=True)
    run = jenkins.run(
        JENKINSFILE,
        on_line=lambda line: print(f"  {line}", flush=True),
        resources=[folder / "resources", ROOT / "resources"],
        scm=folder / "repository",
        job=CODE,
        node=node(lab, folder),
        credentials={},
    )
    if run.result != result:
        print(f"\nThe build ended as {run.result}.")
        return False
    tell(lab, run)
    return True


def node(lab: Lab, folder: Path) -> dict[str, str]:
    """Return a build node's environment: the lab's variables, as from /etc/profile, and a PATH with three programs.

    Settings in the caller's environment are kept.
    """
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    for name, path in (("python3", "/usr/bin/python3"), ("docker", lab.bin / "docker"), ("ssh", lab.bin / "ssh")):
        if not (programs / name).exists():
            (programs / name).symlink_to(path)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    own = {name: value for name, value in os.environ.items() if name.startswith("CONTAINER_PIPELINE_")}
    return {**variables(lab.said), **own, "PATH": str(programs), "HOME": str(home)}


def tell(lab: Lab, run: Run) -> None:
    """Print the current state of registries and servers."""
    title("What registries, servers and the service say now")
    print(f"  build      {run.description}, {run.seconds:.1f} s, stages {', '.join(run.stage_names)}")
    for registry in (lab.development, lab.production):
        tags = ", ".join(ask.tags(registry, CODE))
        digest = ask.digest(registry, CODE, "latest")
        print(f"  registry   {registry.address}/{CODE}: {tags}\n             latest is {digest}")
    chosen = os.environ.get("CONTAINER_PIPELINE_SERVERS", "")
    for server in lab.servers:
        if chosen and server.name not in chosen:
            continue
        image = server.docker("inspect", "--format", "{{.Config.Image}}", CODE).strip()
        print(f"  server     {server.name} (Compose {server.compose}) runs {image}")
        print(f"             http://{server.host}:8080/ answers {server.get(8080)}")


def change(repository: Path, message: str, before: str, after: str) -> None:
    """Change one line of the service, and commit it."""
    app = repository / "app.py"
    app.write_text(app.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")
    commit(repository, message)


def commit(repository: Path, message: str) -> None:
    git(repository, "add", "-A")
    git(repository, "-c", "user.name=demo", "-c", "user.email=demo@localhost", "commit", "-qm", message)


def git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(repository), *arguments], check=True)


def title(text: str) -> None:
    print(f"\n── {text} " + "─" * max(0, 76 - len(text)), flush=True)


if __name__ == "__main__":
    sys.exit(main())
