"""doctor judges a server's facts; each problem has the command that repairs it, with the server's name and port."""

from __future__ import annotations

from container_pipeline.__main__ import main
from container_pipeline.keys import Values
from container_pipeline.model import Target, local_time
from container_pipeline.plan.doctor import Check, server
from unit.table import table

GOOD = {
    "clock": "1000",
    "flock": "yes",
    "client": "yes",
    "docker": "24.0.7",
    "community": "yes",
    "compose": "2.40.3",
    "plugin": "/usr/libexec/docker/cli-plugins/docker-compose",
    "os": 'ID=debian VERSION_ID="12"',
    "writable": "yes",
    "space": "50000000",
}
TOO_OLD = "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client"
BY_HAND = "/usr/local/lib/docker/cli-plugins/docker-compose"
TARGET = Target("web-1.example", user="deploy", port=2222)


def judge(mode: str = "compose", **changed: str | None) -> list[Check]:
    facts = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    return server(TARGET, facts, 1001.0, Values(mode=mode))


def test_a_healthy_server_has_no_failures_or_repairs():
    checks = judge()
    assert all(check.ok for check in checks)
    assert not any(check.repair for check in checks)
    assert {check.group for check in checks} == {"web-1.example:2222"}


@table(
    ("changed", "text", "repair"),
    [
        (
            {"docker": None, "client": None, "community": None},
            "Docker is missing",
            "sudo apt-get install docker.io",
        ),
        (
            {"docker": None, "client": None, "os": "ID=unknown"},
            "Docker is missing",
            "install it as https://docs.docker.com/engine/install/ says",
        ),
        (
            {"docker": "17.03.2-ce"},
            "Docker 17.03.2-ce is too old: the oldest that works is 18.06",
            "sudo apt-get install docker-ce",
        ),
        (
            {"docker": None, "refused": f"Error response from daemon: {TOO_OLD}"},
            f"the docker command cannot talk to the engine: Error response from daemon: {TOO_OLD}",
            "sudo apt-get install docker-ce-cli",
        ),
        (
            {"docker": "29.0.4", "compose": "1.29.2", "plugin": None, "mute": TOO_OLD},
            f"Compose 1.29.2 cannot talk to Docker 29.0.4: {TOO_OLD}",
            "sudo apt-get install docker-compose-plugin",
        ),
        (
            {
                "docker": "29.0.4",
                "compose": "2.23.3",
                "os": "ID=rocky ID_LIKE='rhel fedora' VERSION_ID=9.4",
                "mute": TOO_OLD,
            },
            f"Compose 2.23.3 cannot talk to Docker 29.0.4: {TOO_OLD}",
            "sudo dnf upgrade docker-compose-plugin",
        ),
        (
            {"docker": "29.0.4", "compose": "2.5.0", "plugin": BY_HAND, "mute": TOO_OLD},
            f"Compose 2.5.0 cannot talk to Docker 29.0.4: {TOO_OLD}",
            f"'sudo rm {BY_HAND} && sudo apt-get install docker-compose-plugin'",
        ),
        (
            {"compose": "1.18.0", "plugin": None},
            "Compose 1.18.0 is too old: the oldest that works is 1.29",
            "sudo apt-get install docker-compose-plugin",
        ),
        ({"compose": None, "plugin": None}, "Compose is missing", "sudo apt-get install docker-compose-plugin"),
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
    told = repair if repair.startswith("install it") else f"ssh -p 2222 deploy@web-1.example {repair}"
    assert [(check.text, check.repair) for check in faults] == [(text, told)]


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
