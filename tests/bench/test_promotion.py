"""Promotion beside crane, skopeo and `docker push`: in turn on one machine, each into a registry that is empty anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench import peers
from bench.record import in_turn, keep, record
from lab import ask, images
from lab.registry import Registry

VERSION = "20261124093015"
#: Bytes of each layer: 129 MB in all, as a Python service on a slim base has them.
LAYERS = [61_000_000, 32_000_000, 20_000_000, 10_000_000, 5_000_000, 1_000_000]
SMALL = [20_000] * 40
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))


class Stage:
    """A development registry with an image, and the commands that bring it to any other registry."""

    def __init__(self, registry: Registry, code: str, folder: Path, sizes: list[int], address: str = "") -> None:
        self.registry = registry
        self.code = code
        self.address = address or registry.address
        self.folder = folder
        self.image = images.put_image(registry, code, VERSION, *sizes)
        self.logins: dict[str, dict[str, str]] = {}
        self.knows(registry, self.address)

    def knows(self, registry: Registry, address: str = "") -> None:
        """Write the login to where the peers look for it, as `docker login` does."""
        login = b64encode(f"{registry.user}:{registry.password}".encode()).decode()
        self.logins[address or registry.address] = {"auth": login}
        (self.folder / "config.json").write_text(json.dumps({"auths": self.logins}))

    def ours(self, target: Registry, address: str = "", program: Sequence[str] = ("-m", "container_pipeline")) -> str:
        variables = {}
        for prefix, one, where in (
            ("DOCKER_REGISTRY", self.registry, self.address),
            ("DOCKER_REGISTRY_PROD", target, address or target.address),
        ):
            variables.update({prefix: where, f"{prefix}_USER": one.user, f"{prefix}_PASS": one.password})
        command = [sys.executable, *program, "promote", "-q", "--version", VERSION]
        return self._run([*command, "--code", self.code, "--project", str(self.folder)], **variables)

    def crane(self, target: Registry, address: str = "") -> None:
        self._run([peers.crane(), "copy", self._name(self.address), self._name(address or target.address)])

    def crane_latest(self, target: Registry, address: str = "") -> None:
        """Do what a promotion does: copy the version, then point `latest` at it."""
        self.crane(target, address)
        self._run([peers.crane(), "tag", self._name(address or target.address), "latest"])

    def skopeo(self, target: Registry, address: str = "") -> None:
        plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        source, there = self._name(self.address), self._name(address or target.address)
        self._run([peers.skopeo(), "copy", "--all", *plain, f"docker://{source}", f"docker://{there}"])

    def regctl(self, target: Registry, address: str = "") -> None:
        there = self._name(address or target.address)
        # Its configuration: the registries speak plain http.
        hosts = json.dumps({"hosts": {one: {"tls": "disabled"} for one in self.logins}})
        (self.folder / "regctl.json").write_text(hosts)
        copy = ["image", "copy", "--referrers", "--digest-tags", self._name(self.address), there]
        self._run([peers.regctl(), *copy], REGCTL_CONFIG=str(self.folder / "regctl.json"))

    def _name(self, address: str) -> str:
        return f"{address}/{self.code}:{VERSION}"

    def _run(self, command: list[str], **variables: str) -> str:
        environment = {**os.environ, "DOCKER_CONFIG": str(self.folder), "PYTHONPATH": os.pathsep.join(sys.path)}
        environment["REGISTRY_AUTH_FILE"] = str(self.folder / "config.json")
        done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def stage(registry_factory, tmp_path, code):
    """stage(sizes) → a Stage whose development registry is of the test's own."""

    def make(sizes, proxy=None):
        registry = registry_factory()
        folder = tmp_path / "stage"
        folder.mkdir()
        return Stage(registry, code, folder, sizes, proxy(registry.address).address if proxy else "")

    return make


def into_empty(stage: Stage, registry_factory: Callable[..., Registry], names: list[str], proxy=None) -> dict:
    """Measure each side's copy alone: the registry that it fills is started before and ended after."""
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS + 1):
        for name in names if turn % 2 else names[::-1]:
            target = registry_factory()
            address = proxy(target.address).address if proxy else ""
            stage.knows(target, address)
            begin = time.monotonic()
            getattr(stage, name)(target, address)
            if turn:
                seconds[name].append(time.monotonic() - begin)
            target.stop()
    return seconds


