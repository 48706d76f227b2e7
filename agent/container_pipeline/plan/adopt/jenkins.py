"""Replaces calls of docker.sh in a Jenkinsfile with the library's steps, if their meaning is certain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby

from container_pipeline.plan import groovy
from container_pipeline.plan.adopt.calls import NAMED, parts
from container_pipeline.plan.image import WORDS

_HEAD = "@Library('container-pipeline') _\n\n"


def jenkinsfile(code: str, before: list[str]) -> str:
    """Return a Jenkinsfile with the one call; the commands before a build run before it on the same node."""
    call = f"containerPipeline(code: '{code}')"
    if not before:
        return f"{_HEAD}{call}\n"
    commands = "".join(f"    sh {_groovy(command)}\n" for command in before)
    return f"{_HEAD}node {{\n    checkout scm\n{commands}    {call}\n}}\n"


def _groovy(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


#: docker.sh's command → the step that replaces it.
_STEPS = {
    **dict.fromkeys(("pipeline", "pipeline-rebuild"), "containerPipeline(code: '{code}', promote: false)"),
    **{word: "containerPipeline(code: '{code}')" for word in WORDS if re.match(r"pipeline-(prod|all)", word)},
    "build": "containerBuild(code: '{code}')",
    "push": "containerPush(code: '{code}')",
    "push-prod": "containerPromote(code: '{code}')",
}
#: Text before and after a string that is the script of `sh`.
_LABEL = r"label:\s*(?:'[^'\n]*'|\"[^\"\n$]*\")"
_SH = re.compile(rf"\bsh\s*(?:(\()\s*)?(?:{_LABEL}\s*,\s*)?(?:script:\s*)?\Z")
_ENDS = {
    True: re.compile(rf"(?:\s*,\s*{_LABEL})?\s*\)[ \t]*(?=\n|;|\}}|\r|\Z)"),
    False: re.compile(r"[ \t]*(?=\n|;|\}|\r|\Z)"),
}
#: Blocks in which docker.sh is a different file, runs on another machine, or returns a value.
_ELSEWHERE = re.compile(
    r"""(?:\bdir\s*\(?\s*(?!['"](?:\.|\$\{?(?:env\.)?WORKSPACE\}?)['"])[^(){}]*\)?|\.inside\b[^{}]*|\b(?:container|ws)\s*\(?[^(){}]*\)?|\bexpression)\s*\Z"""
)
_ALONE = re.compile(r"(?:\b(?:if|while|for)\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)|\belse)\s*\Z")


def rewrite(text: str, code: str, before: list[str]) -> str:
    """Return a Jenkinsfile with each call of docker.sh replaced by the equivalent step, and the rest unchanged.

    A call is kept if its meaning is not certain: with an argument or a variable, in another folder, beside commands that it
    depends on, or if its output or exit code is used.
    """
    bare = groovy.without_comments(text)
    strings = groovy.strings(bare)
    code_only = _blanked(bare, strings)
    found = [(one, _script(bare, one)) for one in strings if NAMED.search(bare[one.start : one.end])]
    said = {word for _one, made in found for kind, word in made or () if kind == "call"}
    changes: list[tuple[int, int, list[str]]] = []
    for one, made in found:
        place = _statement(bare, code_only, one)
        steps = _steps(made, code, before, said, bare[one.start : one.end]) if made is not None and place else None
        if place and steps is not None and (len(steps) == 1 or not _ALONE.search(bare[: place[0]])):
            changes.append((*place, steps))
    if len(changes) < len(found) and re.search(r"\b(?:chmod|dos2unix|sed)\b[^\n]*docker\.sh", bare):
        return text  # a call that is kept needs its preparation
    changed = text
    for start, end, steps in reversed(_filled(code_only, changes)):
        line = text[text.rfind("\n", 0, start) + 1 : start]
        after = text[end:].partition("\n")[0].strip()
        if not line.strip() and not after and not steps:
            following = text.find("\n", end)
            changed = changed[: start - len(line)] + (changed[following + 1 :] if following >= 0 else "")
        else:
            own_line = not line.strip() and not after
            changed = changed[:start] + (f"\n{line}" if own_line else "; ").join(steps) + changed[end:]
    return _with_library(changed) if changed != text else text


def _blanked(bare: str, strings: Sequence[groovy.Text]) -> str:
    """Return the code with emptied strings, so that all brackets belong to Groovy."""
    changed = list(bare)
    for one in strings:
        changed[one.start : one.end] = re.sub(r"[^\n]", "_", bare[one.start : one.end])
    return "".join(changed)


def _script(bare: str, one: groovy.Text) -> list[tuple[str, str]] | None:
    """Return a string's script as calls and other commands, None if it is not certain."""
    if one.form not in ("single", "double", "triple"):
        return None
    quotes = 3 if one.form == "triple" else 1
    inner = bare[one.start + quotes : one.end - quotes].replace("\r", "")
    shell = re.match(r"#!\s*(?:/usr)?/bin/(?:env\s+)?(?:ba|da)?sh(?:\s+-\w+)*\n", inner)
    made = None if "\\n" in inner or (inner.lstrip().startswith("#!") and not shell) else parts(inner)
    # Other commands keep their shell.
    return None if shell and any(kind == "other" for kind, _text in made or ()) else made


def _statement(bare: str, code_only: str, one: groovy.Text) -> tuple[int, int] | None:
    """Return start and end of a string's `sh` statement, None if it is not a statement by itself."""
    head = _SH.search(bare[: one.start])
    tail = _ENDS[bool(head and head[1])].match(bare, one.end)
    if not head or not tail:
        return None
    before = bare[: head.start()].rstrip(" \t")
    own = not before or before.endswith(("{", "}", ";", "\n", "->")) or _ALONE.search(before)
    if not own or re.search(r"[=,(+?:&|]\s*\Z|\breturn\s*\Z", before):
        return None
    if any(_ELSEWHERE.search(bare[:opened]) for opened in _around(code_only, head.start())):
        return None
    return head.start(), one.end + len(tail[0].rstrip())


def _around(code_only: str, position: int) -> list[int]:
    """Return the start of each block around ``position``, innermost first."""
    opened, depth = [], 0
    for place in range(position - 1, -1, -1):
        depth += (code_only[place] == "}") - (code_only[place] == "{")
        if depth < 0:
            opened.append(place)
            depth = 0
    return opened


def _steps(
    made: Sequence[tuple[str, str]], code: str, before: Sequence[str], said: set[str], string: str
) -> list[str] | None:
    """Return the statements for a script; None if one of docker.sh's commands would change its meaning."""
    steps: list[str] = []
    quote = string[:3] if string.startswith(('"""', "'''")) else string[0]
    for kind, group in groupby(made, key=lambda part: part[0]):
        values = [value for _kind, value in group]
        if kind == "other":
            steps.append(
                "sh " + (quote + "\n".join(values) + quote if len(quote) == 3 else quote + " && ".join(values) + quote)
            )
            continue
        for word in values:
            step = _STEPS.get(word)
            if word.startswith("push") and step is None and ("push-prod" if "prod" in word else "push") not in said:
                return None
            builds = word == "build" or word.startswith("pipeline")
            steps += [f"sh {_groovy(command)}" for command in before if builds]
            steps += [step.format(code=code)] if step else []
    return steps


def _filled(code_only: str, changes: list[tuple[int, int, list[str]]]) -> list[tuple[int, int, list[str]]]:
    """Keep blocks from becoming empty: Jenkins refuses `steps {}`."""
    filled = []
    for start, end, steps in changes:
        opened = next(iter(_around(code_only, start)), -1)
        closed = code_only.find("}", end)
        rest = code_only[opened + 1 : closed]
        kept = any(others for other, _end, others in changes if opened < other < closed)
        for other, last, _steps in sorted(changes, reverse=True):
            if opened < other < closed:
                rest = rest[: other - opened - 1] + rest[last - opened - 1 :]
        empty = opened >= 0 and closed >= 0 and not kept and not rest.strip(" \t\r\n;")
        first = all(other >= start for other, _end, _steps in changes if opened < other < closed)
        filled.append((start, end, ["echo 'container-pipeline does this already'"] if empty and first else steps))
    return filled


def _with_library(text: str) -> str:
    """Return the file with the library's annotation as first line, or after a `#!` line."""
    if re.search(r"""(?:@Library|\blibrary)\b[^\n]*['"]container-pipeline(?:@[^'"]*)?['"]""", text):
        return text
    first = re.match(r"\ufeff?#![^\n]*\n", text)
    place = first.end() if first else 0
    return text[:place] + _HEAD + text[place:]
