"""The place of one lab: its folder, ports, addresses and names."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]

# On servers, 127.0.0.1 at these ports is the lab's machine, so a registry has the same address everywhere.
SHARED_PORTS = (25000, 32767)
_PORTS_PER_LAB = 20
_LABS = 150
_FIRST_FREE = SHARED_PORTS[0] + _PORTS_PER_LAB * _LABS


class LabError(Exception):
    """A missing part or a failure of the lab, in one line."""


@dataclass(frozen=True)
class Place:
    """One lab's folder and number. The number decides its ports, its bridge and its addresses."""

    home: Path
    port_base: int

    @property
    def number(self) -> int:
        return (self.port_base - SHARED_PORTS[0]) // _PORTS_PER_LAB % 250

    @property
    def bridge(self) -> str:
        return f"cpl{self.number}"

    def address(self, last: int) -> str:
        """Return an address: the machine is .1, servers start at .11, private ones at .101."""
        return f"10.213.{self.number}.{last}"

    @property
    def sockets(self) -> Path:
        """A folder for Unix sockets, whose paths have at most 107 bytes."""
        inside = self.home / "run"
        return inside if len(str(inside)) < 60 else Path(f"/run/container-pipeline-lab-{self.number}")

    @property
    def description(self) -> Path:
        return self.home / "lab.json"


def home() -> Path:
    return Path(os.environ.get("LAB_DIR") or REPOSITORY / ".lab").resolve()


def cache() -> Path:
    """A folder that several checkouts share: the base image, the Compose binary."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "container-pipeline-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def read_description(folder: Path) -> dict[str, Any] | None:
    """Return the content of `lab.json`, None without a lab."""
    try:
        loaded = json.loads((folder / "lab.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return loaded if isinstance(loaded, dict) else None


def find(folder: Path) -> Place:
    """Return the place of the lab in `folder`: the existing one, else an unused one."""
    known = read_description(folder)
    if known is not None:
        return Place(folder, int(known["port_base"]))
    wanted = os.environ.get("LAB_PORT_BASE")
    if wanted:
        return Place(folder, _valid_base(wanted))
    start = zlib.crc32(str(folder).encode()) % _LABS
    for step in range(_LABS):
        place = Place(folder, SHARED_PORTS[0] + (start + step) % _LABS * _PORTS_PER_LAB)
        if not _in_use(place.bridge) and _free(place.port_base + 1):
            return place
    raise LabError(f"no free ports for the lab between {SHARED_PORTS[0]} and {_FIRST_FREE}")


def _valid_base(text: str) -> int:
    low, high = SHARED_PORTS[0], SHARED_PORTS[1] - _PORTS_PER_LAB
    if not text.isdigit() or not low <= int(text) <= high:
        raise LabError(f"LAB_PORT_BASE must be a number from {low} to {high}, not {text!r}")
    return int(text)


def _in_use(bridge: str) -> bool:
    """Return whether servers are connected to the bridge; an empty one is the leftover of a killed lab."""
    return any(name.startswith(f"{bridge}v") for _, name in socket.if_nameindex())


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return an unused loopback port that servers can reach too."""
    span = SHARED_PORTS[1] - _FIRST_FREE
    for _ in range(1000):
        port = _FIRST_FREE + int.from_bytes(os.urandom(4), "big") % span
        if _free(port):
            return port
    raise LabError(f"no free port between {_FIRST_FREE} and {SHARED_PORTS[1]}")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock for starting and stopping this lab. It is outside of the folder, which may be removed meanwhile."""
    name = f"container-pipeline-lab-{zlib.crc32(str(folder).encode()):08x}.lock"
    with (Path(tempfile.gettempdir()) / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
