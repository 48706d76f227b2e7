"""Builds on a real engine, by both builders."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import docker.errors
import pytest

from lab import ask
from lab.registry import Registry
from real.agent import Agent
from real.builds.helpers import built, content, settings, write


def test_each_build_is_recorded_and_runs_its_steps(agent, engine, builder):
    """Steps run again unless the cache is enabled."""
    write(agent, Dockerfile="FROM busybox:latest\nRUN head -c 8 /dev/urandom | od -An -tx1 > /random\n")
    versions, texts = [], []

    def build() -> None:
        outcome = agent("build", "--json")
        assert outcome.code == 0, outcome.err
        assert (agent.folder / ".docker_build_image").read_text() == f"{agent.code}\n"
        record = json.loads((agent.folder / ".docker_build.json").read_text())
        assert record["image_id"] == engine.inspect_image(built(agent))["Id"]
        assert outcome.result["version"] == record["version"]
        versions.append(record["version"])
        texts.append(content(engine, built(agent), "/random"))

    build()
    build()
    settings(agent, cache=True)
    build()
    build()
    assert versions == sorted(set(versions))
    assert texts[0] != texts[1]
    assert texts[2] == texts[3]


def test_failing_step_shows_last_lines_and_exit_code(agent, builder):
    write(agent, Dockerfile="FROM busybox:latest\nRUN echo fine\nRUN for n in 1 2 3; do echo line $n; done; exit 9\n")
    outcome = agent("build", "-q")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    *lines, sentence = outcome.err.splitlines()
    assert [line for line in lines if line.startswith("line")][-3:] == ["line 1", "line 2", "line 3"]
    assert "RUN for n in 1 2 3; do echo line $n; done; exit 9: exit code 9" in sentence
    assert list(agent.folder.glob(".docker_build*")) == []
    # A mistake in the Dockerfile is one sentence.
    write(agent, Dockerfile="FORM busybox:latest\n")
    outcome = agent("build", "-q")
    assert outcome.code == 1
    assert "FORM" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_build_reports_missing_dockerfile_before_contacting_the_engine(agent, monkeypatch):
    (agent.folder / "Dockerfile").unlink()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    outcome = agent("build")
    assert outcome.code == 1
    assert f"{agent.folder}/Dockerfile does not exist" in outcome.err


def test_build_reports_an_unreachable_engine_in_one_sentence(agent, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    outcome = agent("build")
    assert outcome.code == 1
    assert "the Docker engine cannot be reached" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_arguments_labels_and_annotations_reach_the_image(agent, engine, builder, monkeypatch):
    for command in ("init -q", "-c user.name=A -c user.email=a@example commit -q --allow-empty -m x"):
        subprocess.run(["git", "-C", str(agent.folder), *command.split()], check=True)
    head = subprocess.run(
        ["git", "-C", str(agent.folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    write(agent, Dockerfile='FROM busybox:latest\nARG INDEX\nRUN echo "$INDEX" > /index\n')
    settings(agent, build_args={"INDEX": "https://pypi.example/simple?a=b c"}, labels={"team": "web"})
    assert agent("build").code == 0
    labels = engine.inspect_image(built(agent))["Config"]["Labels"]
    assert labels["team"] == "web"
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["org.opencontainers.image.version"] == built(agent).rpartition(":")[2]
    assert labels["org.opencontainers.image.created"].endswith("Z")
    assert content(engine, built(agent), "/index") == {"": "https://pypi.example/simple?a=b c\n"}


def test_build_step_reads_a_secret_the_image_omits(agent, engine):
    write(
        agent,
        token="very secret",
        Dockerfile="# syntax\nFROM busybox:latest\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /size\n",
    )
    settings(agent, secrets={"token": "token"})
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    assert "BuildKit" in outcome.err
    assert content(engine, built(agent), "/size")[""].split()[0] == "11"
    assert b"very secret" not in b"".join(engine.get_image(built(agent)))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"builder": "engine", "secrets": {"a": "Dockerfile"}}, "`secrets:` needs BuildKit"),
        ({"secrets": {"a": "missing"}}, "secret a:"),
        ({"context": "missing"}, "build context"),
    ],
)
def test_what_no_builder_can_do_is_refused(agent, keys, sentence):
    settings(agent, **keys)
    outcome = agent("build")
    assert outcome.code == 1
    assert sentence in outcome.err.splitlines()[-1]


def test_build_refuses_several_platforms_without_buildx(agent, tmp_path, monkeypatch):
    """The client of Docker 20.10 supports BuildKit itself, for one platform at a time."""
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = build ] && echo "  --secret stringArray"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    settings(agent, platforms=["linux/amd64", "linux/arm64"])
    outcome = agent("build")
    assert outcome.code == 1
    assert "several platforms need docker's buildx component" in outcome.err.splitlines()[-1]


@pytest.mark.parametrize("client", ["none", "without buildx"])
def test_build_uses_the_engine_if_client_lacks_buildkit(agent, tmp_path, monkeypatch, client):
    (tmp_path / "bin").mkdir()
    if client != "none":
        # Docker 28's message without its buildx component.
        program = tmp_path / "bin" / "docker"
        program.write_text(
            "#!/bin/sh\necho 'ERROR: BuildKit is enabled but the buildx component is missing' >&2\nexit 1\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    assert "builder: the engine's own" in outcome.err
    settings(agent, builder="buildkit")
    assert "BuildKit is needed" in agent("build").err


def test_simultaneous_builds_get_different_versions(agent, tmp_path, engine):
    projects = [tmp_path / name for name in ("one", "two", "three")]
    for project in projects:
        project.mkdir()
        (project / "Dockerfile").write_text("FROM busybox:latest\n")
    environment = {**os.environ, "CONTAINER_PIPELINE_CODE": agent.code, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "container_pipeline", "build", "-q", "--project"]
    running = [subprocess.Popen([*command, str(project)], env=environment) for project in projects]
    assert [child.wait() for child in running] == [0, 0, 0]
    versions = {(project / ".docker_build_version").read_text() for project in projects}
    assert len(versions) == 3


def test_push_names_the_command_that_repairs_broken_state(agent):
    assert agent("build").code == 0
    for text in ("", "20261124093015\r\n", "../../etc\n"):
        (agent.folder / ".docker_build_version").write_bytes(text.encode())
        outcome = agent("push")
        assert outcome.code == 1, text
        assert "container-pipeline build" in outcome.err, text
    assert agent("build").code == 0
    assert agent("push").code == 0


def test_pipeline_dry_run_prints_plan_and_changes_nothing(agent, engine, development):
    outcome = agent("pipeline", "--dry-run")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["build", "push", "tag", "point"]
    assert list(agent.folder.glob(".docker_build*")) == []
    assert engine.images(f"{development.address}/{agent.code}") == []
    assert ask.tags(development, agent.code) == []


def guarded_base(agent: Agent, engine: docker.APIClient, registry: Registry) -> str:
    """Put an image into a registry with a login; return its name with tag 1."""
    base = f"{registry.address}/{agent.code}-base"
    engine.tag("busybox:latest", base, "1")
    login = {"username": registry.user, "password": registry.password}
    assert "errorDetail" not in engine.push(base, "1", auth_config=login)
    engine.remove_image(f"{base}:1")
    return base


def test_build_pulls_private_base_image_without_keeping_login(
    agent, engine, builder, development: Registry, tmp_path, monkeypatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    base = guarded_base(agent, engine, development)
    write(agent, Dockerfile=f"FROM {base}:1\nRUN true\n")
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    with contextlib.suppress(docker.errors.ImageNotFound):  # BuildKit keeps no name for it
        engine.remove_image(f"{base}:1", force=True)
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "versions" not in path.parts]
    assert [path for path in kept if path.name != ".buildNodeID"] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def interrupted(agent: Agent, sent: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """Build in another process and end it in its long step; return exit code and output."""
    child = subprocess.Popen(
        [sys.executable, "-m", "container_pipeline", "build", "--project", str(agent.folder)],
        env={**os.environ, "CONTAINER_PIPELINE_CODE": agent.code, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr
    watchdog = threading.Timer(60, child.kill)
    watchdog.start()
    said = ""
    for line in child.stderr:
        said += line
        if "sleep 60" in line:
            child.send_signal(sent)
            break
    said += child.stderr.read()
    code = child.wait()
    watchdog.cancel()
    return code, said


def test_an_interrupted_build_leaves_no_version(agent, builder):
    write(agent, Dockerfile="FROM busybox:latest\nRUN sleep 60\n")
    code, said = interrupted(agent)
    assert code == 143, said
    assert "terminated" in said
    assert list(agent.folder.glob(".docker_build*")) == []


def state(stat: Path) -> str:
    """Return the state of a process, as ps shows it; "" once it is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_interrupted_build_kills_unresponsive_client_and_its_plugins(agent, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$2" = --help ] && { echo "  --secret stringArray"; exit; }\n'
        f"trap '' TERM\nsleep 60 &\necho $! > {tmp_path}/plugin\necho '#5 [1/1] RUN sleep 60'\nwait\nwait\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    code, said = interrupted(agent)
    assert code == 143, said
    # Killed, it may take a moment to end: until it is gone, or a zombie that only waits for its new parent to notice.
    plugin, end = Path(f"/proc/{(tmp_path / 'plugin').read_text().strip()}/stat"), time.monotonic() + 10
    while state(plugin) not in ("", "Z"):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_one_other_platform_needs_no_buildx(agent, engine):
    write(agent, Dockerfile="FROM scratch\nCOPY Dockerfile /\n")
    settings(agent, platforms=["linux/arm64"])
    outcome = agent("build")
    assert outcome.code == 0, outcome.err
    assert engine.inspect_image(built(agent))["Architecture"] == "arm64"


def test_a_killed_build_leaves_its_login_nowhere(agent, engine, development: Registry, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", "buildkit")
    write(agent, Dockerfile=f"FROM {guarded_base(agent, engine, development)}:1\nRUN sleep 5; : sleep 60\n")
    assert interrupted(agent, signal.SIGKILL)[0] == -signal.SIGKILL
    login = base64.b64encode(f"{development.user}:{development.password}".encode())
    left = [path for folder in (tmp_path, Path("/dev/shm")) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in left if login in path.read_bytes()] == []


def test_user_credential_helper_never_receives_our_passwords(agent, engine, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTAINER_PIPELINE_BUILDER", "engine")
    monkeypatch.setenv("AWS_PROFILE", "the helper's own")
    helper = tmp_path / "docker-credential-test"
    helper.write_text(f"#!/bin/sh\n/usr/bin/env > {tmp_path}/seen\necho '{{}}'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "home/.docker").mkdir()
    (tmp_path / "home/.docker/config.json").write_text('{"credsStore": "test"}')
    assert agent("build").code == 0
    seen = (tmp_path / "seen").read_text()
    assert "AWS_PROFILE=the helper's own" in seen
    assert not any(os.environ[name] in seen for name in ("DOCKER_REGISTRY_PASS", "DOCKER_REGISTRY_PROD_PASS"))
