"""Converts the options of docker build and docker run to settings."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from container_pipeline.i18n import _
from container_pipeline.model import RunOptions
from container_pipeline.plan.adopt.notes import Adopted
from container_pipeline.plan.adopt.script import Line
from container_pipeline.plan.lint.model import looks_secret

_SHORT = {"t": "tag", "f": "file", "q": "quiet"}
#: Words of a shell that only look like operators: quoted ones and substitutions.
_HELD = re.compile(r"""\$\([^()]*\)|`[^`]*`|"(?:\\.|[^"\\])*"|'[^']*'""")
_SHORT_RUN = {
    "u": "user",
    "w": "workdir",
    "h": "hostname",
    "m": "memory",
    "l": "label",
    "p": "publish",
    "v": "volume",
    "e": "env",
    "d": "detach",
    "i": "interactive",
    "t": "tty",
    "P": "publish-all",
}
#: Options without a value.
_FLAGS = frozenset(
    [
        "no-cache",
        "force-rm",
        "rm",
        "quiet",
        "pull",
        "push",
        "load",
        "squash",
        "compress",
        "check",
        "detach",
        "interactive",
        "tty",
        "publish-all",
        "privileged",
        "init",
        "read-only",
        "no-healthcheck",
        "oom-kill-disable",
        "sig-proxy",
        "disable-content-trust",
    ]
)
_NOTHING = frozenset(["tag", "force-rm", "rm", "quiet", "progress", "load", "interactive", "tty"])
#: A context that is no folder known beforehand: a variable, a repository, standard input.
_NO_FOLDER = re.compile(r"[$`]|^-$|://|^git@")
_LISTS = {"publish": "ports", "volume": "volumes", "env-file": "env_file"}


def docker(text: str, command: str) -> list[str] | None:
    """Return the words after ``docker COMMAND``, None for another statement."""
    before = r"(?:sudo\s+)?(?:DOCKER_BUILDKIT=\d\s+)?docker\s+(?:image\s+|container\s+|buildx\s+)?"
    found = re.match(rf"{before}{command}\s+(.*)", text, re.S)
    if not found:
        return None
    end = operator(found[1])
    plain = found[1] if end is None else found[1][:end]
    held = re.sub(r"\$\([^()]*\)|`[^`]*`", lambda inner: inner[0].replace(" ", "\0"), plain)
    try:
        words = shlex.split(held)
    except ValueError:
        words = held.split()
    return [word.replace("\0", " ") for word in words]


def operator(text: str) -> int | None:
    """Return where the first operator of a shell or redirection begins, None without one."""
    found = re.search(r"\s*(?:\|\|?|&&?|;|\n|(?:(?<=\s)\d)?[<>])", _HELD.sub(lambda held: "_" * len(held[0]), text))
    return found.start() if found else None


def _parse(words: list[str], short: Mapping[str, str], *, program: bool = False) -> Iterator[tuple[str, str]]:
    """Yield each option as (long name, value), and each other word as ("", word).

    ``program``: what follows the first such word is a program with options of its own.
    """
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word == "-":
            yield "", word
            if program:
                yield from (("", one) for one in rest)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not word.startswith("--"):
            letters, name = word[1:], ""
            while letters and not (name and name not in _FLAGS):
                if name:
                    yield name, ""
                name, letters = short.get(letters[0], letters[0]), letters[1:]
            equals, value = letters, letters[letters.startswith("=") :]
        if not equals and name not in _FLAGS:
            value = next(rest, "")
        yield name, value


def _computed(value: str) -> bool:
    """Return whether a shell computes a part of the value."""
    return "$" in value or "`" in value


