"""The same project as a stack of Docker Swarm, on two real engines."""

from __future__ import annotations

import json
import signal
import time

import pytest

from real.site import Site
from real.stacks import AT_ONCE, join, managed, services

pytestmark = pytest.mark.slow


@pytest.fixture
def swarm(site: Site, server_factory) -> Site:
    """Two managers, neither of which leads alone; the site is deployed to the first, two tasks of it."""
    manager, second = server_factory(compose="none"), server_factory(compose="none")
    managed(site, manager)
    join(manager, second, "manager")
    site.servers.append(second)
    text = (site.folder / "docker-compose.yml").read_text()
    # Published ports need the routing mesh, which is the kernel's and not ours to test.
    lines = [line for line in text.splitlines(keepends=True) if "ports:" not in line and "container_name" not in line]
    site.write("docker-compose.yml", "".join(lines) + AT_ONCE.replace("{", "{replicas: 2, ", 1))
    return site


def followed_until_ctrl_c(swarm: Site, words: str) -> None:
    """Follow the logs until the words come, and end that; nothing of it goes on on the server."""
    run = swarm.start("logs", "-f")
    assert run.stdout
    assert any(words in line for line in run.stdout)
    run.send_signal(signal.SIGINT)
    assert run.wait(10) == 130
    run.communicate()
    end = time.monotonic() + 10
    while swarm.servers[0].run(f"pgrep -af '[s]ervice logs.*{swarm.code}'", check=False):
        assert time.monotonic() < end
        time.sleep(0.2)


def files_of_one_node_are_refused(swarm: Site) -> None:
    """A file that a service mounts is refused before anything is touched: only one node would have it."""
    text = (swarm.folder / "docker-compose.yml").read_text()
    swarm.set("CONTAINER_PIPELINE_FILES", "page")
    swarm.write("page", "a page")
    swarm.write("docker-compose.yml", text.replace("    env_file:", '    volumes: ["./page:/page:ro"]\n    env_file:'))
    refused = swarm("deploy", "--version", swarm.publish())
    assert (refused.code, services(swarm)) == (1, set())
    assert "services mount page from `files:`, which only one node of the Swarm would have" in refused.err
    assert "use `configs:` or `secrets:`" in refused.err
    assert "a release" not in swarm.sh("ls -A releases .; echo a folder")
    swarm.unset("CONTAINER_PIPELINE_FILES")
    swarm.write("docker-compose.yml", text)


def without_a_leader_nothing_changes(swarm: Site, version: str) -> None:
    """Pull the second manager's plug: every command says what is missing."""
    before = swarm.sh("ls -A . releases; cat releases/.current")
    swarm.servers[1].box.stop()
    end = time.monotonic() + 60
    while not swarm.servers[0].docker("info", "-f", "{{.Swarm.Error}}").strip():
        assert time.monotonic() < end
        time.sleep(0.5)
    for command in (["deploy", "--version", version], ["status"], ["logs"], ["rollback"], ["doctor"]):
        told = swarm(*command)
        assert told.code == 1, (command, told.out, told.err)
        assert "the Swarm has no leader" in told.out + told.err, command
        assert "starting" not in told.err, command
    assert swarm.sh("ls -A . releases; cat releases/.current") == before


def test_stack_supports_deploy_status_logs_rollback_and_down(swarm: Site):
    manager = swarm.servers[0]
    assert "✓ it is a Docker Swarm manager" in swarm("doctor").out
    files_of_one_node_are_refused(swarm)
    first = swarm.deployed("healthy")
    tasks = manager.docker(
        "service",
        "ps",
        "--filter",
        "desired-state=running",
        "--format",
        "{{.Node}} {{.CurrentState}}",
        f"{swarm.code}_{swarm.code}",
    )
    assert len({line.split()[0] for line in tasks.splitlines()}) == 2
    image = manager.docker(
        "service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", f"{swarm.code}_{swarm.code}"
    ).strip()
    assert image == f"{swarm.registry.address}/{swarm.code}:{first}@{swarm.digest(first)}"

    state = swarm("status", "--json").result["servers"][0]
    assert (state["version"], state["differs"], state["containers"][0]["state"]) == (first, [], "2/2")
    (row,) = (one for one in swarm("fleet", "--json").result["deployments"] if one["code"] == swarm.code)
    assert (row["status"], row["version"], row["problems"]) == ("ok", first, [])
    assert [(one["service"], one["state"]) for one in row["containers"]] == [(swarm.code, "2/2")]
    assert f"serving {first}" in swarm("logs", "--since", "1h", "--service", swarm.code).out
    started = swarm.servers[0].docker("service", "ps", "-q", f"{swarm.code}_{swarm.code}")
    assert swarm("restart", "--service", swarm.code).code == 0
    assert swarm.servers[0].docker("service", "ps", "-q", f"{swarm.code}_{swarm.code}") != started
    assert "would change nothing" in swarm("diff", "--version", first).out
    followed_until_ctrl_c(swarm, f"serving {first}")

    # Names that mean something to a shell or to our own program mean nothing but themselves.
    names = {"code": "XX", "sudo": "yes", "login": "/evil", "line": "z", "IFS": "e", "UID": "7", "stage": ""}
    shown = "".join(f"      SHOWN_{name}: ${{{name}}}\n" for name in names)
    text = (swarm.folder / "docker-compose.yml").read_text()
    swarm.write(
        "docker-compose.yml", text.replace("environment: [TZ=Asia/Shanghai]", f"environment:\n{shown}".rstrip())
    )
    mean = "".join(f"{name}={value}\n" for name, value in names.items())
    swarm.write(".env", f'ENV=second\nAWKWARD=it\'s "${{HOME}}" # all\n{mean}')
    second = swarm.deployed("healthy")
    environment = json.loads(
        manager.docker(
            "service", "inspect", "-f", "{{json .Spec.TaskTemplate.ContainerSpec.Env}}", f"{swarm.code}_{swarm.code}"
        )
    )
    assert {'AWKWARD=it\'s "${HOME}" # all', *mean.split()} <= set(environment)
    assert {f"SHOWN_{name}={value}" for name, value in names.items()} <= set(environment)

    failed = swarm("deploy", "--version", swarm.publish("exits"))
    assert failed.code == 3, failed.err
    assert swarm.sh("head -n 1 releases/.current").strip() == second

    # As another user, with sudo.
    swarm.sh("chown -R deploy .")
    swarm.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{manager.name}")
    swarm.set("CONTAINER_PIPELINE_SUDO", "true")
    rolled_back = swarm("rollback")
    assert rolled_back.code == 0, rolled_back.err
    assert first in manager.docker(
        "service", "inspect", "-f", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", f"{swarm.code}_{swarm.code}"
    )
    assert swarm("down", "--yes").code == 0
    assert manager.docker("stack", "ls", "--format", "{{.Name}}").strip() == ""
    of_stack = ("--filter", f"label=com.docker.stack.namespace={swarm.code}")
    left = manager.docker("ps", "-aq", *of_stack) + manager.docker("network", "ls", "-q", *of_stack)
    assert left.strip() == "", "down ended before the containers and the network were gone"
    without_a_leader_nothing_changes(swarm, first)


def test_a_server_that_is_no_manager_is_refused(site: Site):
    site.set("CONTAINER_PIPELINE_MODE", "swarm")
    done = site("deploy", "--version", site.publish())
    assert (done.code, "not a Docker Swarm manager" in done.err) == (1, True)
