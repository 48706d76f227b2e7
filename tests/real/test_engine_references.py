"""Image references, compared with a real engine."""

from __future__ import annotations

import http.client
import random
import socket
from urllib.parse import quote

from container_pipeline.errors import SettingsError
from container_pipeline.model import ImageRef, Registry, Repository, Version


class _Local(http.client.HTTPConnection):
    """HTTP to an engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def ours(registry: str, path: str, tag: str) -> bool:
    try:
        return bool(ImageRef(Registry(registry), Repository(path), str(Version(tag))))
    except SettingsError:
        return False


def test_image_reference_checks_match_the_engine(lab):
    chance = random.Random(20261124)
    connection = _Local(lab.docker_host.partition("://")[2])
    counts = {True: 0, False: 0}
    for _turn in range(400):
        registry = chance.choice(["registry.example", "r.example:5000", "A.example/team", "127.0.0.1:5000/a__b"])
        path = "".join(chance.choices("abz019._-/", (9, 9, 9, 6, 6, 6, 2, 2, 3, 2), k=chance.randint(1, 7)))
        tag = "".join(chance.choices("aZ09_.-+", (9, 9, 9, 9, 3, 2, 2, 1), k=chance.randint(1, 5)))
        if any(part in ("", ".", "..") for part in path.split("/")):
            continue  # the engine's router would read a different address
        connection.request("GET", f"/images/{quote(f'{registry}/{path}:{tag}', safe='/:')}/json")
        answer = connection.getresponse()
        said = answer.read().decode()
        assert answer.status in (400, 404), said
        takes = answer.status == 404
        assert ours(registry, path, tag) == takes, (registry, path, tag, said)
        counts[takes] += 1
    assert min(counts.values()) > 50
