"""A workbench for our command and docker.sh: a project, with its own names in the engine and both registries."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import docker
import pytest

from container_pipeline.__main__ import main
from lab import ask
from lab.handle import Lab
from lab.registry import Registry
from real.convention import Given, World

V = "20201124093015"
SCRIPT = os.environ.get("DOCKER_SH", "")
#: The original holds the convention's table, not us.
SIDES = ["ours", *([pytest.param("docker.sh", marks=pytest.mark.matrix)] if SCRIPT else [])]


class Workbench:
    """One side's engine names, registries (a repository of its own in each) and project."""

    def __init__(self, lab: Lab, folder: Path, namespace: str) -> None:
        self.lab, self.folder = lab, folder
        self.engine = docker.APIClient(lab.docker_host, version="auto")
        self.code = f"test-{secrets.token_hex(5)}-re"
        self.repository = f"{namespace}/{self.code}" if namespace else self.code
        self.places = {"dev": lab.development, "prod": lab.production}
        self.environment = {"PATH": lab.environment()["PATH"], "HOME": str(folder.parent), "LC_ALL": "C.UTF-8"}
        self.environment.update({n: v for n, v in lab.environment().items() if n.startswith("DOCKER_")})
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f'FROM {lab.small_image}\nADD marker /\nCMD ["true"]\n')
        (folder / "marker").write_text(self.code)
        self.ids: dict[str, str] = {}

    def name(self, key: str) -> str:
        place, _colon, tag = key.partition(":")
        return f"{self.places[place].address}/{self.repository}:{V if tag == 'V' else tag}"

    def prepare(self, given: Given) -> None:
        """Create the state before the command."""
        for kind, names in (("built", given.engine), ("old", given.old)):
            if names:
                self.ids[kind] = self.make(kind)
                for key in names:
                    self.engine.tag(self.ids[kind], *self.name(key).rsplit(":", 1))
        for key in given.pushed:
            place = self.places[key.partition(":")[0]]
            login = {"username": place.user, "password": place.password}
            pushed = self.engine.push(*self.name(key).rsplit(":", 1), auth_config=login)
            assert "errorDetail" not in pushed
        if given.built:
            (self.folder / ".docker_build_image").write_text(self.repository + "\n")
            (self.folder / ".docker_build_version").write_text(V + "\n")

    def make(self, kind: str) -> str:
        """Create an image as fast as possible; return its id."""
        labels = {"kind": f"{self.code} {kind}"}
        container = self.engine.create_container(self.lab.small_image, ["true"], labels=labels)["Id"]
        image = str(self.engine.commit(container)["Id"])
        self.engine.remove_container(container)
        return image

    def world(self, exit_code: int) -> World:
        """Return the current state."""
        version = self.version()
        tags = {V: "given" if version not in ("", V) else "V", version: "V", "latest": "latest"}
        engine, registries = {}, {}
        for key, place in self.places.items():
            for image in self.engine.images(f"{place.address}/{self.repository}"):
                for name in image["RepoTags"]:
                    if name.startswith(f"{place.address}/"):
                        engine[f"{key}:{tags[name.rpartition(':')[2]]}"] = self.kind(image["Id"])
            for tag in ask.tags(place, self.repository):
                registries[f"{key}:{tags[tag]}"] = self.kind(self.config(place, tag))
        known = {"": "", V: "given"}
        return World(engine, registries, known.get(version, "new"), exit_code)

    def version(self) -> str:
        path = self.folder / ".docker_build_version"
        if not path.exists():
            return ""
        assert (self.folder / ".docker_build_image").read_text() == self.repository + "\n"
        return path.read_text().removesuffix("\n")

    def kind(self, image: str) -> str:
        return next((kind for kind, known in self.ids.items() if known == image), "new")

    def config(self, place: Registry, tag: str) -> str:
        manifest = json.loads(ask.registry(place, "GET", f"/v2/{self.repository}/manifests/{tag}").body)
        return str(manifest["config"]["digest"])

    def clean(self) -> None:
        for place in self.places.values():
            for image in self.engine.images(f"{place.address}/{self.repository}"):
                for name in image["RepoTags"] or ():
                    if self.repository in name:
                        self.engine.remove_image(name, force=True)
        self.engine.close()


@contextmanager
def port_80() -> Iterator[None]:
    """One at a time: `run` publishes port 80."""
    with open("/tmp/container-pipeline-port-80.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lacking(bench: Workbench, *names: str) -> Iterator[None]:
    """Take settings away from the bench's environment for a while."""
    kept = dict(bench.environment)
    for name in names:
        del bench.environment[name]
    yield
    bench.environment.update(kept)


def call(side: str, bench: Workbench, command: str, monkeypatch: pytest.MonkeyPatch, namespace: str = "") -> int:
    """Run one command with nothing but the bench's environment; return its exit code."""
    with port_80() if command == "run" else nullcontext():
        if side == "docker.sh":
            return docker_sh(bench, command, namespace)
        for name in list(os.environ):
            if name.startswith(("DOCKER_", "CONTAINER_PIPELINE_")):
                monkeypatch.delenv(name)
        for name, value in bench.environment.items():
            monkeypatch.setenv(name, value)
        options = ["--namespace", namespace] if namespace else []
        return main([command, bench.code, "--project", str(bench.folder), *options])


def docker_sh(bench: Workbench, command: str, namespace: str) -> int:
    """Run a copy of the script in the project, which it is reached in without a blank: it breaks on those."""
    text = Path(SCRIPT).read_text(encoding="utf-8").replace('BUILD_NAMESPACE=""', f'BUILD_NAMESPACE="{namespace}"')
    script = bench.folder / "docker.sh"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["bash", str(script), command, bench.code], env=bench.environment, capture_output=True, check=False, text=True
    )
    print(done.stdout, done.stderr)
    return done.returncode
