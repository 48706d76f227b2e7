"""The lab inside one privileged Debian container, for machines without Debian or without root.

The container has its own engine, network and volume; it shares only the kernel. This repository is mounted at the same
path, so that a command runs inside as outside.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Sequence

from lab.place import REPOSITORY, LabError

IMAGE = "debian:bookworm-slim"
_MARK = "LAB_IS_CONTAINER"
_PASSED = ("CI", "WORKERS", "JENKINS_PARTS", "JENKINS_LISTS", "DOCKER_SH", "LAB_PORT_BASE")
_PREPARE = (
    "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends make python3"
)


def needed() -> bool:
    """Return the container if the lab cannot run directly on this machine; raises LabError with what is missing."""
    if os.environ.get(_MARK) or (os.geteuid() == 0 and sys.platform == "linux" and shutil.which("apt-get")):
        return False
    if shutil.which("docker") and _docker("info", "-f", "{{.ID}}").returncode == 0:
        return True
    raise LabError(
        "the lab needs either root on Debian or Ubuntu (sudo make lab), or a Docker engine that you may use "
        "(then it runs in a privileged container)"
    )


def name() -> str:
    return f"container-pipeline-lab-{zlib.crc32(str(REPOSITORY).encode()):08x}"


def up() -> None:
    """Start the container if it does not run; the first start installs two packages."""
    if _docker("inspect", "-f", "{{.State.Running}}", name()).stdout.strip() == "true":
        return
    _docker("rm", "-f", name())
    mounts = ["-v", f"{REPOSITORY}:{REPOSITORY}", "-v", f"{name()}:/lab"]
    for path in map(os.environ.get, ("JENKINS_PARTS", "JENKINS_LISTS", "DOCKER_SH")):
        mounts += ["-v", f"{path}:{path}:ro"] if path else []
    settings = ["-e", f"{_MARK}=1", "-e", "LAB_DIR=/lab/lab", "-e", "XDG_CACHE_HOME=/lab/cache", "-e", "VENV=/lab/venv"]
    _must("run", "-d", "--init", "--privileged", "--cgroupns", "host", "--hostname", "build-node", "--name", name(),
          *mounts, *settings, IMAGE, "sleep", "infinity")  # fmt: skip
    _must("exec", name(), "sh", "-c", _PREPARE)


def run(command: Sequence[str]) -> int:
    """Run a command inside, in this repository's folder; return its exit code."""
    passed = [word for key in _PASSED if key in os.environ for word in ("-e", key)]
    terminal = ["-t"] if sys.stdout.isatty() else []
    return subprocess.run(["docker", "exec", *terminal, "-w", str(REPOSITORY), *passed, name(), *command]).returncode


def lab(arguments: Sequence[str]) -> int:
    return run(["env", f"PYTHONPATH={REPOSITORY}/tests", "python3", "-m", "lab", *arguments])


def exists() -> bool:
    return _docker("inspect", name()).returncode == 0


def down() -> None:
    """Remove the container and its volume."""
    _docker("rm", "-f", name())
    _docker("volume", "rm", "-f", name())


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


def _must(*arguments: str) -> None:
    done = _docker(*arguments)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise LabError(f"docker {arguments[0]} of the lab's container failed: {lines[-1]}")
