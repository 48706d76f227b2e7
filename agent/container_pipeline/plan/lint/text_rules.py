"""CP3… and CP4…: .env and requirements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from container_pipeline.i18n import _
from container_pipeline.plan.lint.composefile import ParsedCompose
from container_pipeline.plan.lint.dockerfile import Dockerfile
from container_pipeline.plan.lint.model import Edit, Facts, Hit, Source, looks_secret, rule

_ENV = ".env"
_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class EnvFile:
    source: Source

    def entries(self) -> Iterator[tuple[int, str, str]]:
        """Each (line, name, value) as it stands; the value may have quotes around it."""
        for number, text in enumerate(self.source.lines, 1):
            found = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*?)\r?", text)
            if found:
                yield number, found[1], found[2]


@rule("CP301", _ENV, _("ENV says which environment this is: dev, test or prod"))
def env_value(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    said = [(number, value) for number, name, value in file.entries() if name == "ENV"]
    if not said:
        yield Hit(1, _("{name} is missing", name="ENV"), _("write {text}", text="ENV=dev"))
    for number, value in said:
        if value.strip("\"' ") not in ("dev", "test", "prod"):
            yield Hit(number, _("{name} is {value}", name="ENV", value=value), _("write ENV=dev, ENV=test or ENV=prod"))


@rule(
    "CP302",
    _ENV,
    _("quotes, $ and a comment behind a value are read differently by docker run, Compose v1 and Compose v2"),
)
def read_differently(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    for number, name, value in file.entries():
        text = value.strip()
        quoted = re.fullmatch(r"([\"'])(.*)\1", text)
        if quoted:
            edit = (
                Edit(number, number, (f"{name}={quoted[2]}",)) if re.fullmatch(r"[\w./:@%+,=-]*", quoted[2]) else None
            )
            yield Hit(
                number,
                _("docker run takes the quotes of {name} for part of the value", name=name),
                _("remove the quotes"),
                edit,
            )
        elif re.search(r"\s#", value):
            yield Hit(
                number,
                _("docker run takes the comment behind {name} for part of the value", name=name),
                _("put it on a line of its own"),
            )
        elif "$" in text:
            yield Hit(
                number,
                _("Compose v2 replaces the $ in {name}, docker run and Compose v1 do not", name=name),
                _("deploys keep it as it stands; by hand write $$ for Compose v2"),
            )


@rule("CP303", _ENV, _("each line of .env is NAME=value, or a comment"))
def not_an_assignment(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    for number, text in enumerate(file.source.lines, 1):
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("export "):
            yield Hit(
                number,
                _("docker run does not know export"),
                _("remove the word"),
                Edit(number, number, (re.sub(r"^\s*export\s+", "", text),)),
            )
        elif not re.match(r"[A-Za-z_][A-Za-z0-9_.-]*=", line):
            yield Hit(number, _("this line is not NAME=value"), _("write NAME=value without blanks around ="))


@rule("CP304", _ENV, _("of a name that is set twice, the last counts"))
def set_twice(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    seen: dict[str, int] = {}
    for number, name, _value in file.entries():
        if name in seen:
            yield Hit(
                number, _("{name} is set on line {line} already", name=name, line=seen[name]), _("remove one of them")
            )
        seen[name] = number


@rule("CP305", _ENV, _("a secret that was committed is known to all who ever cloned the repository"))
def committed_secret(file: EnvFile, facts: Facts) -> Iterator[Hit]:
    if file.source.name not in facts.tracked:
        return
    for number, name, value in file.entries():
        if looks_secret(name, value):
            yield Hit(
                number,
                _("{name} holds a secret, and git has this file", name=name),
                _("change the secret, take it out, and give it by a Jenkins secret file or --env-file"),
            )


@rule("CP306", _ENV, _("a shell takes a byte order mark or a carriage return for part of a name or value"))
def windows_text(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    if file.source.encoding == "utf-8":
        yield from _windows(file.source)


def _windows(source: Source) -> Iterator[Hit]:
    lines = source.text.split("\n")
    bad = [number for number, text in enumerate(lines, 1) if text.startswith("\ufeff") or text.endswith("\r")]
    if bad:
        clean = tuple(text.lstrip("\ufeff").rstrip("\r") for text in lines)
        yield Hit(
            bad[0],
            _("a byte order mark or Windows line ends"),
            _("save it as UTF-8 with Unix line ends"),
            Edit(1, len(lines), clean, plain=True),
        )


_NOT_UTF_8 = _(
    "Docker and Compose read UTF-8: of a text in another encoding they understand nothing, or ignore it without a word"
)


def _encoding(source: Source) -> Iterator[Hit]:
    """Tell of a file that Docker cannot read; one in UTF-16 or UTF-32, as PowerShell's ``>`` writes it, is repaired."""
    if source.encoding not in ("utf-8", ""):
        lines = tuple(source.lines)
        yield Hit(
            1,
            _("the file is {encoding}, not UTF-8", encoding=source.encoding.upper()),
            _("save it as UTF-8"),
            Edit(1, len(lines), lines, plain=True),
        )


