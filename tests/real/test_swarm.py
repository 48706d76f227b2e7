"""The same project as a stack of Docker Swarm, on real managers: refusals, changes, rollbacks and several nodes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.plan import stackfile
from lab import engine
from lab.fixtures import private_server
from lab.handle import Lab, Server
from real.site import Site
from real.stacks import AT_ONCE, join, services, stack, tasks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def machine(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an engine of its own, which manages a new Swarm for each test."""
    server = private_server(lab, tmp_path_factory.mktemp("manager"), compose="none")
    yield server
    server.box.remove()


@pytest.fixture
def manager(site: Site, machine: Server) -> Iterator[Server]:
    """The first manager of a new Swarm; the site is deployed to it."""
    machine.docker("swarm", "init", "--advertise-addr", machine.host)
    site.on(machine)
    site.set("CONTAINER_PIPELINE_MODE", "swarm")
    site.set("CONTAINER_PIPELINE_TIMEOUT", "60")
    yield machine
    machine.docker("swarm", "leave", "--force")


def spec(site: Site) -> dict[str, object]:
    """Return what the project's own service asks for of its containers."""
    (found,) = json.loads(site.servers[0].docker("service", "inspect", f"{site.code}_{site.code}"))
    return dict(found["Spec"]["TaskTemplate"]["ContainerSpec"])


def said(site: Site, service: str) -> str:
    """Return what the running tasks of a service have printed."""
    return "".join(site.servers[0].docker("service", "logs", "--raw", task) for task in tasks(site, service))


def test_swarm_refuses_what_cannot_work_before_changes(site: Site, manager: Server):
    version = site.publish()
    uses = "    networks: [own, outside]\n    volumes: ['data:/data']\n    configs: [setting]\n    secrets: [{source: key}]\n"
    text = stack(site).replace("    env_file:", f"{uses}    env_file:") + "    healthcheck: {start_interval: 1s}\n"
    text += """\
networks: {own: {}, outside: {external: {name: front}}, unused: {external: true}}
volumes: {data: {external: true, name: "${ENV}-data"}}
configs: {setting: {external: true}, unused: {external: true}}
secrets: {key: {external: true, name: web.key}}
"""
    site.write("docker-compose.yml", text)
    for sentence, *make in (
        # What the file only uses does not exist.
        ("the external volume test-data does not exist", "volume create test-data"),
        ("the external config setting does not exist", "config create setting /etc/hostname"),
        ("the external secret web.key does not exist", "secret create web.key /etc/hostname"),
        # A network of this server alone is not the Swarm's.
        ("the Swarm has no network front", "network create front"),
        ("the Swarm has no network front", "network rm front", "network create --driver overlay front"),
        # Now that all of it exists, Docker is asked, and refuses the file.
        ("healthcheck Additional property start_interval is not allowed",),
    ):
        done = site("deploy", "--version", version)
        assert (done.code, sentence in done.err, "starting" in done.err) == (1, True, False), done.err
        assert services(site) == set()
        assert "docker-compose.yml" not in site.sh("ls -A . releases")
        for command in make:
            manager.docker(*command.split())
    assert "`docker stack` refuses docker-compose.yml" in done.err


#: Names that mean something to a shell or to the program for servers.
NAMES = {"code": "XX", "sudo": "yes", "login": "/evil", "line": "z", "IFS": "e", "UID": "7", "stage": ""}
#: Variables of Docker, which are the service's alone in .env, and 200 kB of others.
STEERING = (
    "DOCKER_DEFAULT_PLATFORM=no/such\nDOCKER_STACK_ORCHESTRATOR=none\nDOCKER_API_VERSION=1.1\nDOCKER_HOST=tcp://no:1\n"
)
LARGE = "COMPOSE_HTTP_TIMEOUT=x\n" + "".join(f"LARGE_{turn}={str(turn % 10) * 4096}\n" for turn in range(50))


