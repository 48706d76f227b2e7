"""How long `fleet` takes, beside as many parallel ssh sessions with one `docker ps`, and how much memory.

Run with `make bench`. Nothing is asserted about times: medians and ratios of runs in turn are recorded.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.record import in_turn, record
from lab import ask, smallimage
from lab.handle import Lab, Server
from lab.released import project

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
#: A docker that replays what one has printed, each line behind what the format begins with.
_REPLAY = '#!/bin/sh\n[ $1 != inspect ] || mark=${3%% *}\nsed "s/^/${mark:+$mark }/" /docker/said.$1\n'


class Sides:
    """`fleet` and its floor, on the same servers."""

    def __init__(self, lab: Lab, folder: Path, config: Path, names: Sequence[str]) -> None:
        self.names, self.folder, self.config = names, folder, config
        self.environment = lab.environment(CONTAINER_PIPELINE_SSH_CONFIG=str(config), LC_ALL="C")
        #: Codes that were seen, and the most memory in MB.
        self.codes, self.memory = 0, 0.0

    def fleet(self) -> None:
        servers = [word for name in self.names for word in ("--server", name)]
        command = [sys.executable, "-m", "container_pipeline", "fleet", "--json", "-q", *servers]
        with (self.folder / "said.json").open("w") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=out, stderr=subprocess.DEVNULL
            )
            _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        result = json.loads((self.folder / "said.json").read_text())
        assert result["ok"], result["error"]
        self.codes = len(result["deployments"])
        self.memory = max(self.memory, used.ru_maxrss / 1000)

    def floor(self) -> None:
        command = ["/usr/bin/ssh", "-F", str(self.config), "-T", "-o", "BatchMode=yes"]
        sessions = [
            subprocess.Popen([*command, name, "docker ps"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            for name in self.names
        ]
        assert [session.wait() for session in sessions] == [0] * len(sessions)

    def measure(self, title: str) -> None:
        seconds = in_turn({"fleet": self.fleet, "parallel ssh, docker ps": self.floor}, ROUNDS)
        record(title, seconds, codes=self.codes, memory=round(self.memory, 1))
        print(f"{title}: {self.codes} codes, {self.memory:.1f} MB")


def test_fleet_on_ten_servers(lab: Lab, tmp_path: Path, code: str, server_factory, tcp_proxy):
    servers = [server_factory() for _number in range(10)]
    registry = lab.development
    smallimage.push(lab, registry, code, "1", {"Cmd": ["sleep", "100000"]})
    image = f"{registry.address}/{code}@{ask.digest(registry, code, '1')}"
    login = (
        f"echo {shlex.quote(registry.password)} | docker login -u {registry.user} --password-stdin {registry.address}"
    )
    for server in servers:
        script = f"{login} && docker pull -q {image}"
        for name in (f"bench-{number}" for number in range(6)):
            project(server.folder / "compose", name, image=image)
            labels = {
                "project": name,
                "service": name,
                "oneoff": "False",
                "project.working_dir": f"/docker/compose/{name}",
            }
            options = " ".join(f"--label com.docker.compose.{label}={value}" for label, value in labels.items())
            script += f" && docker run -d --name {name} {options} {image}"
        server.run(script)
    near = "".join(server.ssh_config.read_text() for server in servers)
    # Here all servers share the cores with the agent; where they are at a distance, waiting for them costs it nothing.
    far = near
    for server in servers:
        proxy = tcp_proxy(f"{server.host}:22", round_trip=0.05)
        far = far.replace(
            f"HostName {server.host}\n",
            f"HostName {proxy.host}\n    Port {proxy.port}\n    HostKeyAlias {server.name}\n",
        )
    config = tmp_path / "ssh_config"
    sides = Sides(lab, tmp_path, config, [server.name for server in servers])
    for title, text in (("fleet of 10 servers", near), ("fleet of 10 servers, 50 ms round trip", far)):
        config.write_text(text)
        sides.measure(title)
        assert sides.codes == 60


def test_fleet_on_forty_replayed_servers(lab: Lab, tmp_path: Path, server_factory: Callable[..., Server]):
    names = [f"bench-{number}" for number in range(25)]
    said = {
        "ps": [f"{number:064x}" for number in range(25)],
        "inspect": [
            f"container running|0|0|healthy|always|2026-11-24T09:30:16Z|sha256:{name}|{name}|{name}|/docker/compose/{name}"
            for name in names
        ]
        + [f"image sha256:{name}|r/{name}@sha256:{1:064} " for name in names],
    }
    hosts, known = "", ""
    servers = [server_factory("none") for _number in range(5)]
    for server in servers:
        for name in names:
            project(server.folder / "compose", name)
        for kind, lines in said.items():
            (server.folder / f"said.{kind}").write_text("".join(f"{line}\n" for line in lines))
        server.run(f"rm -f /usr/local/bin/docker; printf '%s' '{_REPLAY}' >/usr/bin/docker; chmod 755 /usr/bin/docker")
        known += (server.ssh_config.parent / "known_hosts").read_text()
        for number in range(8):
            hosts += f"Host {server.name}-{number}\n    HostName {server.host}\n    HostKeyAlias {server.name}\n"
    (tmp_path / "known_hosts").write_text(known)
    config = tmp_path / "ssh_config"
    config.write_text(
        f"{hosts}Host *\n    User root\n    IdentityFile {lab.ssh_key}\n    IdentitiesOnly yes\n    StrictHostKeyChecking yes\n"
        f"    UserKnownHostsFile {tmp_path / 'known_hosts'}\n    GlobalKnownHostsFile /dev/null\n"
    )
    aliases = [f"{server.name}-{number}" for server in servers for number in range(8)]
    sides = Sides(lab, tmp_path, config, aliases)
    sides.measure("fleet of 40 replayed servers")
    assert sides.codes == 1000
