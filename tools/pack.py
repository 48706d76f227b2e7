"""Build the files with which the library carries the agent: ``python -m tools.pack [FOLDER]``.

``agent.tar`` is our own code, ``agent.libraries.tar.bz2`` what it imports, and ``agent.sha256`` has the digests of both.
Our own code changes with almost every commit: uncompressed, git stores each version as a small difference.

The files are the same bytes on every machine: the wheels are pinned by hash and chosen for one fixed platform, only
their Python files are taken, names are sorted, times and owners are fixed, and bzip2 is the one compressor of the
standard library whose encoder has stayed as it is for twenty years (zlib's output differs between zlib, zlib-ng and
their versions).
"""

from __future__ import annotations

import bz2
import fnmatch
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements" / "agent.txt"
TARGET = ROOT / "resources" / "container-pipeline"
OWN, LIBRARIES, DIGESTS = "agent.tar", "agent.libraries.tar.bz2", "agent.sha256"
PLATFORM = ["--platform=manylinux2014_x86_64", "--platform=any", "--python-version=3.9", "--implementation=cp"]

#: Distributions that are left out: rich and its dependencies draw bars on a terminal; pbr does not use setuptools here.
UNUSED = {"rich", "pygments", "markdown-it-py", "mdurl", "setuptools"}
#: Published as source only; pure Python.
SOURCE_ONLY = {"multi-key-dict"}
#: Files of a wheel that are carried: Python, data, licence, and the metadata that python-jenkins reads.
CARRIED = ("*.py", "*.pem", "*.dist-info/licenses/*", "*.dist-info/LICEN[CS]E*", "*.dist-info/NOTICE*",
           "python_jenkins-*.dist-info/METADATA")  # fmt: skip
LEFT = ("*/tests/*", "pbr/cmd/*", "pbr/hooks/*", "pbr/_compat/*", "*/__pycache__/*")


def build(folder: Path = TARGET, agent: Path = ROOT / "agent") -> str:
    """Write the files into ``folder``; return their digests, separated by blanks."""
    packed = {OWN: _archive(sorted(_own(agent))), LIBRARIES: bz2.compress(_archive(sorted(_others())), 9)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in packed.items():
        (folder / name).write_bytes(content)
    digests = _digests(folder)
    (folder / DIGESTS).write_text(digests + "\n", encoding="ascii")
    return digests


def _digests(folder: Path) -> str:
    return " ".join(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (OWN, LIBRARIES))


def _own(agent: Path) -> Iterator[tuple[str, bytes]]:
    for path in (agent / "container_pipeline").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(agent).as_posix(), path.read_bytes()


def _others() -> Iterator[tuple[str, bytes]]:
    for wheel in _wheels():
        with zipfile.ZipFile(wheel) as opened:
            for name in opened.namelist():
                carried = any(fnmatch.fnmatch(name, pattern) for pattern in CARRIED)
                if carried and not name.endswith("/") and not any(fnmatch.fnmatch(name, pattern) for pattern in LEFT):
                    yield name, opened.read(name)


def _wheels() -> list[Path]:
    """Return the pinned wheels. They are cached under a digest of the requirements and the left-out distributions."""
    wanted = _pinned(lambda name: name not in UNUSED)
    key = hashlib.sha256(wanted.encode()).hexdigest()[:16]
    kept = ROOT / "build" / f"wheels-{key}"
    if not kept.is_dir():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as name:
            fresh = Path(name) / "wheels"
            _pip(
                "download",
                fresh,
                _pinned(lambda name: name not in UNUSED | SOURCE_ONLY),
                *PLATFORM,
                "--only-binary=:all:",
            )
            _pip("wheel", fresh, _pinned(lambda name: name in SOURCE_ONLY), "--use-pep517")
            try:
                fresh.rename(kept)
            except OSError:
                if not kept.is_dir():
                    raise
    return sorted(kept.glob("*.whl"))


def _pip(verb: str, folder: Path, requirements: str, *options: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(requirements)
        file.flush()
        command = [
            sys.executable,
            "-m",
            "pip",
            verb,
            "-q",
            "--disable-pip-version-check",
            "--require-hashes",
            "--no-deps",
        ]
        where = ["--dest" if verb == "download" else "--wheel-dir", str(folder)]
        subprocess.run([*command, *options, *where, "-r", file.name], check=True)


def _pinned(wanted: Callable[[str], bool]) -> str:
    """Return the requirements of the wanted distributions, with their hashes."""
    entries: list[str] = []
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith((" ", "#")):
            entries.append("")
        if entries and not line.lstrip().startswith("#"):
            entries[-1] += line + "\n"
    return "".join(entry for entry in entries if wanted(entry.partition("==")[0]))


def _archive(files: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o644
            entry.mtime = 315532800  # 1980-01-01, the earliest that zip files and all tools know
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def main() -> int:
    """Build; with ``--check``, compare the committed files with a fresh build."""
    if "--check" in sys.argv:
        committed = (TARGET / DIGESTS).read_text(encoding="ascii").strip()
        with tempfile.TemporaryDirectory() as name:
            fresh = build(Path(name))
        same = fresh == committed == _digests(TARGET)
        print(
            "the committed agent is the one that `make agent` builds"
            if same
            else "the committed agent is stale: make agent"
        )
        return 0 if same else 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for name, digest in zip((OWN, LIBRARIES), build(folder).split()):
        print(f"{folder / name}: {(folder / name).stat().st_size} bytes, sha256 {digest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