@pytest.mark.parametrize(
    ("failing", "cause"),
    [
        ("unhealthy", "here I am"),
        pytest.param("exits", "cannot start: no database", marks=pytest.mark.matrix),
    ],
)
def test_changes_reach_their_services_and_roll_back(site: Site, manager: Server, failing: str, cause: str):
    site.set("CONTAINER_PIPELINE_FILES", "page,setting")
    site.write("page", "first page\n")
    site.write("setting", "first setting\n")
    image = f"{site.registry.address}/{site.code}:{site.publish()}"
    shown = "".join(f", SHOWN_{name}: '${{{name}}}'" for name in NAMES)
    text = stack(site, "proxy", image=image).replace('"${VERSION}"}', f'"${{VERSION}}"{shown}}}')
    site.write("docker-compose.yml", text)
    mean = "".join(f"{name}={value}\n" for name, value in NAMES.items())
    site.write(".env", f'ENV=test\nAWKWARD=it\'s "${{HOME}}" # all\n{mean}{STEERING}{LARGE}')
    first = site.deployed()
    # Names and values of .env arrive as they are, and mean nothing to a shell, to Docker or to the program for servers.
    environment = set(spec(site)["Env"])  # type: ignore[call-overload]
    assert {f"RELEASE={first}", 'AWKWARD=it\'s "${HOME}" # all', *(mean + STEERING + LARGE).split()} <= environment
    assert {f"SHOWN_{name}={value}" for name, value in NAMES.items()} <= environment

    # A refused file leaves the release as it is.
    ran = tasks(site, site.code), tasks(site, "proxy")
    before = site.sh("cat docker-compose.yml releases/.current")
    site.write("docker-compose.yml", stack(site, version="3.0") + "    init: true\n")
    done = site("deploy", "--version", first)
    assert (done.code, "property init is not allowed" in done.err, "starting" in done.err) == (1, True, False), done.err
    assert site.sh("cat docker-compose.yml releases/.current") == before
    assert (tasks(site, site.code), tasks(site, "proxy")) == ran

    # A changed file replaces the tasks of the service that mounts it, and no others.
    site.write("docker-compose.yml", text)
    site.write("page", "second page\n")
    assert site("deploy", "--version", first).code == 0
    assert (tasks(site, site.code), said(site, "proxy")) == (ran[0], "second page\nfirst setting\n")

    # A release that fails is rolled back with its services and files. Output of the earlier one is not shown as the cause.
    site.write("docker-compose.yml", stack(site, "worker"))
    site.write("setting", "second setting\n")
    failed = site("deploy", "--version", site.publish(failing))
    assert (failed.code, services(site)) == (3, {site.code, "proxy"}), failed.err
    assert (cause in failed.err, f"serving {first}" in failed.err) == (True, False), failed.err
    assert f"RELEASE={first}" in spec(site)["Env"]  # type: ignore[operator]
    assert (said(site, site.code), said(site, "proxy")) == (f"serving {first}\n", "second page\nfirst setting\n")

    # Services and configs come and go with their release, here for a user with sudo.
    site.sh("chown -R deploy .")
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{manager.name}")
    site.set("CONTAINER_PIPELINE_SUDO", "true")
    site.deployed()
    assert (services(site), said(site, "worker")) == ({site.code, "worker"}, "second page\nsecond setting\n")
    rolled_back = site("rollback")
    assert (rolled_back.code, services(site)) == (0, {site.code, "proxy"}), rolled_back.err
    assert site("down", "--yes").code == 0
    of_stack = ("--filter", f"label=com.docker.stack.namespace={site.code}")
    left = manager.docker("ps", "-aq", *of_stack) + manager.docker("network", "ls", "-q", *of_stack)
    assert (services(site), left.strip()) == (set(), ""), "down ended before the containers and the network were gone"


