"""CP1…: the Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

from container_pipeline.i18n import _
from container_pipeline.plan.lint.dockerfile import KEYWORDS, Dockerfile, Instruction
from container_pipeline.plan.lint.model import Edit, Facts, Hit, looks_secret, rule

_KIND = "Dockerfile"
_SHELL_CHARACTERS = set("$&|;<>*?~`()[]{}\\#!")
_BUILTINS = r"\.|source|cd|export|set|unset|ulimit|umask|trap|eval|exit|wait|command|type|:"


@rule("CP100", _KIND, _("a Dockerfile consists of Docker instructions and begins with FROM"))
def not_an_instruction(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    if not any(file.all("FROM")):
        yield Hit(1, _("it has no FROM"))
    elif file.instructions[0].keyword in KEYWORDS - {"ARG", "FROM"}:
        yield Hit(file.instructions[0].first, _("{keyword} stands before FROM", keyword=file.instructions[0].keyword))
    for one in file.instructions:
        if one.keyword not in KEYWORDS:
            yield Hit(one.first, _("{word} is not an instruction", word=one.keyword))
        if one.unended:
            yield Hit(one.first, _("the here-document never ends: no line is {word}", word=one.unended))


@rule(
    "CP101",
    _KIND,
    _("install dependencies before copying the code; otherwise each changed line installs them again"),
)
def install_after_copy(file: Dockerfile, facts: Facts) -> Iterator[Hit]:
    copies: dict[int, Instruction] = {}
    done: set[int] = set()
    for one in file.instructions:
        if one.stage in done:
            continue
        if one.copies_project:
            copies.setdefault(one.stage, one)
        elif one.keyword == "RUN" and any(_installs_dependencies(words) for words in one.commands):
            done.add(one.stage)
            if one.stage in copies:
                yield Hit(
                    one.first,
                    _(
                        "dependencies are installed after the whole project was copied (line {line})",
                        line=copies[one.stage].first,
                    ),
                    _("copy only the file that lists them, install, then copy the rest"),
                    _install_first(file, copies[one.stage], one, facts),
                )


def _installs_dependencies(words: list[str]) -> bool:
    text = " ".join(words)
    return bool(re.search(r"\bpip3?\b.* install\b.* -r|\bpoetry install\b|\buv sync\b|\bpipenv (install|sync)\b", text))


def _install_first(file: Dockerfile, copy: Instruction, run: Instruction, facts: Facts) -> Edit | None:
    """Return the two swapped, if nothing is between them and the list needs no file of the project."""
    named = re.search(r"-r\s*(\S+)", run.text)
    plain = {source.name: source for source in facts.requirements}
    if (
        not named
        or named[1] not in plain
        or len(copy.words) != 2
        or copy.flags
        or run.first != copy.last + 1
        or "&&" in run.text
    ):
        return None
    if re.search(r"^\s*(-[erc]\b|\.|--(editable|requirement)|file:)", plain[named[1]].text, re.M):
        return None
    lines = file.source.lines
    listed = f"{copy.keyword} {named[1]} {copy.words[1]}"
    return Edit(copy.first, run.last, (listed, *lines[run.first - 1 : run.last], *lines[copy.first - 1 : copy.last]))


@rule("CP102", _KIND, _("pin the base image to a tag other than latest, or tomorrow's build may differ"))
def unpinned_base(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    stages = {"scratch"}
    for one in file.all("FROM"):
        image, *rest = one.text.split() or [""]
        if image.lower() not in stages and "$" not in image and "@" not in image:
            tag = image.rpartition("/")[2].partition(":")[2]
            if tag in ("", "latest"):
                yield Hit(
                    one.first,
                    _("base image {image} is not pinned to a version", image=image),
                    _("use a tag, such as python:3.12-slim"),
                )
        if len(rest) == 2 and rest[0].lower() == "as":
            stages.add(rest[1].lower())


@rule(
    "CP103",
    _KIND,
    _("an entry point in exec form receives the stop signal; in shell form each stop takes ten seconds"),
)
def shell_form(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("ENTRYPOINT", "CMD"):
        if one.array is None and not one.text.startswith(("exec ", "[")):
            yield Hit(
                one.first,
                _("{keyword} is in shell form", keyword=one.keyword),
                _('write {keyword} ["program", "argument"]', keyword=one.keyword),
                _as_array(file, one),
            )


def _as_array(file: Dockerfile, one: Instruction) -> Edit | None:
    """Return the exec form; None if the shell form is more than words, or if ENTRYPOINT and CMD would combine differently."""
    others = [other.keyword for other in file.instructions if other.stage == one.stage and other is not one]
    if {"ENTRYPOINT", "CMD", "SHELL"} & set(others) - {one.keyword}:
        return None
    if _SHELL_CHARACTERS & set(one.text) or re.match(rf"\w+=|(?:{_BUILTINS})(?:\s|$)", one.text):
        return None
    try:
        words = shlex.split(one.text)
    except ValueError:
        return None
    return Edit(one.first, one.last, (f"{one.keyword} {json.dumps(words)}",))


@rule("CP104", _KIND, _("everybody who may pull the image can read its ENV and ARG values"))
def secret_in_image(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("ENV", "ARG"):
        for name, value in _assignments(one):
            if looks_secret(name, value):
                yield Hit(
                    one.first,
                    _("{keyword} {name} puts a secret into the image", keyword=one.keyword, name=name),
                    _("set it in .env, or in `secrets:` for the build"),
                )


def _assignments(one: Instruction) -> Iterator[tuple[str, str]]:
    words = one.words
    if one.keyword == "ENV" and words and "=" not in words[0]:
        yield words[0], " ".join(words[1:])
        return
    for word in words:
        name, _equals, value = word.partition("=")
        yield name, value


@rule("CP105", _KIND, _("brackets without quotes are not an array: Docker reads them as part of the name"))
def not_quite_array(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("VOLUME", "EXPOSE", "ENTRYPOINT", "CMD", "SHELL"):
        if not one.text.startswith("[") or (one.array is not None and one.keyword != "EXPOSE"):
            continue
        items = [item.strip().strip("\"'“”‘’") for item in one.text.strip("[], ").split(",")]
        text = " ".join(items) if one.keyword == "EXPOSE" else json.dumps(items, ensure_ascii=False)
        plain = all(re.fullmatch(r"[\w./:@%+=-]+", item) for item in items)
        yield Hit(
            one.first,
            _("{text} is not an array", text=one.text),
            _("write {text}", text=f"{one.keyword} {text}"),
            Edit(one.first, one.last, (f"{one.keyword} {text}",)) if plain else None,
        )


@rule("CP106", _KIND, _("MAINTAINER is deprecated; use a label instead"))
def maintainer(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("MAINTAINER"):
        label = f'LABEL org.opencontainers.image.authors="{one.text}"'
        edit = Edit(one.first, one.last, (label,)) if not set(one.text) & set('"$\\') else None
        yield Hit(one.first, _("MAINTAINER is deprecated"), _("write {text}", text=label), edit)


@rule("CP107", _KIND, _("a port is a number from 1 to 65535, optionally with /tcp or /udp"))
def bad_port(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("EXPOSE"):
        for word in (word.strip("\"'") for word in one.text.split()):
            if "$" in word or word.startswith("[") or one.text.startswith("["):
                continue
            found = re.fullmatch(r"(\d+)(?:-(\d+))?(?:/(?:tcp|udp|sctp))?", word, re.I)
            if not found or not all(0 < int(port) < 65536 for port in found.groups() if port):
                yield Hit(one.first, _("{word} is not a port", word=word), _("write EXPOSE 8080/tcp"))


@rule("CP108", _KIND, _("an absolute WORKDIR does not depend on the lines before it"))
def relative_workdir(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    known: set[int] = set()
    for one in file.all("WORKDIR"):
        first = one.stage not in known
        known.add(one.stage)
        if re.match(r"/|\$|[\"'A-Za-z]:?[/\\]", one.text) or not first:
            continue
        path = "/" + re.sub(r"^(\./)+", "", one.text)
        yield Hit(
            one.first,
            _("WORKDIR {path} is relative", path=one.text),
            _("write {text}", text=f"WORKDIR {path}"),
            Edit(one.first, one.last, (f"WORKDIR {path}",))
            if "FROM scratch" not in file.source.text and _is_root(file, one)
            else None,
        )


def _is_root(file: Dockerfile, workdir: Instruction) -> bool:
    """Return whether the base image's work directory is /, as in the official Python images."""
    base = next((one for one in file.all("FROM") if one.stage == workdir.stage), None)
    return base is not None and bool(re.match(r"(?:docker\.io/)?(?:library/)?python(?::|@|$|\s)", base.text))


@rule("CP109", _KIND, _("an address may serve another file tomorrow"))
def add_from_address(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for one in file.all("ADD"):
        if re.search(r"\bhttps?://", one.text) and not any(flag.startswith("--checksum=") for flag in one.flags):
            yield Hit(
                one.first,
                _("ADD from an address without a checksum"),
                _("add --checksum=sha256:…, or fetch and check it in RUN"),
            )


@rule("CP110", _KIND, _("only the last ENTRYPOINT or CMD counts"))
def said_twice(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    for keyword in ("ENTRYPOINT", "CMD"):
        said = [one for one in file.final if one.keyword == keyword]
        for one in said[:-1]:
            yield Hit(
                one.first,
                _("this {keyword} has no effect: line {line} has another", keyword=keyword, line=said[-1].first),
                _("remove one of them"),
            )


@rule("CP111", _KIND, _("an image must define what it runs"))
def no_entry_point(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    if file.instructions and not any(one.keyword in ("ENTRYPOINT", "CMD") for one in file.image):
        yield Hit(file.final[0].first, _("it has no ENTRYPOINT"), _('add ENTRYPOINT ["python", "app.py"]'))
