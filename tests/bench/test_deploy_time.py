"""How long a deploy takes with nothing changed, beside what people do by hand and the floor: one ssh session that does the same.

Run with `make bench`. Nothing is asserted about times: medians and ratios of runs in turn are recorded.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.peers import ansible_playbook, kamal
from bench.record import in_turn, keep, record
from lab import describe
from lab.handle import Lab, Server
from real.site import Site

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
_UP = "cd /docker/compose/{code} && {compose} pull -q && {compose} up -d"


@pytest.fixture
def site(lab: Lab, code: str, port: int, tmp_path: Path, monkeypatch, capsys) -> Site:
    return Site(lab, code, port, tmp_path / "site", monkeypatch, capsys).on(lab.servers[0])


def run(*command: str, **environment: str) -> None:
    subprocess.run(
        command, stdin=subprocess.DEVNULL, check=True, capture_output=True, env={**os.environ, **environment}
    )


class Peers:
    """All sides deploy the same two files to the same servers, which already run them."""

    def __init__(
        self, site: Site, version: str, config: Path, names: Sequence[str], compose: str = "docker compose"
    ) -> None:
        self.site, self.config, self.names, self.on_server = site, config, names, compose
        self.bin = config.parent / "bench-bin"
        describe.commands(self.bin, config)
        self.files = site.folder / "upload"
        self.files.mkdir(exist_ok=True)
        for name, text in site.files().items():
            (self.files / name).write_text(text)
        self.bring(version)
        # Peers pull with a login that rests on disk, on the server and here.
        self.docker_config = site.login()
        login = (self.docker_config / "config.json").read_text()
        for server in site.servers:
            server.run(f"mkdir -p /root/.docker && echo {shlex.quote(login)} > /root/.docker/config.json")

    def ours(self) -> None:
        run(
            sys.executable, "-m", "container_pipeline", "deploy", "--project", str(self.site.folder), "-q",
            PYTHONPATH=os.pathsep.join(sys.path), CONTAINER_PIPELINE_SSH_CONFIG=str(self.config),
            CONTAINER_PIPELINE_SERVERS=",".join(self.names),
        )  # fmt: skip

    def floor(self) -> None:
        """One SSH session per server, in parallel."""
        script = (
            f"mkdir -p /docker/compose/{self.site.code} && tar -xf - -C /docker/compose/{self.site.code} && "
            + _UP.format(code=self.site.code, compose=self.on_server)
        )
        one = f"tar -C {shlex.quote(str(self.files))} -cf - .env docker-compose.yml | ssh -F {self.config} %s {shlex.quote(script)}"
        each = "".join(f'{one % name} & pids="$pids $!"\n' for name in self.names)
        run("sh", "-c", f"{each}for pid in $pids; do wait $pid || exit; done")

    def by_hand(self) -> None:
        ssh, scp = str(self.bin / "ssh"), str(self.bin / "scp")
        folder = f"/docker/compose/{self.site.code}"
        for name in self.names:
            run(ssh, name, f"mkdir -p {folder}")
            run(scp, "-q", *(str(self.files / one) for one in (".env", "docker-compose.yml")), f"{name}:{folder}/")
            run(ssh, name, f"cd {folder} && {self.on_server} pull -q")
            run(ssh, name, f"cd {folder} && {self.on_server} up -d")

    def docker_host(self) -> None:
        """Compose on this machine, Docker engine on the server."""
        compose = [*self.compose(), "--project-directory", str(self.files), "-p", self.site.code]
        for name in self.names:
            for words in (["pull", "-q"], ["up", "-d"]):
                run(
                    *compose,
                    *words,
                    DOCKER_HOST=f"ssh://{name}",
                    DOCKER_CONFIG=str(self.docker_config),
                    PATH=f"{self.bin}:{os.environ['PATH']}",
                )

    def compose(self) -> list[str]:
        from lab import compose

        return [str(compose.v2_binary())]

    def ansible(self) -> None:
        playbook = self.files.parent / "play.yml"
        folder = f"/docker/compose/{self.site.code}"
        playbook.write_text(f"""
- hosts: all
  gather_facts: false
  tasks:
    - file: {{path: {folder}, state: directory}}
    - copy: {{src: "{self.files}/", dest: "{folder}/"}}
    - community.docker.docker_compose_v2: {{project_src: "{folder}", pull: always}}
""")
        run(
            ansible_playbook(), "-i", ",".join(self.names) + ",", str(playbook),
            ANSIBLE_SSH_ARGS=f"-F {self.config}", ANSIBLE_PIPELINING="1", ANSIBLE_FORKS="10", LC_ALL="C.UTF-8", ANSIBLE_PYTHON_INTERPRETER="/usr/bin/python3",
        )  # fmt: skip

    def kamal(self) -> None:
        """Kamal without its proxy, whose image cannot be pulled here. It starts a new container each time, so the service has no fixed port.

        The image has a HEALTHCHECK, which Kamal goes by: its readiness_delay, a fixed wait, is for images without one.
        """
        login = self.site.registry
        # Kamal reads the SSH configuration except for the port, which it always passes.
        port = re.search(r"Port (\d+)", self.config.read_text())
        self.site.write(".kamal/secrets", f"PASSWORD={login.password}\n")
        self.site.write(
            "config/deploy.yml",
            f"""