def build(adopted: Adopted, line: Line, words: list[str]) -> None:
    """Convert a ``docker build``."""
    parsed = list(_parse(words, _SHORT))
    plain = [value for name, value in parsed if not name]
    context = posixpath.normpath(next((value for value in plain if not _NO_FOLDER.search(value)), "."))
    for value in filter(_NO_FOLDER.search, plain):
        if _computed(value):
            adopted.left_unknown(line, f"docker build {value}")
        else:
            adopted.left(line, f"docker build {value}", _("it has no counterpart"))
    for name, value in parsed:
        if name and name not in _NOTHING:
            _build_option(adopted, line, name, value, context)
    if context != ".":
        adopted.values["context"] = context
        adopted.took(line, f"context: {context}")
    if not any(name == "no-cache" for name, _value in parsed):
        adopted.values["cache"] = True
        adopted.took(line, "cache: true")


def _build_option(adopted: Adopted, line: Line, name: str, value: str, context: str) -> None:
    key, equals, text = value.partition("=")
    values = adopted.values
    if name == "no-cache":
        return
    if _computed(value) or (name == "build-arg" and not equals):
        hint = _(
            "its value is known only when the script runs; set it with {variable}",
            variable="CONTAINER_PIPELINE_BUILD_ARGS",
        )
        adopted.left(line, f"--{name} {value}", hint)
    elif name == "file" and value != "-":
        values["dockerfile"] = posixpath.relpath(posixpath.normpath(value), context)
        adopted.took(line, f"dockerfile: {values['dockerfile']}")
    elif name == "build-arg" and looks_secret(key, text):
        adopted.left(line, f"--build-arg {key}=***", _("pass it to the build with `secrets:`"))
    elif name in ("build-arg", "label"):
        setting = "build_args" if name == "build-arg" else "labels"
        values.setdefault(setting, {})[key] = text
        adopted.took(line, f"{setting}: {key}: {text}")
    elif name == "platform":
        values["platforms"] = value.split(",")
        adopted.took(line, f"platforms: {value}")
    elif name == "secret" and re.search(r"(?:^|,)(?:src|source)=", value):
        given = dict(part.partition("=")[::2] for part in value.split(","))
        source = posixpath.normpath(given.get("src") or given.get("source", ""))
        values.setdefault("secrets", {})[given.get("id", "")] = source
        adopted.took(line, f"secrets: {given.get('id', '')}: {source}")
    else:
        adopted.left(line, f"docker build --{name} {value}".rstrip(), _("it has no counterpart"))


def run(adopted: Adopted, line: Line, words: list[str]) -> None:
    """Convert a ``docker run``; the words after the image are the container's command."""
    options: dict[str, Any] = {}
    parsed = list(_parse(words, _SHORT_RUN, program=True))
    image = next((index for index, (name, _value) in enumerate(parsed) if not name), len(parsed))
    for name, value in parsed[:image]:
        if name not in _NOTHING:
            _run_option(adopted, line, name, value, options)
    behind = " ".join(value for _name, value in parsed[image + 1 :])
    if behind:
        adopted.left(line, behind, _("put it into ENTRYPOINT"))
    if tuple(options.get("ports", ())) == RunOptions.ports:
        del options["ports"]
    if options:
        adopted.values["run"] = options


def _run_option(adopted: Adopted, line: Line, name: str, value: str, options: dict[str, Any]) -> None:
    if _computed(value):
        adopted.left_unknown(line, f"docker run --{name} {value}")
        return
    if name in _LISTS:
        options.setdefault(_LISTS[name], []).append(value)
    elif name == "env":
        key, _equals, text = value.partition("=")
        if looks_secret(key, text):
            adopted.left(line, f"-e {key}=***", _("move it to .env, which is not committed"))
            return
        options.setdefault("environment", {})[key] = text
    elif name in ("name", "detach"):
        options[name] = value or True
    else:
        adopted.left(line, f"docker run --{name} {value}".rstrip(), _("it has no counterpart"))
        return
    if value not in RunOptions.ports:
        adopted.took(line, f"run: {_LISTS.get(name, name)}: {value or 'true'}")
