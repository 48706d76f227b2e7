"""A build context as a tar stream: read once, not buffered in memory or on disk, ``.dockerignore`` honoured.

Rules of ``.dockerignore``: docs.docker.com/build/concepts/context (the file is read as Docker's own client reads it).
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from container_pipeline.errors import BuildError
from container_pipeline.i18n import _

IGNORE_FILE = ".dockerignore"
#: Bytes read and sent at a time.
CHUNK = 1 << 20


@dataclass(frozen=True)
class Pattern:
    """One line of ``.dockerignore``: ``keeps`` if it begins with an exclamation mark."""

    text: str
    keeps: bool

    @property
    def expression(self) -> re.Pattern[str]:
        """The pattern as a regular expression; raises BuildError if it is invalid, as Docker does."""
        try:
            return re.compile(_translate(self.text))
        except (re.error, ValueError) as error:
            raise BuildError(
                _("{file}: {pattern} is not a pattern", file=IGNORE_FILE, pattern=self.text),
                _("put a backslash before a literal ["),
            ) from error


class Ignored:
    """Decides which paths are ignored; the last pattern that matches a path or a folder above it wins."""

    def __init__(self, patterns: list[Pattern]) -> None:
        self._patterns = [(pattern, pattern.expression) for pattern in patterns]

    @classmethod
    def read(cls, root: Path, always: tuple[str, ...] = (), file: Path | None = None) -> Ignored:
        """Read the context's ``.dockerignore``, or ``file`` instead; files in ``always`` are sent in any case."""
        path, text = file or root / IGNORE_FILE, ""
        if path.is_file():
            with _reading(path):
                # Decoded like file names, so that it matches the same bytes in any encoding.
                text = path.read_text("utf-8-sig", "surrogateescape")
        return cls([*parse(text), *(Pattern(name, True) for name in always)])

    def __call__(self, path: str) -> bool:
        """Return whether ``path``, relative to the root and with slashes, is ignored."""
        parts = path.split("/")
        prefixes = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        ignored = False
        for pattern, expression in self._patterns:
            # Skip a pattern that would not change the result.
            if ignored == pattern.keeps and any(expression.fullmatch(prefix) for prefix in prefixes):
                ignored = not pattern.keeps
        return ignored

    def all_below(self, folder: str) -> bool:
        """Return whether an ignored folder can be skipped, because no pattern includes anything below it again."""
        return not any(pattern.keeps and f"{pattern.text}/".startswith(f"{folder}/") for pattern, _re in self._patterns)


def ignore_files(root: Path, dockerfile: Path, builder: str) -> list[Path]:
    """Return the files of which a build reads one, the most likely first.

    BuildKit reads the file beside the Dockerfile, if there is one, instead of the context's; the engine's own builder never does.
    """
    own = dockerfile.with_name(f"{dockerfile.name}{IGNORE_FILE}")
    if builder == "engine" or not own.is_file():
        return [root / IGNORE_FILE]
    return [own] if builder == "buildkit" else [own, root / IGNORE_FILE]


def parse(text: str) -> list[Pattern]:
    """Parse the lines of a ``.dockerignore``; empty lines and comments are skipped."""
    patterns = []
    for line in text.split("\n"):
        if line.startswith("#") or not line.strip():
            continue
        line = line.strip()
        keeps = line.startswith("!")
        cleaned = os.path.normpath(line[1:].strip() if keeps else line).lstrip("/")
        if cleaned not in ("", "."):
            patterns.append(Pattern(cleaned, keeps))
    return patterns