service: {self.site.code}
image: {self.site.code}
servers: {{web: {{hosts: [{", ".join(self.names)}], proxy: false}}}}
registry: {{server: "{login.address}", username: {login.user}, password: [PASSWORD]}}
builder: {{arch: amd64}}
env: {{clear: {{ENV: test}}}}
ssh: {{config: ["{self.config}"], port: {port[1] if port else 22}}}
""",
        )
        run("env", "-C", str(self.site.folder), kamal(), "deploy", "--skip-push", "--version", self.version)

    def bring(self, version: str) -> None:
        """Set the version that all sides deploy from now on."""
        self.version = version
        self.site.built(version)
        env = self.files / ".env"
        env.write_text(re.sub(r"^VERSION=.*", f"VERSION={version}", env.read_text(), flags=re.MULTILINE))


def compare(title: str, peers: Peers, names: Sequence[str]) -> None:
    """Run ours and the peers in turn; record medians and ratios."""
    record(title, in_turn({name: getattr(peers, name) for name in names}, ROUNDS))


def everybody() -> list[str]:
    return ["ours", "floor", "by_hand", "docker_host", "ansible", "kamal"]


def test_one_server_on_loopback(site: Site) -> None:
    version = site.deployed()
    compare(
        "deploy, one server, loopback, nothing changed",
        Peers(site, version, site.lab.ssh_config, ["server-1"]),
        everybody(),
    )


def test_one_server_with_compose_v1(site: Site) -> None:
    site.on(site.lab.servers[1])
    version = site.deployed()
    peers = Peers(site, version, site.lab.ssh_config, [site.lab.servers[1].name], "docker-compose")
    compare("deploy, one server with Compose v1, loopback, nothing changed", peers, ["ours", "floor", "by_hand"])


def test_a_new_version_on_one_server(site: Site) -> None:
    """Two versions in turn, both already on the server: each tool replaces the container."""
    versions = itertools.cycle([site.deployed(), site.deployed()])
    peers = Peers(site, next(versions), site.lab.ssh_config, ["server-1"])

    def replace(name: str) -> None:
        # Kamal starts its own container; the others share one.
        if name != "kamal":
            peers.bring(next(versions))
        getattr(peers, name)()

    sides = {name: functools.partial(replace, name) for name in everybody()}
    record("deploy, one server, loopback, another version", in_turn(sides, ROUNDS))


def test_one_server_at_fifty_milliseconds(site: Site, tcp_proxy, tmp_path: Path) -> None:
    version = site.deployed()
    proxy = tcp_proxy(f"{site.servers[0].host}:22", round_trip=0.05)
    config = tmp_path / "config"
    config.write_text(
        f"Host server-1\n HostName {proxy.host}\n Port {proxy.port}\n User root\n HostKeyAlias server-1\n"
        f" IdentityFile {site.lab.ssh_key}\n IdentitiesOnly yes\n UserKnownHostsFile {site.lab.known_hosts}\n"
    )
    compare(
        "deploy, one server, 50 ms round trip, nothing changed", Peers(site, version, config, ["server-1"]), everybody()
    )


def test_ten_servers_at_once(site: Site, server_factory: Callable[..., Server], tmp_path: Path) -> None:
    servers = [server_factory() for _number in range(10)]
    site.on(*servers)
    version = site.deployed()
    config = site.folder / ".ssh_config"
    compare(
        "deploy, ten servers, loopback, nothing changed",
        Peers(site, version, config, [one.name for one in servers]),
        ["ours", "floor"],
    )


def test_memory_with_fifty_servers(site: Site) -> None:
    site.deployed()
    host = site.servers[0].name
    servers = ", ".join(f"{{host: {host}, name: s{number}}}" for number in range(50))
    site.write("container-pipeline.yml", f"servers: [{servers}]\nat_once: 50\n")
    site.set("CONTAINER_PIPELINE_SERVERS", "")
    run_ = site.start("status", "-q")
    peak = 0
    while run_.poll() is None:
        peak = max(peak, resident(run_.pid))
        time.sleep(0.02)
    out, err = run_.communicate()
    assert run_.returncode == 0, err
    assert len(out.splitlines()) == 51
    print(f"fifty servers at once: the agent's peak is {peak / 1000:.0f} MB")
    keep("status of fifty servers at once", {"peak_mb": round(peak / 1000)})


def resident(pid: int) -> int:
    """Return the peak memory in kB, as the kernel counts it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def test_container_recreation_briefly_interrupts_the_service(site: Site) -> None:
    site.deployed()
    gaps = []
    for _turn in range(3):
        version = site.publish()
        deploy = site.start("deploy", "--version", version, "-q")
        answered, gap = time.monotonic(), 0.0
        while deploy.poll() is None:
            if answers(site):
                now = time.monotonic()
                gap, answered = max(gap, now - answered), now
            time.sleep(0.01)
        deploy.communicate()
        assert deploy.returncode == 0
        gaps.append(max(gap, time.monotonic() - answered))
    record("nobody answers while a container is recreated", {"recreate": gaps})


def answers(site: Site) -> bool:
    connection = http.client.HTTPConnection(site.servers[0].host, site.port, timeout=0.5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
