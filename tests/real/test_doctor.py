"""doctor finds problems, says how to repair them, and changes nothing."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from container_pipeline.__main__ import main
from container_pipeline.model import local_time
from lab import ask
from lab.handle import Lab, Server
from lab.registry import Registry

Doctor = Callable[..., dict[str, Any]]


@pytest.fixture
def doctor(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """doctor(*options, **environment) → the JSON answer; no registry and no server but those that are given."""
    monkeypatch.setattr("container_pipeline.commands.start.doctor.DEADLINE", 60.0)
    for name, value in lab.environment(LC_ALL="C").items():
        monkeypatch.setenv(name, value)
    for name in ("DOCKER_REGISTRY", "DOCKER_REGISTRY_PROD", "CONTAINER_PIPELINE_SERVERS", "JENKINS_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(*options: str, **environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main(["doctor", "--json", "--project", str(tmp_path), *options])
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert answer["exit_code"] == code
        return answer

    return call


def failed(answer: dict[str, Any], group: str = "") -> list[tuple[str, str]]:
    """Return (text, repair) of each failed check, optionally of one group."""
    return [
        (check["text"], check["repair"]) for check in answer["checks"] if not check["ok"] and group in check["group"]
    ]


def registry(one: Registry, password: str = "") -> dict[str, str]:
    return {
        "DOCKER_REGISTRY": one.address,
        "DOCKER_REGISTRY_USER": one.user,
        "DOCKER_REGISTRY_PASS": password or one.password,
    }


def test_nothing_is_missing_in_the_lab(lab: Lab, doctor: Doctor, code: str):
    servers = [word for server in lab.servers for word in ("--server", server.name)]
    answer = doctor("--code", code, *servers, **registry(lab.development))
    assert failed(answer) == []
    assert answer["ok"]
    groups = {check["group"] for check in answer["checks"]}
    assert groups >= {"this machine", f"development registry {lab.development.address}", "server-1", "server-2"}


def test_every_failure_has_its_repair(doctor: Doctor, registry_factory: Callable[..., Registry]):
    stopped = registry_factory()
    stopped.stop()
    answer = doctor("--server", "nobody.invalid", **registry(stopped), DOCKER_HOST="unix:///nowhere/docker.sock")
    assert not answer["ok"]
    assert answer["error"]["category"] == "checks"
    assert {check["group"].split(" ")[0] for check in answer["checks"] if not check["ok"]} == {
        "this", "development", "nobody.invalid",
    }  # fmt: skip
    assert all(repair for _text, repair in failed(answer))


def test_doctor_tries_a_push_and_leaves_no_trace(doctor: Doctor, registry_factory: Callable[..., Registry], code: str):
    one = registry_factory()
    answer = doctor("--code", code, **registry(one))
    assert f"it accepts a push to {code}" in [check["text"] for check in answer["checks"]]
    assert ask.tags(one, code) == []
    # distribution remembers of a cancelled upload that it hashed nothing; what makes it a living one is gone.
    left = {path.name for path in one.folder.rglob("*") if path.is_file() and "/_uploads/" in str(path)}
    assert "startedat" not in left
    assert "data" not in left


def test_a_registry_that_takes_no_push_is_found(doctor: Doctor, registry_factory: Callable[..., Registry], code: str):
    answer = doctor("--code", code, **registry(registry_factory(readonly=True)))
    assert len(failed(answer, "development")) == 1


def test_a_wrong_password_is_found_and_not_repeated(doctor: Doctor, lab: Lab, code: str):
    answer = doctor("--code", code, **registry(lab.development, password="wr0ng-passw0rd"))
    assert len(failed(answer, "development")) == 1
    assert "wr0ng" not in json.dumps(answer)


def test_the_login_that_servers_pull_with_is_tried(doctor: Doctor, lab: Lab, code: str):
    one = lab.development
    pull = {"DOCKER_REGISTRY_PULL_USER": one.user, "DOCKER_REGISTRY_PULL_PASS": one.password}
    answer = doctor("--code", code, **registry(one), **pull)
    assert "it accepts the login that servers pull with" in [check["text"] for check in answer["checks"]]
    answer = doctor("--code", code, **registry(one), **{**pull, "DOCKER_REGISTRY_PULL_PASS": "wr0ng-passw0rd"})
    ((_text, repair),) = failed(answer, "development")
    assert repair == "check DOCKER_REGISTRY_PULL_USER and DOCKER_REGISTRY_PULL_PASS"
    assert "wr0ng" not in json.dumps(answer)


def test_without_a_registry_the_variable_is_named(doctor: Doctor):
    assert failed(doctor()) == [
        ("DOCKER_REGISTRY is not set", "set DOCKER_REGISTRY in /etc/profile or as a Jenkins credential")
    ]


def test_a_host_key_that_nobody_knows_is_found(lab: Lab, doctor: Doctor, tmp_path: Path):
    (tmp_path / "known_hosts").write_text("")
    answer = doctor("--server", "server-1", CONTAINER_PIPELINE_KNOWN_HOSTS=str(tmp_path / "known_hosts"))
    ((text, repair),) = failed(answer, "server-1")
    assert "host key" in text
    assert repair


@pytest.mark.parametrize(
    ("given", "text", "repair"),
    [
        ({"engine": "none"}, "Docker is missing", "sudo apt-get install docker.io"),
        ({"engine": "server-1", "compose": "none"}, "Compose is missing", "sudo apt-get install docker-compose"),
    ],
)
def test_what_a_server_lacks_is_found(
    doctor: Doctor, server_factory: Callable[..., Server], given: dict[str, str], text: str, repair: str
):
    server = server_factory(**given)
    answer = doctor("--server", server.name, CONTAINER_PIPELINE_SSH_CONFIG=str(server.ssh_config))
    [found] = [found for told, found in failed(answer, server.name) if told == text]
    # Ubuntu's package has a longer name.
    assert found.startswith(f"ssh {server.name} {repair}")


def test_who_holds_the_lock_is_told(doctor: Doctor, server_factory: Callable[..., Server], code: str):
    server = server_factory(engine="server-1")
    folder = f"/docker/compose/{code}"
    server.run(f"mkdir -p {folder} && echo 'ada|2026-11-24T09:30:15Z|20261124093015' > {folder}/.lock")
    command = [
        "/usr/bin/ssh",
        "-F",
        str(server.ssh_config),
        f"root@{server.name}",
        f"flock {folder}/.lock sh -c 'echo held; exec sleep 60'",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        answer = doctor("--code", code, "--server", server.name, CONTAINER_PIPELINE_SSH_CONFIG=str(server.ssh_config))
        holder.kill()
    assert [text for text, _repair in failed(answer, server.name)] == [
        f"a run is changing it: ada has held it since {local_time('2026-11-24T09:30:15Z')}, for version 20261124093015"
    ]


def test_a_jenkins_that_is_away_is_found(doctor: Doctor):
    answer = doctor(JENKINS_URL="http://127.0.0.1:9", JENKINS_USER="ada", JENKINS_TOKEN="t0ken-of-ada")
    assert len(failed(answer, "Jenkins")) == 1
    assert "t0ken-of-ada" not in json.dumps(answer)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_unresponsive_server_does_not_delay_checks_of_others(doctor: Doctor, silent: int):
    answer = doctor("--server", f"127.0.0.1:{silent}", "--server", "server-1")
    assert len(failed(answer, f"127.0.0.1:{silent}")) == 1
    assert failed(answer, "server-1") == []


def test_a_check_that_never_ends_is_given_up(doctor: Doctor, silent: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("container_pipeline.commands.start.doctor.DEADLINE", 0.5)
    answer = doctor(DOCKER_REGISTRY=f"127.0.0.1:{silent}")
    assert any("no response within" in text for text, _repair in failed(answer, "development"))


def test_doctor_finds_compose_variables_set_by_login_shell(doctor: Doctor, server_factory: Callable[..., Server]):
    server = server_factory(engine="server-1")
    server.run("echo 'export COMPOSE_FILE=other.yml VERSION=6.6.6 COMPOSE_PROFILES=' >/root/.bashrc")
    answer = doctor("--server", server.name, CONTAINER_PIPELINE_SSH_CONFIG=str(server.ssh_config))
    # On a busy machine another check may have had no time.
    texts = [text for text, _repair in failed(answer, server.name)]
    assert any(text.startswith("the login shell sets COMPOSE_FILE, VERSION, ") for text in texts), texts
    assert "6.6.6" not in json.dumps(answer)
