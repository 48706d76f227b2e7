"""The state that a build leaves in the project's root: the two files of docker.sh, and a third with more facts.

``.docker_build_image`` holds ``[namespace/]code``, ``.docker_build_version`` the version, one line each;
``.docker_build.json`` has the digest from the registry and the sources of the image.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, TextIO

from container_pipeline import outside
from container_pipeline.errors import SettingsError, StateError
from container_pipeline.i18n import _
from container_pipeline.model import Digest, Repository, Version
from container_pipeline.project import files

IMAGE_FILE = ".docker_build_image"
VERSION_FILE = ".docker_build_version"
RECORD_FILE = ".docker_build.json"
FILES = (IMAGE_FILE, VERSION_FILE, RECORD_FILE)
_REPAIR = "container-pipeline build"
#: Longest file, in bytes.
_LARGEST = 1 << 16
#: Seconds to wait for another run on this machine.
PATIENCE = 60.0


@dataclass(frozen=True)
class Built:
    """The last build of a project. ``digest`` is "" until a registry returns one; ``image_id`` is the engine's.

    ``created`` is the image's label of that name. ``promoted`` is the digest in production where it is another one.
    """

    image: str
    version: str
    image_id: str = ""
    digest: str = ""
    revision: str = ""
    sources: str = ""
    created: str = ""
    promoted: str = ""


def read(project: Path) -> Built | None:
    """Return the last build, None if there is none; raises StateError if its files cannot be trusted."""
    if not (project / VERSION_FILE).exists():
        return None
    image, version = _line(project / IMAGE_FILE), _line(project / VERSION_FILE)
    _check(VERSION_FILE, Repository, image)
    _check(VERSION_FILE, Version, version)
    record = _record(project / RECORD_FILE)
    if record.get("image") == image and record.get("version") == version:
        for name in ("digest", "promoted"):
            if record.get(name):
                _check(RECORD_FILE, Digest, str(record[name]))
        return Built(**{name: str(record.get(name, "")) for name in Built.__dataclass_fields__})
    return Built(image, version)


def write(project: Path, built: Built) -> None:
    """Replace the three files, each atomically."""
    files.replace(project / RECORD_FILE, json.dumps({"schema": 1, **asdict(built)}, indent=1) + "\n")
    files.replace(project / IMAGE_FILE, built.image + "\n")
    files.replace(project / VERSION_FILE, built.version + "\n")


def write_digest(project: Path, version: str, digest: str) -> bool:
    """Record the registry's digest of the last version; False if the project is not writable."""
    return _record_digest(project, version, digest=digest)


def write_promoted(project: Path, version: str, digest: str) -> bool:
    """Record the digest that production has of the last version; False if the project is not writable."""
    return _record_digest(project, version, promoted=digest)


def _record_digest(project: Path, version: str, **digests: str) -> bool:
    try:
        built = read(project)
        if built and built.version == version and built != replace(built, **digests):
            write(project, replace(built, **digests))
    except OSError:
        return False
    return True


def cannot_write(project: Path) -> str:
    """Return why the project's folder is not writable, "" if it is."""
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(dir=project, prefix=RECORD_FILE):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def last_version(project: Path) -> str:
    """Return the content of the version file, unchecked; "" if it is missing."""
    try:
        return outside.read_file(project / VERSION_FILE, _LARGEST).decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def reserve(name: str, version: str) -> bool:
    """Reserve a version of an image on this machine; False if another build already did.

    Without a place for reservations, such as with a read-only home, none are made: then only the push refuses a version that
    already exists.
    """
    import fcntl

    try:
        with _of_this_machine(name) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.read(_LARGEST) == version:
                return False
            file.seek(0)
            file.truncate()
            file.write(version)
    except (OSError, RuntimeError, UnicodeError):
        return True
    return True


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the lock of ``name`` on this machine; go on without it after a minute, or if there is no place for a lock."""
    import fcntl

    with ExitStack() as stack:
        try:
            file = stack.enter_context(_of_this_machine(name))
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.01)
        except (OSError, RuntimeError):
            pass
        yield


def _of_this_machine(name: str) -> TextIO:
    """Open the file that all runs of this user on this machine share for ``name``."""
    import hashlib

    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "container-pipeline" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha256(name.encode()).hexdigest()[:32]
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+", encoding="ascii")


def _line(path: Path) -> str:
    try:
        # Not in text mode, which would hide a carriage return.
        text = outside.read_file(path, _LARGEST).decode()
    except (OSError, ValueError) as error:
        raise _broken(path.name, _("it cannot be read")) from error
    lines = text.split("\n")
    if len(lines) > 2 or (len(lines) == 2 and lines[1]) or not lines[0] or "\r" in text:
        raise _broken(path.name, _("it must hold exactly one line"))
    return lines[0]


def _check(name: str, kind: Callable[[str], object], value: str) -> None:
    try:
        kind(value)
    except SettingsError as error:
        raise _broken(name, error.message) from error


def _broken(name: str, problem: str) -> StateError:
    return StateError(
        _("{file} cannot be used: {problem}", file=name, problem=problem),
        _("run `{command}` to build again", command=_REPAIR),
    )


def _record(path: Path) -> dict[str, Any]:
    try:
        return outside.read_json(outside.read_file(path, _LARGEST), dict, _LARGEST)
    except (OSError, ValueError):
        return {}
