"""Reads a docker.sh: lines that become settings, lines that this product replaces, and lines that it cannot convert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from container_pipeline.errors import SettingsError
from container_pipeline.i18n import _
from container_pipeline.model import Target
from container_pipeline.plan.adopt import options
from container_pipeline.plan.adopt.notes import Adopted, masked
from container_pipeline.plan.adopt.script import Line, Script, assigned, expand, moves, read, unquote
from container_pipeline.plan.image import WORDS

#: The script's own folder, in paths that came from $BUILD_DIRECTORY or the like.
_HERE = "."
_FOLDER = re.compile(
    r"""\$\(pwd\)|`pwd`|\$\{?PWD\}?
    | \$\(dirname\ (?:--\ )?"?\$\{?(?:0|BASH_SOURCE\[0\]|BASH_SOURCE)\}?"?\)
    | \$\(cd\ (?:--\ )?"?\$\(dirname\ (?:--\ )?"?\$\{?(?:0|BASH_SOURCE\[0\]|BASH_SOURCE)\}?"?\)"?\s*(?:>/dev/null\s*(?:2>&1\s*)?)?(?:&&|;)\s*pwd(?:\ -P)?\)""",
    re.X,
)
_CHECKS = {
    "check_docker_registry", "check_docker_registry_user_and_pass", "check_docker_registry_prod", "check_image",
    "check_docker_registry_prod_user_and_pass", "check_version", "gen_version", "get_version", "build_when_necessary",
}  # fmt: skip
_FUNCTIONS = {word.replace("-", "_"): word for word in (*WORDS, "run") if not word.startswith("pipeline")}
_VARIABLES = {
    "BUILD_DIRECTORY", "BUILD_VERSION", "BUILD_IMAGE", "BUILD_IMAGE_NAME", "BUILD_NAMESPACE", "RC",
    *(f"BUILD_REGISTRY{kind}{part}" for kind in ("", "_PROD") for part in ("", "_USER", "_PASS")),
}  # fmt: skip
_IMAGE = r"\$\{?BUILD_REGISTRY(?:_PROD)?\}?/\$\{?BUILD_IMAGE\}?:(?:\$\{?BUILD_VERSION\}?|latest)"
#: Statements in the convention's functions that need no counterpart: checks, messages, the commands themselves.
_USUAL = re.compile(
    rf"""(?:echo|exit|return|local|RC=)(?:"[^"`(]*"|'[^']*'|[^"'`(|&;])*
    |(?:then|else|fi|\}}|shift);?
    |if\s+\[+\s.*(?:\$\{{?(?:BUILD_\w+|FILE|2)\b|\$\?|get_version).*
    |(?:{"|".join(sorted(_CHECKS))})
    |BUILD_VERSION=\$\((?:gen|get)_version\)|BUILD_VERSION=`(?:gen|get)_version`
    |docker\ login\ .*BUILD_REGISTRY.*
    |docker\ push\ "?{_IMAGE}"?|docker\ tag\ "?{_IMAGE}"?\ "?{_IMAGE}"?""",
    re.X,
)
_STATE = re.compile(r"echo\s+\S+\s*>\s*\S*\.docker_build_(?:image|version)\S*")
#: A script's handling of a failed command: a message and an exit, as in every step of ours.
_FAILURE = re.compile(
    r"""\s*\|\|\s*(?:
        \{\s*(?:(?:echo\b(?:"[^"`(]*"|'[^']*'|[^"'`(|&;<>\n])*(?:>&2)?|RC=\d+|(?:exit|return)\b[^|&;\n]*)\s*[;\n]\s*)+\}
      | (?:exit|return)\b[^|&;\n]* )\s*;?\s*\Z""",
    re.X,
)
_FORMAT = "%Y%m%d%H%M%S"
#: Commands that change the shell for later ones; each `sh` step of a Jenkinsfile has its own shell.
_CHANGES = re.compile(
    r"""(?:cd|pushd|popd|export|unset|set|source|eval|alias|exec|umask|ulimit|shopt)(?=\s|$)|\.\s|\w+=(?:"[^"]*"|'[^']*'|\S*)$"""
)
_OF_THE_SHELL = re.compile(rf"{_CHANGES.pattern}|trap\s|exit\b|return\b")
#: What only bash reads, where `sh` of a Jenkinsfile may be another shell; and a test that would fail the step where it does not hold.
_OF_BASH = re.compile(
    r"""\[\[ | \(\( | <<< | [<>]\( | &> | \$' | (?<!\$)\{[\w./]*(?:,|\.\.)[\w./,]*\} | \w+\+?=\( | \$\{[\w]+(?:\[|/|\^|,|:\d)
    | (?:^|[\s;&|(])(?:let|declare|typeset|select|mapfile|readarray|shopt)\s""",
    re.X,
)
_DEFINES = re.compile(r"[\w-]+\s*\(\s*\)")
_TEST = re.compile(r"(?:!\s+)?(?:\[|test)\s[^|;]*&&")
#: Commands that every `sh` step does anyway.
_STRICT = re.compile(r"set\s+-(?:[eux]+(?:o\s+pipefail)?|o\s+pipefail)")


def adopt(text: str, folder: str, whole: Sequence[tuple[int, int]] = ()) -> Adopted:
    """Read a docker.sh; ``folder`` is the name of the project's folder, ``whole`` the argument of `read`."""
    reader = _Reader(read(text, whole), folder)
    reader.names()
    reader.variables()
    reader.functions()
    reader.commands()
    reader.adopted.notes.sort(key=lambda note: (note.first, note.last))
    return reader.adopted


class _Reader:
    def __init__(self, script: Script, folder: str) -> None:
        self.script = script
        self.folder = folder
        self.adopted = Adopted()
        self.known = {"BUILD_DIRECTORY": _HERE, "PWD": _HERE}
        inside = (assigned(line) for body in script.functions.values() for line in body)
        self.own = {*script.variables, *filter(None, inside)}
        for name, line in script.variables.items():
            value = expand(unquote(line.text), self.known)
            if _FOLDER.fullmatch(value):
                self.known[name] = _HERE
            elif (
                name not in _VARIABLES
                and not re.search(r"[$`]", value)
                and masked(f"{name}={value}") == f"{name}={value}"
            ):
                self.known[name] = value

    def names(self) -> None:
        values = self.adopted.values
        for variable, key in (("BUILD_IMAGE_NAME", "code"), ("BUILD_NAMESPACE", "namespace")):
            value = expand(self.script.value(variable), {**self.known, "PWD": self.folder})
            value = re.sub(r"\$\(basename .*\)", self.folder, value)
            line = self.script.variables.get(variable)
            if line and value and "$" not in value:
                values[key] = value
                self.adopted.took(line, f"{key}: {value}")
            elif line and value:
                self.adopted.left(line, f"{variable}={value}", _("set `{key}:` in container-pipeline.yml", key=key))

    def variables(self) -> None:
        for kind in ("", "_PROD"):
            for part in ("", "_USER", "_PASS"):
                line, outside = self.script.variables.get(f"BUILD_REGISTRY{kind}{part}"), f"DOCKER_REGISTRY{kind}{part}"
                if line and not re.fullmatch(rf"\$\{{?{outside}\}}?", unquote(line.text)):
                    shown = "***" if part == "_PASS" else unquote(line.text)
                    self.adopted.left(
                        line,
                        f"BUILD_REGISTRY{kind}{part}={shown}",
                        _("set {variable} in /etc/profile or as a Jenkins credential", variable=outside),
                    )
        for name, line in self.script.variables.items():
            if name not in _VARIABLES and name not in self.known:
                text = f"{name}={line.text}"
                if masked(text) == text:
                    self.adopted.left_unknown(line, text)
                else:
                    hint = _("set {variable} in /etc/profile or as a Jenkins credential", variable=name)
                    self.adopted.left(line, text, hint)
        for line in self.script.rest:
            if not self._usual(line) and not re.match(r"BUILD_IMAGE(_NAME)?=|set -|cd ", line.text):
                self.adopted.left(line, line.text, _("it has no counterpart"))

    def functions(self) -> None:
        for name, body in self.script.functions.items():
            if name in _FUNCTIONS:
                {"build": self._build, "run": self._run}.get(name, self._other)(body)
            elif name == "gen_version":
                for line in body:
                    if _FORMAT not in line.text and not re.match(r"local|return", line.text):
                        self.adopted.left(
                            line, line.text, _("here, versions are the local time {format}", format=_FORMAT)
                        )
            elif name not in _CHECKS:
                first = self.script.heads[name]
                last = first if not body or body[-1].last == first else body[-1].last + 1
                self._unknown(Line(f"{name}()", self.script.heads[name], last), body)

    def _unknown(self, head: Line, body: list[Line]) -> None:
        """Report a function that the convention does not have; take the servers from one that deploys."""
        text = "\n".join(expand(line.text, self.known) for line in body)
        servers = list(dict.fromkeys(_servers(text)))
        if servers and re.search(r"docker-compose|docker compose|docker (?:run|pull|stop)", text):
            self.adopted.values.setdefault("servers", servers)
            self.adopted.took(head, f"servers: {', '.join(servers)} ({_('`container-pipeline deploy` does it')})")
        else:
            self.adopted.left(
                head, head.text, _("it has no counterpart; run it from the Jenkinsfile where you need it")
            )

    def _usual(self, line: Line) -> bool:
        text = _FAILURE.sub("", line.text).strip().rstrip(";").strip()
        if "\n" in text or "||" in text:
            return False
        if re.search(r"(?<![0-9&])>", text):
            return bool(_STATE.fullmatch(text))
        return bool(_USUAL.fullmatch(text))

    def _other(self, body: list[Line]) -> None:
        for line in body:
            if not self._usual(line):
                self.adopted.left(line, line.text, _("it has no counterpart"))

    def _build(self, body: list[Line]) -> None:
        built, depth, changed = False, 0, False
        texts = [expand(line.text, self.known) for line in body]
        builds = [number for number, text in enumerate(texts) if options.docker(text, "build") is not None]
        for number, (line, text) in enumerate(zip(body, texts)):
            sometimes = changed or depth > 0 or moves(text) > 0
            depth = max(0, depth + moves(text))
            words = options.docker(text, "build")
            if number in builds[:-1]:
                # The last one makes the image.
                hint = _("it has no counterpart; run it from the Jenkinsfile where you need it")
                self.adopted.left(line, line.text, hint)
            elif words is not None:
                built = True
                options.build(self.adopted, line, words)
                self._behind(line, text)
            elif not self._usual(line) and not _STRICT.fullmatch(text):
                pieces = re.split(r"\s*(?:&&|\|\||;)\s*", text)
                changed = changed or any(map(_CHANGES.match, pieces))
                alone = all(map(_OF_THE_SHELL.match, pieces)) or self._calls_function(pieces, body)
                alone = alone or any((_OF_BASH.search(text), _TEST.match(text), _DEFINES.match(text)))
                self._beside(line, text, built or sometimes or alone)

    def _calls_function(self, pieces: Sequence[str], body: Sequence[Line]) -> bool:
        """Return whether one of the commands is a function of the script."""
        names = {found[1] for line in body if (found := re.match(r"([\w-]+)\s*\(\s*\)", line.text))}
        return any(piece.split()[:1] and piece.split()[0] in {*names, *self.script.functions} for piece in pieces)

    def _behind(self, line: Line, text: str) -> None:
        """Report the rest of a statement after a docker command."""
        end = options.operator(text)
        rest = _FAILURE.sub("", text[end:]).strip(" ;\n") if end is not None else ""
        if rest:
            self.adopted.left(line, rest, _("it has no counterpart"))

    def _beside(self, line: Line, text: str, elsewhere: bool) -> None:
        """Take a command that always runs before the build (not ``elsewhere``), needs nothing of the script and has no secret."""
        needs = any(name in self.own or name.startswith("BUILD_") for name in re.findall(r"\$\{?(\w+)", text))
        if masked(text) != text:
            hint = _(
                "it contains a secret: store that in Jenkins credentials, and run the command from the Jenkinsfile"
            )
            self.adopted.left(line, line.text, hint)
        elif elsewhere or needs or assigned(line) or "\n" in text or re.search(r"\bdocker\b.*\bbuild\b", text):
            hint = _("it has no counterpart; run it from the Jenkinsfile where you need it")
            self.adopted.left(line, line.text, hint)
        else:
            command = re.sub(r"\s*\|\|\s*(?:exit|return)\b[^|&;]*$", "", text)
            self.adopted.before.append(command)
            self.adopted.took(line, _("{command} (before the build, in the Jenkinsfile)", command=command))

    def _run(self, body: list[Line]) -> None:
        for line in body:
            words = options.docker(expand(line.text, self.known), "run")
            if words is not None:
                options.run(self.adopted, line, words)
                self._behind(line, line.text)
            elif not self._usual(line):
                self.adopted.left(line, line.text, _("it has no counterpart"))

    def commands(self) -> None:
        for label, body in self.script.commands.items():
            calls = [re.sub(r"\s.*", "", line.text).replace("_", "-") for line in body]
            first, last = (body[0].first, body[-1].last) if body else (1, 1)
            if label == "*" or label not in (*WORDS, "run"):
                if label != "*":
                    self.adopted.left(Line(label, first, last), f"{label})", _("this command has no counterpart"))
                continue
            wanted = ["build-when-necessary" if word == "build?" else word for word in WORDS.get(label, (label,))]
            if calls != wanted:
                self.adopted.left(
                    Line(label, first, last),
                    f"{label}: {' → '.join(calls)}",
                    _("container-pipeline runs {steps}", steps=" → ".join(wanted)),
                )


def _servers(text: str) -> Iterator[str]:
    """Yield each server of ssh, scp or rsync in the form of a setting."""
    for found in re.finditer(r"\b(ssh|scp|rsync)\s+([^\n]*)", text):
        port = re.search(r"-[pP]\s*(\d+)", found[2])
        words = re.sub(r"(?<!\S)-(?:[a-zA-Z]\s+[^\s-]\S*|\w+)", "", found[2]).split()
        hosts = words[:1] if found[1] == "ssh" else [word.partition(":")[0] for word in words if ":" in word]
        for host in hosts:
            server = host + (f":{port[1]}" if port and port[1] != "22" else "")
            try:
                Target.parse(server)
            except SettingsError:
                continue
            yield server
