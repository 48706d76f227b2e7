"""doctor judges a server's facts; each problem has the command that repairs it, with the server's name and port."""

from __future__ import annotations

import pytest

from container_pipeline.__main__ import main
from container_pipeline.keys import Values
from container_pipeline.model import Target, local_time
from container_pipeline.plan.doctor import Check, server

GOOD = {
    "clock": "1000",
    "flock": "yes",
    "client": "yes",
    "docker": "24.0.7",
    "compose": "2.40.3",
    "writable": "yes",
    "space": "50000000",
}
TARGET = Target("web-1.example", user="deploy", port=2222)


def judge(mode: str = "compose", **changed: str | None) -> list[Check]:
    facts = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    return server(TARGET, facts, 1001.0, Values(mode=mode))


def test_a_healthy_server_has_no_failures_or_repairs():
    checks = judge()
    assert all(check.ok for check in checks)
    assert not any(check.repair for check in checks)
    assert {check.group for check in checks} == {"web-1.example:2222"}


@pytest.mark.parametrize(
    ("changed", "text", "repair"),
    [
        ({"docker": None, "client": None}, "Docker is missing", "sudo apt-get install docker.io"),
        (
            {"docker": None, "refused": "permission denied while trying to connect"},
            "this user may not use Docker: permission denied while trying to connect",
            "'sudo usermod -aG docker $(id -un)'",
        ),
        (
            {"docker": None, "refused": "Cannot connect to the Docker daemon"},
            "Docker does not respond: Cannot connect to the Docker daemon",
            "sudo systemctl start docker",
        ),
        ({"docker": None, "frozen": "yes"}, "the Docker engine does not respond", "sudo systemctl restart docker"),
        ({"compose": None}, "Compose is missing", "sudo apt-get install docker-compose-plugin"),
        ({"flock": None}, "flock is missing", "sudo apt-get install util-linux"),
        (
            {"writable": None},
            "the project folder is not writable",
            "'sudo install -d -o $(id -un) /docker/compose'",
        ),
        ({"space": "900000"}, "0.9 GB are free", "'docker builder prune -f; docker image prune -f'"),
        ({"clock": "400"}, "the clock differs by 601 s", "sudo systemctl restart systemd-timesyncd"),
    ],
)
def test_a_fault_is_told_with_its_repair(changed, text, repair):
    faults = [check for check in judge(**changed) if not check.ok]
    assert [(check.text, check.repair) for check in faults] == [(text, f"ssh -p 2222 deploy@web-1.example {repair}")]


def test_a_swarm_needs_a_manager_and_no_compose():
    good = judge("swarm", compose=None, manager="yes")
    assert "it is a Docker Swarm manager" in [check.text for check in good]
    assert all(check.ok for check in good)
    (fault,) = [check for check in judge("swarm") if not check.ok]
    assert fault.text == "it is not a Docker Swarm manager"
    assert fault.repair.startswith("use a manager, or run `docker swarm init` there")


def test_doctor_reports_unexpected_errors_without_a_traceback(monkeypatch, tmp_path, capsys):
    def fall_over(*_arguments):
        raise ValueError("a fault of doctor's own")

    monkeypatch.setattr("container_pipeline.commands.start.doctor._engine", fall_over)
    monkeypatch.setenv("LC_ALL", "C")
    assert main(["doctor", "--project", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "✗ unexpected error: ValueError: a fault of doctor's own" in shown.out
    assert "no response within" not in shown.out
    assert "Traceback" not in shown.err


def test_a_held_lock_is_told_with_its_holder():
    (fault,) = [check for check in judge(lock="ada|2026-11-24T09:30:15Z|20261124093015") if not check.ok]
    assert (
        fault.text
        == f"a run is changing it: ada has held it since {local_time('2026-11-24T09:30:15Z')}, for version 20261124093015"
    )


def test_unknown_server_facts_are_not_failures():
    assert all(check.ok for check in judge(space=None, clock=None))


def test_a_check_shows_its_mark_then_its_repair():
    assert str(Check("web", True, "ssh is there")) == "  ✓ ssh is there"
    assert str(Check("web", False, "no ssh", "apt-get install ssh")) == "  ✗ no ssh\n      → apt-get install ssh"


def test_doctor_reports_variables_set_by_the_login_shell():
    (fault,) = [check for check in judge(**{"by-hand": "COMPOSE_FILE VERSION"}) if not check.ok]
    assert fault.text.startswith("the login shell sets COMPOSE_FILE, VERSION, ")
    assert "/etc/environment" in fault.repair