def _translate(pattern: str) -> str:
    """Return a pattern as a regular expression: ``**`` crosses folders, ``*`` and ``?`` do not.

    Raises ValueError for an unclosed bracket.
    """
    out, rest = "", pattern
    while rest:
        if rest.startswith("**"):
            rest = rest[2:]
            if rest.startswith("/"):
                rest = rest[1:]
                out += "(?:.*/)?"
            else:
                out += ".*"
            continue
        char, rest = rest[0], rest[1:]
        if char == "*":
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[":
            end = rest.index("]", 1)
            out += "[" + rest[:end].replace("\\", "\\\\") + "]"
            rest = rest[end + 1 :]
        elif char == "\\" and rest:
            out, rest = out + re.escape(rest[0]), rest[1:]
        else:
            out += re.escape(char)
    return f"(?s:{out})"


def files(root: Path, ignored: Ignored) -> Iterator[tuple[str, Path]]:
    """Yield (name in the context, path) for each entry, folders before their content, sorted by name."""
    yield from _below(root, "", ignored)


def _below(folder: Path, prefix: str, ignored: Ignored) -> Iterator[tuple[str, Path]]:
    with _reading(folder), os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        out = ignored(name)
        if not out:
            yield name, folder / entry.name
        if entry.is_dir(follow_symlinks=False) and not (out and ignored.all_below(name)):
            yield from _below(folder / entry.name, name + "/", ignored)


def stream(
    root: Path, ignored: Ignored, extra: dict[str, bytes], sent: Callable[[int], None] = lambda _bytes: None
) -> Iterator[bytes]:
    """Yield the context as tar. ``extra`` maps names to files that replace those of the folder.

    All entries belong to root, as in Docker's own client. ``sent`` gets the size of each piece.
    Raises BuildError for a file that cannot be read or changes meanwhile.
    """
    for piece in _pieces(root, ignored, extra):
        sent(len(piece))
        yield piece


def _pieces(root: Path, ignored: Ignored, extra: dict[str, bytes]) -> Iterator[bytes]:
    linked: dict[tuple[int, int], str] = {}
    for name, content in extra.items():
        info = tarfile.TarInfo(name)
        info.size = len(content)
        yield _header(info)
        yield content + _padding(len(content))
    for name, path in files(root, ignored):
        if name in extra:
            continue
        entry = _info(name, path, linked)
        if entry is None:
            continue
        yield _header(entry)
        if entry.isreg():
            yield from _content(path, entry.size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _info(name: str, path: Path, linked: dict[tuple[int, int], str]) -> tarfile.TarInfo | None:
    """Return the tar entry of one path; None for a socket, which tar cannot contain."""
    with _reading(path):
        found = path.lstat()
    info = tarfile.TarInfo(name)
    info.mode, info.mtime = stat.S_IMODE(found.st_mode), int(found.st_mtime)
    if stat.S_ISREG(found.st_mode):
        inode = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and inode in linked:
            info.type, info.linkname = tarfile.LNKTYPE, linked[inode]
        else:
            linked[inode] = name
            info.size = found.st_size
    elif stat.S_ISDIR(found.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(found.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
    elif stat.S_ISFIFO(found.st_mode):
        info.type = tarfile.FIFOTYPE
    else:
        return None
    return info


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _content(path: Path, size: int) -> Iterator[bytes]:
    left = size
    with _reading(path), path.open("rb", buffering=0) as file:
        while left:
            piece = file.read(min(CHUNK, left))
            if not piece:
                raise BuildError(
                    _("{path} became shorter while it was read", path=path),
                    _("build while nothing changes these files"),
                )
            left -= len(piece)
            yield piece
    yield _padding(size)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert an OSError to a BuildError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise BuildError(
            _("{path} cannot be read: {problem}", path=path, problem=error.strerror),
            _("list it in {file} if the image does not need it", file=IGNORE_FILE),
        ) from error


def place_dockerfile(root: Path, dockerfile: Path) -> tuple[str, dict[str, bytes]]:
    """Return the Dockerfile's name in the context, and the extra files for a Dockerfile from elsewhere.

    As in Docker's client, a Dockerfile from elsewhere gets a unique name, which the sent ``.dockerignore`` hides from the
    image.
    """
    try:
        return dockerfile.relative_to(root).as_posix(), {}
    except ValueError:
        name = f".dockerfile.{secrets.token_hex(8)}"
    # A generated .dockerignore hides itself too.
    own = (root / IGNORE_FILE).read_bytes() if (root / IGNORE_FILE).is_file() else IGNORE_FILE.encode()
    return name, {name: dockerfile.read_bytes(), IGNORE_FILE: own.rstrip(b"\n") + f"\n{name}\n".encode()}
