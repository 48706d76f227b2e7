"""CP3… and CP4…: .env and requirements."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from container_pipeline.i18n import _
from container_pipeline.plan.envfile import RESERVED, several_lines
from container_pipeline.plan.lint.composefile import ParsedCompose
from container_pipeline.plan.lint.dockerfile import Dockerfile
from container_pipeline.plan.lint.model import Edit, Facts, Hit, Source, looks_secret, rule

_ENV = ".env"
_REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True)
class EnvFile:
    source: Source

    def entries(self) -> Iterator[tuple[int, str, str]]:
        """Yield each (line, name, value) unchanged; the value may be quoted. One of several lines is left out."""
        for number, text in self.statements():
            found = re.fullmatch(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=(.*?)\r?", text)
            if found:
                yield number, found[1], found[2]

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yield each (line, text), without the lines of quoted values of several lines, which a deploy passes on."""
        lines = [text.rstrip("\r") for text in self.source.lines]
        skip = 0
        for number, text in enumerate(lines, 1):
            several = several_lines(text.partition("=")[2], lines[number:]) if number > skip else 0
            if several:
                skip = number + several
            elif number > skip:
                yield number, self.source.lines[number - 1]


@rule("CP301", _ENV, _("ENV names the environment: dev, test or prod"))
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
    _("docker run and Compose read quotes and a comment after a value differently"),
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
                _("docker run reads the quotes of {name} as part of the value", name=name),
                _("remove the quotes"),
                edit,
            )
        elif re.search(r"\s#", value):
            yield Hit(
                number,
                _("docker run reads the comment after {name} as part of the value", name=name),
                _("put it on a line of its own"),
            )


@rule("CP303", _ENV, _("each line of .env must be NAME=value or a comment"))
def not_an_assignment(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.statements():
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("export "):
            yield Hit(
                number,
                _("docker run does not accept export"),
                _("remove `export`"),
                Edit(number, number, (re.sub(r"^\s*export\s+", "", text),)),
            )
        elif not re.match(r"[A-Za-z_][A-Za-z0-9_.-]*=", line):
            yield Hit(number, _("this line is not NAME=value"), _("write NAME=value without blanks around ="))


@rule("CP304", _ENV, _("when a name is set twice, the last value counts"))
def set_twice(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    seen: dict[str, int] = {}
    for number, name, _value in file.entries():
        if name in seen:
            yield Hit(
                number, _("{name} is already set on line {line}", name=name, line=seen[name]), _("remove one of them")
            )
        seen[name] = number


@rule("CP308", _ENV, _("Compose would use another project or file; a deploy refuses such a .env"))
def steers_compose(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    for number, name, _value in file.entries():
        if name in RESERVED:
            yield Hit(number, _("{name} steers Compose itself", name=name), _("remove it"))


@rule("CP305", _ENV, _("everybody who ever cloned the repository has a secret that was committed"))
def committed_secret(file: EnvFile, facts: Facts) -> Iterator[Hit]:
    if file.source.name not in facts.tracked:
        return
    for number, name, value in file.entries():
        if looks_secret(name, value):
            yield Hit(
                number,
                _("{name} contains a secret, and git tracks this file", name=name),
                _("change the secret, remove it here, and pass it with a Jenkins secret file or --env-file"),
            )


@rule("CP306", _ENV, _("a shell reads a byte order mark or a carriage return as part of a name or value"))
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
            _("byte order mark or Windows line endings"),
            _("save it as UTF-8 with Unix line endings"),
            Edit(1, len(lines), clean, plain=True),
        )


_NOT_UTF_8 = _("Docker and Compose read only UTF-8; they fail on a file in another encoding, or silently ignore it")


def _encoding(source: Source) -> Iterator[Hit]:
    """Yield a hit for a file that Docker cannot read; UTF-16 and UTF-32, as from PowerShell's ``>``, are repaired."""
    if source.encoding not in ("utf-8", ""):
        lines = tuple(source.lines)
        yield Hit(
            1,
            _("the file is {encoding}, not UTF-8", encoding=source.encoding.upper()),
            _("save it as UTF-8"),
            Edit(1, len(lines), lines, plain=True),
        )


def _not_text(source: Source) -> Iterator[Hit]:
    """Yield a hit for a file in an unknown encoding, such as GBK. Docker passes such bytes on; Compose and deploys refuse them."""
    if not source.encoding:
        before = source.text.partition("\ufffd")[0]
        yield Hit(before.count("\n") + 1, _("it is not UTF-8"), _("save it as UTF-8"))


@rule("CP112", "Dockerfile", _NOT_UTF_8)
def dockerfile_encoding(file: Dockerfile, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)


@rule("CP133", ".dockerignore", _NOT_UTF_8)
def dockerignore_encoding(source: Source, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(source)


@rule("CP215", "docker-compose.yml", _NOT_UTF_8)
def compose_encoding(file: ParsedCompose, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)
    yield from _not_text(file.source)


@rule("CP307", _ENV, _NOT_UTF_8)
def env_encoding(file: EnvFile, _facts: Facts) -> Iterator[Hit]:
    yield from _encoding(file.source)
    yield from _not_text(file.source)


@dataclass(frozen=True)
class Requirements:
    source: Source

    def entries(self) -> Iterator[tuple[int, str]]:
        """Yield each requirement or option with its first line, without comments and with continuations joined."""
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


@rule("CP401", _REQUIREMENTS, _("a requirement without a version may be another one tomorrow"))
def unpinned(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        name = re.match(r"[A-Za-z0-9][\w.-]*(\[[^\]]*\])?(?![\w+:/\\-])", text)
        if name and not re.match(r"[^;]*(===?\s*[\w.!+-]+(?!\S*\*)|\s@\s)", text):
            yield Hit(
                number,
                _("{name} is not pinned", name=name[0]),
                _("write {text}", text=f"{name[0]}==VERSION") + ": pip freeze",
            )


@rule("CP402", _REQUIREMENTS, _("a package that is listed with two versions cannot be installed"))
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
                _("{name} is on line {line} with another version", name=found[1], line=seen[name][0]),
                _("remove one of them"),
            )
        seen.setdefault(name, (number, found[2]))


@rule("CP403", _REQUIREMENTS, _("a path on the machine that wrote the list does not exist in a build"))
def local_path(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if re.search(r"@\s*file:|^file:|^-e\s+/|^/|^[A-Za-z]:\\", text):
            name = text.partition("@")[0].strip()
            yield Hit(
                number,
                _("{name} is a path on another machine", name=name),
                _("write {text}", text=f"{name}==VERSION" if "@" in text else "NAME==VERSION"),
            )


@rule("CP404", _REQUIREMENTS, _("pkg-resources is not a package: pip freeze on Debian and Ubuntu lists it by mistake"))
def debian_freeze(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if re.match(r"pkg[-_]resources\s*==\s*0\.0\.0", text):
            yield Hit(number, _("pkg-resources cannot be installed"), _("remove the line"), Edit(number, number, ()))


@rule("CP405", _REQUIREMENTS, _("a login in an address ends up in the repository and in the image's layers"))
def index_login(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    for number, text in file.entries():
        if looks_secret("", text):
            yield Hit(number, _("the address holds a password"), _("pass it to the build with `secrets:`"))


@rule("CP406", _REQUIREMENTS, _("in PowerShell, `pip freeze >` writes a file that pip cannot read in a build"))
def windows_requirements(file: Requirements, _facts: Facts) -> Iterator[Hit]:
    yield from _windows(file.source)