@pytest.fixture
def nodes(site: Site, manager: Server, server_factory) -> Site:
    """Two managers, neither of which leads alone; the site is deployed to the first, two tasks of it."""
    second = server_factory(compose="none")
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


def test_two_nodes_support_looks_logs_and_restart(nodes: Site):
    swarm, manager, service = nodes, nodes.servers[0], f"{nodes.code}_{nodes.code}"
    assert "✓ it is a Docker Swarm manager" in swarm("doctor").out
    files_of_one_node_are_refused(swarm)
    first = swarm.deployed("healthy")
    # Each node runs a task of exactly the image that was published.
    running = ("service", "ps", "--filter", "desired-state=running")
    assert len({*manager.docker(*running, "--format", "{{.Node}}", service).split()}) == 2
    assert spec(swarm)["Image"] == f"{swarm.registry.address}/{swarm.code}:{first}@{swarm.digest(first)}"
    state = swarm("status", "--json").result["servers"][0]
    assert (state["version"], state["differs"], state["containers"][0]["state"]) == (first, [], "2/2")
    (row,) = (one for one in swarm("fleet", "--json").result["deployments"] if one["code"] == swarm.code)
    assert (row["status"], row["version"], row["problems"]) == ("ok", first, [])
    assert [(one["service"], one["state"]) for one in row["containers"]] == [(swarm.code, "2/2")]
    assert f"serving {first}" in swarm("logs", "--since", "1h", "--service", swarm.code).out
    started = tasks(swarm, swarm.code)
    assert swarm("restart", "--service", swarm.code).code == 0
    assert not started & tasks(swarm, swarm.code)
    assert "would change nothing" in swarm("diff", "--version", first).out
    followed_until_ctrl_c(swarm, f"serving {first}")
    without_a_leader_nothing_changes(swarm, first)


def test_a_server_that_is_no_manager_is_refused(site: Site):
    site.set("CONTAINER_PIPELINE_MODE", "swarm")
    done = site("deploy", "--version", site.publish())
    assert (done.code, "not a Docker Swarm manager" in done.err) == (1, True)


#: Keys of a service that Compose knows, those of `docker stack` among them.
KEYS = (
    *("annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "cgroupns_mode"),
    *("command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period"),
    *("cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on", "deploy", "develop"),
    *("device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "entrypoint", "env_file"),
    *("environment", "expose", "extends", "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname"),
    *("init", "ipc", "isolation", "label_file", "labels", "links", "logging", "mac_address", "mem_limit", "mem_reservation"),
    *("mem_swappiness", "memswap_limit", "models", "network_mode", "networks", "oom_kill_disable", "oom_score_adj", "pid"),
    *("pids_limit", "platform", "ports", "post_start", "pre_stop", "privileged", "profiles", "provider", "pull_policy"),
    *("read_only", "restart", "runtime", "scale", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period"),
    *("stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "user", "userns_mode", "uts", "volumes"),
    *("volumes_from", "working_dir"),
)  # fmt: skip


@pytest.mark.parametrize("keys", [KEYS[::5], pytest.param(KEYS, marks=pytest.mark.matrix)], ids=["some", "all"])
def test_docker_refuses_the_same_keys_of_a_service(lab: Lab, keys: tuple[str, ...]):
    def docker_refuses(key: str) -> bool:
        text = f'version: "3.9"\nservices: {{web: {{image: x, {key}: 1.5}}}}\n'
        command = [engine.docker_command(), "-H", lab.docker_host, "stack", "deploy", "-c", "-", "x"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return "Additional property" in done.stderr or "unsupported options" in done.stderr

    def refused(key: str) -> bool:
        text = f'version: "3.9"\nservices: {{web: {{image: x, {key}: 1.5}}}}\n'
        try:
            stackfile.check(text.encode(), "docker-compose.yml", {})
        except SettingsError:
            return True
        return False

    assert {key for key in keys if refused(key)} == {key for key in keys if docker_refuses(key)}