def test_129_mb_into_an_empty_registry(stage, registry_factory):
    here = stage(LAYERS)
    seconds = into_empty(here, registry_factory, ["ours", "crane", "crane_latest", "skopeo"])
    record("promote 129 MB in 6 layers, empty registry", seconds)


def test_129_mb_beside_docker_push(lab, stage, registry_factory, tmp_path):
    """The engine compresses its layers again; ours copies the registry's blobs."""
    here = stage(LAYERS)
    context = tmp_path / "context"
    context.mkdir()
    lines = ["FROM scratch"]
    for number, size in enumerate(LAYERS):
        (context / f"{number}").write_bytes(os.urandom(size))
        lines.append(f"COPY {number} /")
    (context / "Dockerfile").write_text("\n".join(lines))
    lab.docker("build", "-q", "-t", here.code, str(context))
    seconds: dict[str, list[float]] = {"ours": [], "docker push": []}
    for _turn in range(3):
        target = registry_factory()
        name = f"{target.address}/{here.code}:{VERSION}"
        here.knows(target)
        lab.docker("tag", here.code, name)
        begin = time.monotonic()
        lab.docker("--config", str(here.folder), "push", "-q", name)
        seconds["docker push"].append(time.monotonic() - begin)
        lab.docker("rmi", name)
        target.stop()
        target = registry_factory()
        begin = time.monotonic()
        here.ours(target)
        seconds["ours"].append(time.monotonic() - begin)
        target.stop()
    lab.docker("rmi", here.code)
    record("promote 129 MB, beside docker push", seconds)


def test_nothing_missing(stage, registry_factory):
    here, target = stage(LAYERS), registry_factory()
    here.knows(target)
    start = [sys.executable, "-c", "pass"]
    sides = {
        "ours": lambda: here.ours(target),
        "crane": lambda: here.crane(target),
        "python": lambda: subprocess.run(start, check=True),
    }
    record("promote again, nothing missing", in_turn(sides, ROUNDS))


def test_40_small_layers(stage, registry_factory):
    seconds = into_empty(stage(SMALL), registry_factory, ["ours", "crane", "skopeo"])
    record("promote 40 layers of 20 kB", seconds)


def test_40_small_layers_at_50_ms(stage, registry_factory, tcp_proxy):
    def distant(address):
        return tcp_proxy(address, round_trip=0.05)

    seconds = into_empty(stage(SMALL, distant), registry_factory, ["ours", "crane", "skopeo"], distant)
    record("promote 40 layers of 20 kB, 50 ms round trip", seconds)


def test_20_referrers(stage, registry_factory):
    """Beside regctl, which also copies referrers. Neither registry has the referrers API."""
    here = stage([1_000_000])
    made = [images.put_referrer(here.registry, here.code, here.image) for _number in range(20)]
    images.list_referrers(here.registry, here.code, here.image, *made)
    seconds: dict[str, list[float]] = {"ours": [], "regctl": []}
    for turn in range(ROUNDS + 1):
        for name in ("ours", "regctl") if turn % 2 else ("regctl", "ours"):
            target = registry_factory()
            here.knows(target)
            begin = time.monotonic()
            getattr(here, name)(target)
            if turn:
                seconds[name].append(time.monotonic() - begin)
            assert [ask.digest(target, here.code, one.digest) for one in made] == [one.digest for one in made]
            target.stop()
    record("promote an image with 20 referrers", seconds)


_METER = """
import sys
from container_pipeline.__main__ import main
code = main(sys.argv[1:])
# Not getrusage: its peak is inherited from the process that started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def test_memory_of_2_gb(stage, registry_factory):
    here, target = stage([500_000_000] * 4), registry_factory()
    begin = time.monotonic()
    printed = here.ours(target, program=["-c", _METER])
    took = time.monotonic() - begin
    megabytes = int(printed) * 1024 / 1e6
    keep("promote 2 GB", {"peak MB": round(megabytes), "seconds": round(took, 1)})
    print(f"promote 2 GB: {megabytes:.0f} MB of memory at most, {took:.1f} s")
    assert megabytes <= 80
