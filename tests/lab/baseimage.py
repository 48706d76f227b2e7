"""The base images of projects in the lab: pulled if possible, else built from Debian.

A built one contains this machine's CA bundle, in PIP_CERT: behind a company's proxy, `pip install` in a build needs it.
This is only in the lab's image, never in a project's Dockerfile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab import engine
from lab.place import LabError, cache
from lab.process import run

PYTHON = "python:3.11-slim"
SMALL = "busybox:latest"
_SUITE = "bookworm"  # its python3 is 3.11
_LEFT_OUT = ("doc", "man", "locale", "info")
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_FIX = """
set -e
ln -sf python3 "$1/usr/bin/python"
rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED
rm -rf "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/usr/share/perl "$1"/usr/lib/x86_64-linux-gnu/gconv
"""


def up(docker_host: str) -> None:
    """Make sure that both images are in the engine."""
    for name, make in ((PYTHON, _python_archive), (SMALL, _small_archive)):
        if _has(docker_host, name) or _pull(docker_host, name):
            continue
        changes = ["CMD python3"] if name == PYTHON else ["CMD sh"]
        if name == PYTHON:
            changes.append(f"ENV PIP_CERT={_CA_BUNDLE} PIP_ROOT_USER_ACTION=ignore LANG=C.UTF-8")
        options = [word for change in changes for word in ("--change", change)]
        engine.docker(docker_host, "import", *options, str(make()), name)


def _has(docker_host: str, name: str) -> bool:
    return bool(engine.docker(docker_host, "images", "-q", name).strip())


def _pull(docker_host: str, name: str) -> bool:
    """Return whether the image could be pulled; tried once per lab, for at most 60 seconds."""
    try:
        engine.docker(docker_host, "pull", "-q", name, timeout=60)
    except (LabError, subprocess.TimeoutExpired):
        return False
    return True


def _python_archive() -> Path:
    kept = cache() / f"python-{_SUITE}.tar"
    if kept.exists():
        return kept
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        run(
            "mmdebstrap", "--variant=minbase", "--format=directory", *excluded,
            "--include=python3,python3-pip,ca-certificates,tzdata", _SUITE, str(tree), timeout=900,
        )  # fmt: skip
        run("sh", "-c", _FIX, "fix", str(tree))
        if Path(_CA_BUNDLE).exists():
            shutil.copyfile(_CA_BUNDLE, f"{tree}{_CA_BUNDLE}")
        return _pack(tree, kept)


def _small_archive() -> Path:
    """Build an image with busybox: shell, web server and common commands in one static program of 2 MB."""
    kept = cache() / "busybox.tar"
    if kept.exists():
        return kept
    program = shutil.which("busybox", path="/bin:/usr/bin")
    if not program:
        raise LabError("busybox is missing; install busybox-static")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
            (tree / name).mkdir(parents=True)
        shutil.copy2(program, tree / "bin/busybox")
        for command in run(program, "--list").split():
            if command != "busybox":
                (tree / "bin" / command).symlink_to("busybox")
        (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (tree / "etc/group").write_text("root:x:0:\n")
        return _pack(tree, kept)


def _pack(tree: Path, kept: Path) -> Path:
    part = kept.with_suffix(f".{os.getpid()}")
    run("tar", "-C", str(tree), "--sort=name", "--numeric-owner", "-cf", str(part), ".")
    part.rename(kept)
    return kept