@rule("CP112", "Dockerfile", _NOT_UTF_8)
def dockerfile_encoding(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)


@rule("CP133", ".dockerignore", _NOT_UTF_8)
def dockerignore_encoding(source: Source, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(source)


@rule("CP215", "docker-compose.yml", _NOT_UTF_8)
def compose_encoding(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)


@rule("CP307", _ENV, _NOT_UTF_8)
def env_encoding(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)


@dataclass(frozen=True)
class Requirements:
    source: Source

    def entries(self) -> Iterator[tuple[int, str]]:
        """Each requirement or option with its first line, comments and continuation resolved."""
        number = 0
        while number < len(self.source.lines):
            first, text = number + 1, ""
            while number < len(self.source.lines):
                line = self.source.lines[number].rstrip("\r")
                number += 1
                text += line.rstrip("\\")
                if not line.endswith("\\"):
                    break
            text = re.sub(r"(^|\s)#.*", "", text).strip()
            if text:
                yield first, text


@rule("CP401", _REQUIREMENTS, _("a requirement without a version is another one tomorrow"))
def unpinned(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        name = re.match(r"[A-Za-z0-9][\w.-]*(\[[^\]]*\])?(?![\w+:/\\-])", text)
        if name and not re.match(r"[^;]*(===?\s*[\w.!+-]+(?!\S*\*)|\s@\s)", text):
            yield Hit(
                number,
                _("{name} is not pinned", name=name[0]),
                _("write {text}", text=f"{name[0]}==VERSION") + ": pip freeze",
            )


@rule("CP402", _REQUIREMENTS, _("a package that is named twice with two versions cannot be installed"))
def named_twice(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    seen: dict[str, tuple[int, str]] = {}
    for number, text in file.entries():
        found = re.match(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;]+)(\s*;)?", text)
        if not found or found[3]:
            continue
        name = re.sub(r"[-_.]+", "-", found[1]).lower()
        if name in seen and seen[name][1] != found[2]:
            yield Hit(
                number,
                _("{name} stands on line {line} with another version", name=found[1], line=seen[name][0]),
                _("remove one of them"),
            )
        seen.setdefault(name, (number, found[2]))


@rule("CP403", _REQUIREMENTS, _("a path of the machine that made the list is not there in a build"))
def local_path(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if re.search(r"@\s*file:|^file:|^-e\s+/|^/|^[A-Za-z]:\\", text):
            name = text.partition("@")[0].strip()
            yield Hit(
                number,
                _("{name} is a path of another machine", name=name),
                _("write {text}", text=f"{name}==VERSION" if "@" in text else "NAME==VERSION"),
            )


@rule("CP404", _REQUIREMENTS, _("pkg-resources is no package: pip freeze of Debian and Ubuntu lists it by mistake"))
def debian_freeze(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if re.match(r"pkg[-_]resources\s*==\s*0\.0\.0", text):
            yield Hit(number, _("pkg-resources cannot be installed"), _("remove the line"), Edit(number, number, ()))


@rule("CP405", _REQUIREMENTS, _("a login in an address is in the repository and in the image's layers"))
def index_login(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if looks_secret("", text):
            yield Hit(number, _("the address holds a password"), _("give it to the build by `secrets:`"))


@rule("CP406", _REQUIREMENTS, _("PowerShell's pip freeze > writes a text that pip in a build cannot read"))
def windows_requirements(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    yield from _windows(file.source)
