"""Reads the texts inside a job back into keys of the jobs file: the inverse of ``jobtext``."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

from container_pipeline.keys import KEYS

_CAMEL = {key.camel: key.name for key in KEYS}
_VARIABLES = {key.variable: key for key in KEYS}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


class _Groovy:
    """Parses Groovy literals; raises ValueError for anything else, such as a variable or a call."""

    def __init__(self, text: str, place: int) -> None:
        self.text, self.place = text, place

    def arguments(self, end: str) -> dict[str, Any]:
        """Return the named arguments from here to ``end``."""
        found: dict[str, Any] = {}
        while not self._take(end):
            name = self._match(r"\s*([A-Za-z_]\w*)\s*:") if self._peek() not in "'\"" else self._key()
            found[name] = self.value()
            if not self._take(","):
                if not self._take(end):
                    raise ValueError("not a literal")
                return found
        return found

    def value(self) -> Any:
        if self._take("["):
            if self._take(":"):
                self._match(r"\s*\]")
                return {}
            here = self.place
            try:
                return self.arguments("]") if self._peek() != "]" else self._list()
            except ValueError:
                self.place = here
                return self._list()
        if self._peek() in "'\"":
            return self._string()
        word = self._match(r"\s*(-?\d+(?:\.\d+)?|true|false|null)\b")
        return _WORDS[word] if word in _WORDS else float(word) if "." in word else int(word)

    def _list(self) -> list[Any]:
        found: list[Any] = []
        while not self._take("]"):
            found.append(self.value())
            if not self._take(","):
                self._match(r"\s*\]")
                break
        return found

    def _key(self) -> str:
        name = self._string()
        self._match(r"\s*:")
        return name

    def _string(self) -> str:
        quote = self._peek()
        text = self._match(rf"\s*{quote}((?:[^{quote}\\\n]|\\.)*){quote}")
        if quote == '"' and "$" in text:
            raise ValueError("not a literal")
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)

    def _peek(self) -> str:
        return self.text[self.place :].lstrip(" \t")[:1]

    def _take(self, mark: str) -> bool:
        found = re.compile(r"[ \t]*" + (r"(?:\n|$)" if mark == "\n" else r"\s*" + re.escape(mark))).match(
            self.text, self.place
        )
        self.place = found.end() if found else self.place
        return found is not None

    def _match(self, pattern: str) -> str:
        found = re.compile(pattern).match(self.text, self.place)
        if not found:
            raise ValueError("not a literal")
        self.place = found.end()
        return found[1] if found.re.groups else found[0]


def read_jenkinsfile(text: str) -> dict[str, Any]:
    """Return ``pipeline``, ``library``, ``branch`` and ``credentials`` of an inline Jenkinsfile, if it has them."""
    library = re.search(r"@Library\('([^']*)'\)", text)
    found: dict[str, Any] = {"library": library[1] if library else ""}
    node = re.search(r"^\s*node\s*\(", text, re.MULTILINE)
    call = re.search(r"containerPipeline\s*\(", text)
    checkout = re.search(r"^\s*git (?=url:)", text, re.MULTILINE)
    keys: dict[str, Any] = {}
    if node and text[node.end() : node.end() + 1] != ")":
        keys["node"] = _Groovy(text, node.end()).value()
    if call:
        arguments = _Groovy(text, call.end()).arguments(")")
        arguments.pop("code", None)
        if isinstance(arguments.get("credentials"), dict):
            ids = arguments["credentials"]
            arguments["credentials"] = {re.sub("([A-Z])", r"_\1", id).lower(): name for id, name in ids.items()}
        keys.update({_CAMEL.get(name, name): value for name, value in arguments.items()})
    if checkout:
        arguments = _Groovy(text, checkout.end()).arguments("\n")
        found["branch"] = arguments.get("branch", "")
        found["credentials"] = arguments.get("credentialsId", "")
    return {**found, "pipeline": keys or True}


def read_shell_step(text: str) -> dict[str, Any]:
    """Return ``pipeline`` and ``branch`` of a freestyle job's shell step from seed."""
    words = shlex.split(text)
    keys: dict[str, Any] = {}
    for word in (after for before, after in zip(words, words[1:]) if before == "export"):
        name, _equals, value = word.partition("=")
        key = _VARIABLES.get(name)
        if key is not None and key.name != "code":
            keys[key.name] = _typed(key.kind, value)
    fetch = ["git", "fetch", "-q", "--depth", "1"]
    place = next((n for n in range(len(words)) if words[n : n + 5] == fetch), None)
    return {"pipeline": keys, "branch": words[place + 6] if place is not None else ""}


def _typed(kind: str, value: str) -> Any:
    if kind == "boolean":
        return value == "true"
    if kind == "integer":
        return int(value)
    return json.loads(value) if value[:1] in ("[", "{") and kind != "text" else value
