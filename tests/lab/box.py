"""A server: its own network, processes, mounts and host name; its own engine, sshd and /docker.

`unshare` creates the namespaces, and boxinit.py sets them up from inside. Everything in there (engine, containers,
sshd, shells) descends from one process in its own PID namespace: killing that process ends all of it, mounts
included.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import compose, engine, network
from lab.place import LabError, Place
from lab.process import alive, run, start, stop, wait_for


@dataclass(frozen=True)
class Box:
    """Configuration of one server.

    engine: "own", "none" (no Docker on the server), or another box' socket folder (the server uses that engine)
    compose: "v2", "v1" or "none"
    disk: size of a small /docker in the form of tmpfs ("4m"); else it is on this machine's disk
    appended: pairs of a path and the text to append to that file before the engine starts
    """

    place: Place
    name: str
    last: int
    engine: str = "own"
    compose: str = "v2"
    disk: str = ""
    appended: tuple[tuple[str, str], ...] = ()

    @property
    def folder(self) -> Path:
        return self.place.home / "servers" / self.name

    @property
    def address(self) -> str:
        return self.place.address(self.last)

    @property
    def sockets(self) -> Path:
        """Folder that both sides see; it contains the engine's socket."""
        return self.place.sockets / self.name

    @property
    def docker_host(self) -> str:
        return f"unix://{self.sockets if self.engine in ('own', 'none') else self.engine}/docker.sock"

    @property
    def pidfile(self) -> Path:
        return self.folder / "box.pid"

    @property
    def log(self) -> Path:
        return self.folder / "box.log"

    @property
    def host_key(self) -> Path:
        return self.folder / "ssh_host_ed25519_key"

    def running(self) -> bool:
        return alive(self.pidfile) is not None and self._ready()

    def _ready(self) -> bool:
        return self._ssh_answers() and (self.engine == "none" or engine.answers(self.docker_host))

    def _ssh_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=1) as client:
                return client.recv(4) == b"SSH-"
        except OSError:
            return False

    def init(self) -> int:
        """Id of the server's first process on this machine."""
        pid = alive(self.pidfile)
        if pid is None:
            raise LabError(f"the server {self.name} does not run")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            raise LabError(f"the server {self.name} does not run yet")
        return int(children[0])

    def start(self, authorized_key: str) -> None:
        """Start it and wait until sshd and the engine respond."""
        self._furnish(authorized_key)
        start(self.pidfile, self._command(), self.log)
        wait_for(f"the server {self.name}", self._has_init, self.pidfile, self.log)
        network.plug(self.place, self.init(), self.last)
        wait_for(f"the server {self.name}", self._ready, self.pidfile, self.log, seconds=40)

    def _has_init(self) -> bool:
        with contextlib.suppress(LabError, OSError):
            return os.readlink(f"/proc/{self.init()}/ns/net") != os.readlink("/proc/self/ns/net")
        return False

    def _furnish(self, authorized_key: str) -> None:
        for folder in (self.folder / "docker", self.folder / "engine", self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
        if not self.host_key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(self.host_key))
        spec = {
            "name": self.name,
            "folder": str(self.folder),
            "sockets": str(self.sockets),
            "network": network.inside_commands(self.place, self.last),
            "engine": self.engine,
            "dockerd": [
                *("--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", self._cgroup),
                # About thirty Compose projects exhaust Docker's default pool.
                *("--default-address-pool", "base=172.16.0.0/12,size=26"),
                # Published ports are docker-proxy's alone: rules cost a dozen processes for each network and each container.
                "--iptables=false",
            ],
            "runtime": list(engine.runtime_options()),
            "compose": self.compose,
            "compose_v2": str(compose.v2_binary()) if self.compose == "v2" else "",
            "compose_metadata": compose.v2_metadata() if self.compose == "v2" else "",
            "disk": self.disk,
            "appended": self.appended,
            "host_key": self.host_key.read_text(),
            "authorized_key": authorized_key,
        }
        path = self.folder / "box.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(spec, indent=2))

    def _command(self) -> list[str]:
        return [
            "unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
            sys.executable, "-I", str(Path(__file__).with_name("boxinit.py")), str(self.folder / "box.json"),
        ]  # fmt: skip

    @property
    def _cgroup(self) -> str:
        return f"/container-pipeline-lab-{self.place.number}/{self.name}"

    def stop(self) -> None:
        """Kill the server, like a power loss."""
        with contextlib.suppress(LabError, OSError):
            os.kill(self.init(), signal.SIGKILL)
        # unshare waits for init, whose end the kernel delays until all processes in its namespace are gone.
        stop(self.pidfile, patience=20)
        network.unplug(self.place, self.last)
        _remove_cgroups(self._cgroup)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.sockets, ignore_errors=True)


def _remove_cgroups(name: str) -> None:
    """Remove the empty cgroups (v1 and v2) of containers that were killed with their engine."""
    roots = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").glob("*/")]
    for root in roots:
        top = Path(f"{root}{name}")
        for folder in [*sorted(top.rglob("*/"), key=lambda path: -len(path.parts)), top, top.parent]:
            with contextlib.suppress(OSError):
                folder.rmdir()


def for_all(work: list[Callable[[], None]]) -> None:
    """Run all in parallel; raise the first error after all have ended."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max(1, len(work))) as pool:
        for future in [pool.submit(task) for task in work]:
            future.result()
