"""Names on a server are never split at blanks or expanded as patterns."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mutations.entry import PACKAGE, REPOSITORY

SCRIPTS = sorted((REPOSITORY / PACKAGE / "remote/programs").glob("*.sh"))
#: What may be split: ids, words of ours, and names of services, images, releases and ports, which have no blanks and no patterns.
WORDS = {
    "services",
    "others",
    "old",
    "ids",
    "found_ids",
    "names",
    "tasks",
    "images",
    "companions",
    "pins",
    "digests",
    "absent",
    "ports",
    "OTHERS",
    "in_background",
    "watchers",
    "brief",
    "within",
    "bound",
    "limit",
    "numbers",
    "json",
    "needs",
    "addresses",
    "check_status",
    "bounded",
    "flags",
}
#: Functions of ours that print such words.
PRINT_WORDS = {"steering", "service_containers"}
#: ShellCheck's names for what a shell splits and matches against files.
SPLIT = "SC2086,SC2046,SC2048,SC2068"
LOOP = re.compile(r"\bfor \w+ in (.*?);? *(?:do|$)")


def unquoted(text: str) -> list[str]:
    """The lines of a script in which something else than WORDS is split, but for those between set -f and set +f."""
    silent = re.sub(r"# shellcheck disable=\S+", "#", text)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run(
        [shellcheck, "--extended-analysis=false", "-s", "sh", "-i", SPLIT, "-f", "json", "-"],
        input=silent,
        capture_output=True,
        text=True,
        check=False,
    )
    lines, found, matched = silent.splitlines(), set(), True
    for one in json.loads(done.stdout):
        split = lines[one["line"] - 1][one["column"] - 1 : one["endColumn"] - 1]
        if split.strip("${}") not in WORDS:
            found.add(one["line"])
    for number, line in enumerate(lines, 1):
        matched = {"set -f": False, "set +f": True}.get(line.strip(), matched)
        if not matched:
            found.discard(number)
            continue
        for of in LOOP.findall(re.sub(r'"[^"]*"', "", line)):
            words = set(re.findall(r"\$\{?(\w+)", of)) <= WORDS
            if not words or ("$(" in of and of[2:-1] not in PRINT_WORDS):
                found.add(number)
    return [lines[number - 1].strip() for number in sorted(found)]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_list_of_what_users_chose_is_split(script: Path):
    assert unquoted(script.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line", ["for x in $units; do :; done", "rm -rf $units", "for x in $(cat list); do :; done", "echo ${units}"]
)
def test_it_finds_such_a_list(line: str):
    start = 'units=$(cat "$1")\n'
    assert unquoted(f"#!/bin/sh\n{start}{line}\n") == [line]
    assert unquoted(f"#!/bin/sh\n{start}set -f\n{line}\nset +f\n") == []
