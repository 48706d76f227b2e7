"""CP12… and CP13…: RUN and COPY instructions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from container_pipeline.errors import BuildError
from container_pipeline.i18n import _
from container_pipeline.plan.lint.dockerfile import Dockerfile, Instruction
from container_pipeline.plan.lint.model import Edit, Facts, Hit, rule
from container_pipeline.project.context import IGNORE_FILE, Ignored, parse

_KIND = "Dockerfile"
_PIP = re.compile(r"\b(pip3?|python3? -m pip)\s+install\b")
_WITH_VALUE = {
    "-r",
    "-c",
    "-i",
    "-t",
    "--index-url",
    "--extra-index-url",
    "--trusted-host",
    "--find-links",
    "-f",
    "--timeout",
    "--retries",
    "--target",
    "--prefix",
    "--constraint",
    "--requirement",
    "--root-user-action",
    "--progress-bar",
}


def _pip_installs(file: Dockerfile) -> Iterator[tuple[Instruction, list[str]]]:
    """Yield each ``pip install`` with the words after ``install``."""
    for one in file.all("RUN"):
        for words in one.commands:
            if _PIP.search(" ".join(words)) and "install" in words and words[0] not in ("echo", "printf"):
                yield one, words[words.index("install") + 1 :]


@rule("CP121", _KIND, _("a package without a version may be another one tomorrow"))
def unpinned_package(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one, words in _pip_installs(file):
        for name in _packages(words):
            if not re.search(r"==|@|[$./]", name):
                yield Hit(
                    one.first,
                    _("pip installs {name} without a version", name=name),
                    _("write {text}", text=f"{re.split('[<>=!~; ]', name)[0]}==VERSION"),
                )


def _packages(words: list[str]) -> Iterator[str]:
    if "-c" in words or "--constraint" in words:
        return
    skip = False
    for word in words:
        if not skip and not word.startswith(("-", "<")):
            name = word.strip("\"'")
            if name not in ("pip", "setuptools", "wheel"):
                yield name
        skip = word in _WITH_VALUE


@rule("CP122", _KIND, _("pip's cache makes the image larger and is never read again"))
def pip_cache(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    if re.search(r"PIP_NO_CACHE_DIR", file.source.text):
        return
    said: set[int] = set()
    for one, words in _pip_installs(file):
        if "--no-cache-dir" in words or one.cache_mounted or one.first in said:
            continue
        said.add(one.first)
        lines = file.source.lines[one.first - 1 : one.last]
        installs = sum(other is one for other, _words in _pip_installs(file))
        edit = _changed(one, lines, _PIP, r"\1 install --no-cache-dir", installs)
        yield Hit(one.first, _("pip install keeps its cache in the image"), _("add --no-cache-dir"), edit)


def _changed(one: Instruction, lines: list[str], pattern: re.Pattern[str], text: str, commands: int) -> Edit | None:
    """Return the edit that replaces ``pattern`` with ``text``; None if it matches more or less than the ``commands``."""
    changed = [pattern.subn(text, line) for line in lines]
    if sum(count for _line, count in changed) != commands:
        return None
    return Edit(one.first, one.last, tuple(line for line, _count in changed))


@rule("CP123", _KIND, _("without -y apt-get asks for confirmation, which a build cannot give"))
def apt_asks(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("RUN"):
        installs = [words for words in one.commands if "install" in words and {"apt-get", "apt"} & set(words)]
        for words in installs:
            if not any(re.fullmatch(r"-[a-z]*[yq][a-z]*|--yes|--assume-yes", word) for word in words):
                lines = file.source.lines[one.first - 1 : one.last]
                pattern = re.compile(r"\b(apt(?:-get)?)\s+install\b(?!.*\s-[a-z]*[yq]\b)")
                edit = _changed(one, lines, pattern, r"\1 install -y", len(installs))
                yield Hit(one.first, _("apt-get install without -y"), _("add -y"), edit)


@rule("CP124", _KIND, _("package lists left in the image become stale and make it larger"))
def apt_lists(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("RUN"):
        if (
            re.search(r"\bapt(?:-get)?\s+(?:\S+\s+)*?update\b", one.script)
            and "/var/lib/apt/lists" not in one.script
            and not one.cache_mounted
        ):
            yield Hit(
                one.first,
                _("the package lists of apt-get update stay in the image"),
                _("end the same RUN with && rm -rf /var/lib/apt/lists/*"),
            )


@rule("CP125", _KIND, _("package lists from another layer may be old and name packages that are gone"))
def apt_without_update(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("RUN"):
        if re.search(r"\bapt(?:-get)?\s+(?:-\S+\s+)*install\b", one.script) and not re.search(
            r"\bupdate\b", one.script
        ):
            yield Hit(
                one.first,
                _("apt-get install without apt-get update in the same RUN"),
                _("write apt-get update && apt-get install"),
            )


@rule("CP126", _KIND, _("a build already runs as root, and images have no sudo"))
def sudo(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("RUN"):
        if any(words[:1] == ["sudo"] for words in one.commands):
            yield Hit(one.first, _("sudo in a build"), _("remove it; to switch to another user, write USER"))


@rule(
    "CP131",
    _KIND,
    _("settings and secrets come with the deploy; everybody who may pull an image can read what is in it"),
)
def copies_secret(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("COPY", "ADD"):
        for word in one.words[:-1]:
            name = word.rpartition("/")[2]
            if re.fullmatch(
                r"\.env(\.(?!example|sample|template).+)?|id_(rsa|ed25519|ecdsa)|.*\.(key|p12|pfx)|.*key\.pem|\.pypirc|\.netrc",
                name,
            ):
                yield Hit(
                    one.first,
                    _("{name} is copied into the image", name=word),
                    _("leave it to the deploy, or to the build's `secrets:`"),
                )


@rule("CP132", _KIND, _("without .dockerignore, a copy of the whole folder includes .env and .git"))
def nothing_ignored(file: Dockerfile, facts: Facts) -> Iterator[Hit]:
    name, text = next(((one.name, one.plain) for one in facts.dockerignore), (IGNORE_FILE, ""))
    try:
        ignored = Ignored(parse(text))
    except BuildError:
        return  # the build refuses the pattern by name
    wanted = [name for name in (".env", ".git") if not ignored(name)]
    for one in file.all("COPY", "ADD"):
        if one.copies_project and wanted:
            yield Hit(
                one.first, _("the copy includes {names}", names=", ".join(wanted)), _("list them in {file}", file=name)
            )
            return
