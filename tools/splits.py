"""Names the lines of the servers' programs that split what users chose at blanks, or match it against files: ``python -m tools.splits``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

PROGRAMS = Path(__file__).resolve().parents[1] / "agent/container_pipeline/remote/programs"
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
    "known",
}
#: Functions of ours that print such words.
PRINT_WORDS = {"steering", "service_containers"}
#: ShellCheck's names for what a shell splits and matches against files.
SPLIT = "SC2086,SC2046,SC2048,SC2068"
LOOP = re.compile(r"\bfor \w+ in (.*?);? *(?:do|$)")


def splits(text: str) -> list[str]:
    """Return the lines of a script that split something else than WORDS, but for those between set -f and set +f."""
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


def main() -> int:
    """Print one sentence for each line; exit 1 where there is one."""
    found = [(path.name, line) for path in sorted(PROGRAMS.glob("*.sh")) for line in splits(path.read_text("utf-8"))]
    for name, line in found:
        print(f"{name} splits what users chose: quote it, or read it line by line: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
