"""CP5… to CP7…: the Jenkinsfile, files that git must not track, and the project file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, PROJECT_FILE, nearest
from container_pipeline.plan import groovy
from container_pipeline.plan.jenkinsfile import STEPS, library_keys
from container_pipeline.plan.lint.model import Facts, Hit, Source, rule

_KIND = "Jenkinsfile"
_CALL = re.compile(rf"\b({'|'.join(STEPS)})\b[ \t]*(?:\(\s*\[?)?")
_KEY = re.compile(r"""(?:([A-Za-z_]\w*)|'(\w+)'|"(\w+)")\s*:(?!:)""")


class Jenkinsfile:
    """A Jenkinsfile's text with comments blanked, and its calls of this library's steps."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = groovy.without_comments(source.plain)
        self._strings = {one.start: one for one in groovy.strings(self.text)}

    def line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def given(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield each (line, step, key, text up to the line's end) of a step's options, without those of nested maps."""
        for call in _CALL.finditer(self.text):
            if not any(one.start <= call.start() < one.end for one in self._strings.values()):
                yield from self._keys(call)

    def _keys(self, call: re.Match[str]) -> Iterator[tuple[int, str, str, str]]:
        """Return whether a key begins an argument; after a `?`, a word and a colon are a ternary."""
        depth, position, begins = 0, call.end(), True
        bracketed = "(" in call[0]
        while position < len(self.text):
            string = self._strings.get(position)
            char = self.text[position]
            key = _KEY.match(self.text, position) if begins and depth == 0 else None
            if key:
                yield self.line(position), call[1], key[1] or key[2] or key[3], self._rest(key.end())
                position = key.end()
            elif string:
                position = string.end
            elif char.isspace():
                if char == "\n" and not bracketed and not begins:
                    return
                position += 1
                continue
            else:
                depth += (char in "([{") - (char in ")]}")
                if depth < 0:
                    return
                word = re.compile(r"\w+").match(self.text, position)
                position = word.end() if word else position + 1
            begins = char == "," and depth == 0

    def _rest(self, position: int) -> str:
        return self.text[position:].split("\n", 1)[0].strip()

    def codes(self) -> list[tuple[int, str]]:
        """Yield each (line, code) that a call sets as a plain string."""
        given = ((line, _literal(text)) for line, _step, key, text in self.given() if key == "code")
        return [(line, found[2]) for line, found in given if found]


def _literal(text: str) -> re.Match[str] | None:
    return re.match(r"([\"'])([a-z0-9_-]+)\1", text)


@rule("CP501", _KIND, _("one call replaces docker.sh, keeps the password off the command line and checks the result"))
def calls_script(file: Jenkinsfile, _facts: Facts) -> Iterator[Hit]:
    for found in re.finditer(r"(?<![\w.-])docker\.sh\b", file.text):
        yield Hit(
            file.line(found.start()),
            _("it calls docker.sh"),
            _("write containerPipeline(code: '…'); `container-pipeline adopt` does it for you"),
        )


@rule("CP502", _KIND, _("the Jenkinsfile and the project file must name the same project"))
def another_code(file: Jenkinsfile, facts: Facts) -> Iterator[Hit]:
    codes = file.codes()
    if facts.code and facts.code not in [code for _line, code in codes]:
        for number, code in codes:
            yield Hit(
                number,
                _("code is {value}, but the project's code is {code}", value=code, code=facts.code),
                _("make both the same"),
            )


@rule("CP503", _KIND, _("a step refuses a key that it does not know"))
def unknown_key(file: Jenkinsfile, _facts: Facts) -> Iterator[Hit]:
    keys = library_keys()
    for number, step, key, _text in file.given():
        known = list(keys.get(step, keys[""]))
        if key not in known:
            yield Hit(number, _("unknown key {name!r} in {where}", name=key, where=_KIND), nearest(key, known))


@rule("CP504", _KIND, _("every process on the machine can see a password on a command line, and the log keeps it"))
def password_in_command(file: Jenkinsfile, _facts: Facts) -> Iterator[Hit]:
    for found in re.finditer(r"docker\s+login\b(?:[^\n]|\\\r?\n)*?\s(-p|--password)[\s=]", file.text):
        yield Hit(
            file.line(found.start()),
            _("docker login -p exposes the password"),
            _("the library's steps log in without it"),
        )


@rule("CP601", ".git", _("with a committed version file, an old image is published again"))
def committed_state(_file: None, facts: Facts) -> Iterator[Hit]:
    for name in (".docker_build_version", ".docker_build_image", ".docker_build.json"):
        if name in facts.tracked:
            yield Hit(
                1, _("git tracks {name}", name=name), _("git rm --cached {name}, and list it in .gitignore", name=name)
            )


@rule(
    "CP701",
    PROJECT_FILE,
    _("a variable set for a whole machine or Jenkins overrides the setting of every environment"),
)
def _environment_is_overridden(source: Source, facts: Facts) -> Iterator[Hit]:
    for environment, key in facts.overridden:
        yield Hit(
            _line_of(source, environment, key),
            _(
                "{variable} overrides {key} of environment {environment}",
                variable=BY_NAME[key].variable,
                key=key,
                environment=environment,
            ),
            _("rename it to {variable}", variable=BY_NAME[key].site_variable),
        )


def _line_of(source: Source, environment: str, key: str) -> int:
    """Return the 1-based line of the key after its environment; the environment's own line if that is one line."""
    lines = source.plain.split("\n")
    first = next(
        (number for number, line in enumerate(lines) if re.search(rf"\b{re.escape(environment)}\b.*:", line)), 0
    )
    found = (number for number, line in enumerate(lines[first:], first) if re.search(rf"\b{re.escape(key)}\b.*:", line))
    return next(found, first) + 1
