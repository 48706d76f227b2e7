"""Facts from git about the sources of a build; empty without git."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from container_pipeline.clients import children
from container_pipeline.project import context


@dataclass(frozen=True)
class Sources:
    """The sources of an image. ``fingerprint`` changes when a file of the context does; contents are not read."""

    revision: str = ""
    url: str = ""
    fingerprint: str = ""


def sources(folder: Path, dockerfile: Path) -> Sources:
    """Return the sources of an image, from git if possible, else from sizes and times."""
    revision = (_git(folder, "rev-parse", "HEAD") or "").strip()
    changed = _git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", ".")
    tree, top = (_git(folder, "rev-parse", name) if revision else None for name in ("HEAD:./", "--show-toplevel"))
    if changed is None or not tree or not top:
        return Sources(revision, "", _hash(_stats(folder, [str(dockerfile), *_walk(folder, dockerfile)])))
    names = [entry[3:] for entry in changed.split("\0") if entry and not _state(entry[3:])]
    # The remote's address may contain a login.
    url = re.sub(r"://[^/]*@", "://", (_git(folder, "config", "--get", "remote.origin.url") or "").strip())
    return Sources(revision, url, _hash([tree.strip(), *_stats(Path(top.rstrip("\n")), [str(dockerfile), *names])]))


#: Bounds of a list of commits: how many, and how many bytes.
_MOST, _LARGEST = 200, 1 << 18


#: The list of commits that goes with a build to a node without its repository.
LIST = ".docker_build_commits.json"


def commits(folder: Path, since: str, until: str) -> list[dict[str, str]]:
    """Return the commits that touch ``folder`` after ``since`` up to ``until``, newest first; none that git does not know.

    Each has revision, author and subject. A shallow clone may know too few. Without ``since``: the last ones.
    """
    if not all(re.fullmatch("[0-9a-f]{7,64}|HEAD", revision) for revision in (since or until, until)):
        return []
    form, span = "--format=%H%x1f%an%x1f%s", f"{since}..{until}" if since else until
    told = _git(folder, "log", "-z", f"--max-count={_MOST}", form, span, "--", ".") or ""
    lines = [entry.encode("utf-8", "replace").decode() for entry in told[:_LARGEST].split("\0")]
    parts = [line.split("\x1f", 2) for line in lines if line.count("\x1f") >= 2]
    return [dict(zip(("revision", "author", "subject"), entry)) for entry in parts]


def tracked(folder: Path) -> list[str]:
    """Return the paths of the files in ``folder`` that git tracks, from there; none without git."""
    listed = _git(folder, "ls-files", "-z", "--cached", "--recurse-submodules", "--", ".") or ""
    return [name for name in listed.split("\0") if name and not _state(name)]


def _walk(folder: Path, dockerfile: Path) -> list[str]:
    # Which of several files a build reads depends on the builder: what any of them lets pass counts.
    ignored = [context.Ignored.read(folder, file=one) for one in context.ignore_files(folder, dockerfile, "auto")]
    found = dict(pair for each in ignored for pair in context.files(folder, each))
    return [name for name, path in found.items() if not _state(name) and not os.path.isdir(path)]


def _state(name: str) -> bool:
    """Return whether a build itself writes this file."""
    return name.rpartition("/")[2].startswith(".docker_build")


def _stats(root: Path, names: list[str]) -> list[str]:
    lines = []
    for name in names:
        try:
            found = (root / name).lstat()
            lines.append(f"{name} {found.st_size} {found.st_mtime_ns}")
        except OSError:
            lines.append(f"{name} gone")
    return lines


def _hash(lines: list[str]) -> str:
    import hashlib

    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:24]


#: Environment variables that git needs to find a repository and its settings.
_ENVIRONMENT = re.compile(r"PATH|HOME|XDG_CONFIG_HOME|GIT_(?:DIR|WORK_TREE|CEILING_DIRECTORIES|CONFIG.*)")


#: Seconds for one call: in a large repository, git reads the state of every file.
_TIMEOUT = 120


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's output, None if git is missing, fails or does not end."""
    environ = {name: value for name, value in os.environ.items() if _ENVIRONMENT.fullmatch(name)}
    done = children.ask(["git", "-C", str(folder), *arguments], environ, timeout=_TIMEOUT)
    return done.stdout.decode("utf-8", "surrogateescape") if done and done.returncode == 0 else None
