"""Messages and leftovers of failed builds, and secrets that are never shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.watcher import ArgvWatcher
from real.cosign import Tools

pytestmark = pytest.mark.slow


@pytest.fixture
def call(company, node, project):
    company.equip(node)
    node.environment["CONTAINER_PIPELINE_SERVERS"] = "root@web-1"
    yield f"containerPipeline(code: '{project.code}', timeout: 15)"
    company.servers["web-1"].remove(project.code)


def running(company, project) -> str:
    return company.servers["web-1"].get(project.port)["version"]


def released(server, code: str) -> None:
    """Wait until what an abort left running on the server has gone back and let the lock go; fail where it does not."""
    lock = f"/docker/compose/{code}/.lock"
    server.run(f"test -e {lock} && flock --wait 30 {lock} true")


def test_an_aborted_or_unhealthy_deploy_rolls_back(build, company, project, call):
    first = build(call, scm=str(project.folder))
    assert first.result == "SUCCESS", first.log
    former = running(company, project)
    assert former in first.description

    project.report_health(False)
    slow = call.replace("timeout: 15", "timeout: 60")
    aborted = build(slow, scm=str(project.folder), abortAt=r"waiting|health")
    assert aborted.result == "ABORTED"
    assert "script returned exit code 143" in aborted.lines
    released(company.servers["web-1"], project.code)
    assert running(company, project) == former

    # The next deploy gets the lock.
    project.report_health(True)
    project.exit_at_once()
    run = build(call, scm=str(project.folder))
    assert run.result == "FAILURE"
    (error,) = [line for line in run.lines if line.startswith("ERROR")]
    assert error.startswith("ERROR: deploy: ")
    assert former in error
    assert "again" in error
    assert running(company, project) == former
    assert run.description.endswith(": deploy failed")
    page = (run.archive / f"container-pipeline-{project.code}.html").read_text()
    assert "cannot start: no database" in page


@pytest.mark.matrix
def test_an_unreachable_production_registry_prevents_the_deploy(build, company, project, call):
    first = build(call, scm=str(project.folder))
    assert first.result == "SUCCESS", first.log
    former = running(company, project)
    project.say("changed")

    def kill(line: str) -> None:
        if "(Push)" in line:
            company.production.stop()

    run = build.start(call, scm=str(project.folder), on_line=kill).wait()
    company.production.start()
    assert run.result == "FAILURE"
    assert run.stage_names == ["Build", "Push", "Promote"], run.log
    (error,) = [line for line in run.lines if line.startswith("ERROR")]
    assert company.production.address in error
    assert running(company, project) == former


@pytest.mark.parametrize(
    ("variable", "stage"),
    [
        ("DOCKER_REGISTRY", "Build"),
        pytest.param("DOCKER_REGISTRY_USER", "Push", marks=pytest.mark.matrix),
        pytest.param("DOCKER_REGISTRY_PROD_PASS", "Promote", marks=pytest.mark.matrix),
    ],
)
def test_a_missing_variable_is_named(build, node, project, call, variable, stage):
    del node.environment[variable]
    run = build(call, scm=str(project.folder))
    assert run.result == "FAILURE"
    assert run.stage_names[-1] == stage
    assert variable in next(line for line in run.lines if line.startswith("ERROR"))


def forms(secret: str) -> list[str]:
    """A secret as it is, in Base64 at each of the three places it can begin at, and URL-encoded."""
    encoded = [
        base64.b64encode(b" " * shift + secret.encode()).decode()[4 if shift else 0 :].rstrip("=")[:-2]
        for shift in (0, 1, 2)
    ]
    return [secret, quote(secret, safe=""), *encoded]


def test_no_secret_is_ever_shown_or_kept(build, company, node, project, jenkins, tmp_path, gotool):
    """Every credential comes from Jenkins; the production registry gets only what the project's key signed."""
    company.equip(node, logins=False, key=False)
    tools = Tools(gotool, tmp_path, project.code, password="canary-of-the-key")
    (node.bin / "cosign").symlink_to(gotool("cosign"))
    (project.folder / "cosign.pub").write_bytes((tools.folder / "cosign.pub").read_bytes())
    node.environment["CONTAINER_PIPELINE_VERIFY"] = "cosign.pub"
    credentials = company.credentials(own={"type": "file", "content": "ENV=prod\nTOKEN=canary-in-env\n", "name": "env"})
    key = company.lab.ssh_key.read_text().splitlines()[2]
    signing = (tools.folder / "cosign.key").read_text()
    credentials["signing"] = {"type": "file", "content": signing, "name": "cosign.key"}
    credentials["of-key"] = {"type": "string", "secret": "canary-of-the-key"}
    reader = company.production.add_user("reader")
    credentials["pull-login"] = {"type": "usernamePassword", "username": "reader", "password": reader}
    secrets = [company.development.password, company.production.password, reader, key, "canary-in-env"]
    secrets += ["canary-of-the-key", signing.splitlines()[2]]
    script = f"""containerPipeline(code: '{project.code}', servers: ['root@web-1'], credentials: [
        registry: 'registry-login', production: 'production-login', productionPull: 'pull-login', ssh: 'deploy-key',
        knownHosts: 'servers-known-hosts', env: 'own', sign: 'signing', signPassword: 'of-key'])"""
    with ArgvWatcher([form for secret in secrets for form in forms(secret)]) as watcher:
        run = build(script, scm=str(project.folder), credentials=credentials)
    assert run.result == "SUCCESS", run.log
    assert company.servers["web-1"].get(project.port)["env"] == "prod"
    assert watcher.seen == []
    kept = [
        jenkins.home / "workspace" / tmp_path.name,
        Path(f"{jenkins.home / 'workspace' / tmp_path.name}@tmp"),
        run.archive,
        node.home,
    ]
    cache = Path(node.environment["XDG_CACHE_HOME"])
    assert cache.is_dir()
    for secret in secrets:
        for form in forms(secret):
            assert form not in run.log
            assert not [
                path for folder in [*kept, cache] for path in files(folder) if form.encode() in path.read_bytes()
            ]
    company.servers["web-1"].remove(project.code)


def files(folder: Path) -> list[Path]:
    return [Path(root) / name for root, _folders, names in os.walk(folder) for name in names]


def test_that_test_would_see_a_secret(tmp_path):
    (tmp_path / "leak").write_text("auth: " + base64.b64encode(b"user:canary-secret").decode())
    assert [path for path in files(tmp_path) for form in forms("canary-secret") if form.encode() in path.read_bytes()]
