"""Remove one guard after another, each in a copy of the repository, and check that its tests fail there.

    make mutations [ONLY='lock env'] [WORKERS=5]

First, all these tests must pass in an unchanged copy. ONLY selects mutations whose promise contains one of the words. The work
tree is never written; the lab is a separate one, since programs without a guard leave things behind.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from mutations.entry import PACKAGE, REPOSITORY, Mutation
from mutations.table import MUTATIONS

#: Seconds per test, after which the tests count as hanging.
PATIENCE = 300
#: Running tests by process id; each leads a process group.
RUNNING: set[int] = set()
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "bench", "groovy", "seed")


@contextlib.contextmanager
def own_lab(folder: Path) -> Iterator[None]:
    """Start a lab in a folder for this process and its children; end it afterwards."""
    os.environ["LAB_DIR"] = str(folder)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "tests")}
    try:
        subprocess.run([sys.executable, "-m", "lab", "up"], check=True, env=environment, stdout=subprocess.DEVNULL)
        yield
    finally:
        subprocess.run([sys.executable, "-m", "lab", "down"], check=True, env=environment, stdout=subprocess.DEVNULL)


def copy(folder: Path) -> Path:
    """Copy the parts of the repository that tests need; return the folder."""
    for name in ("agent", "tests"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=_LEFT_OUT)
    shutil.copy2(REPOSITORY / "setup.cfg", folder)
    return folder


def run(tree: Path, tests: Sequence[str], *options: str) -> tuple[dict[str, str], str]:
    """Run tests of a copy; return how each ended ("passed", "failed: why", "broken" where something around it failed), and the output."""
    report = tree / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *options]
    environment = {
        **os.environ,
        "CI": "true",
        # Before the installed package, which belongs to the work tree; also in processes that tests start.
        "PYTHONPATH": f"{tree}/agent:{tree}/tests",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with subprocess.Popen(
        [*command, *(f"tests/{test}" for test in tests)],
        cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        RUNNING.add(process.pid)
        try:
            output, _nothing = process.communicate(timeout=PATIENCE * len(tests))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            output = "they hang\n" + process.communicate()[0]
        except SystemExit:
            os.killpg(process.pid, signal.SIGINT)
            raise
        finally:
            RUNNING.discard(process.pid)
    return (endings(report) if report.exists() else {}), output


def endings(report: Path) -> dict[str, str]:
    """Return the outcome of each test in a JUnit report. Assertions of a fixture's teardown belong to the test."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        failure, error = case.find("failure"), case.find("error")
        if error is not None and re.search('on teardown with "assert', error.get("message", ""), re.IGNORECASE):
            failure = error
        if found.get(name, "").startswith("failed"):
            continue
        if failure is not None:
            found[name] = f"failed: {(failure.get('message') or '?').splitlines()[0][:120]}"
        elif error is not None or case.find("skipped") is not None:
            found[name] = "broken"
        else:
            found.setdefault(name, "passed")
    return found


def attempt(mutation: Mutation, tree: Path) -> tuple[bool, dict[str, str], str]:
    """Mutate a copy, run the mutation's tests, and restore the file; return whether all failed, each outcome, and the output."""
    path = tree / PACKAGE / mutation.file
    original = path.read_bytes()
    mutation.apply(tree)
    try:
        ended, output = run(tree, mutation.tests)
    finally:
        path.write_bytes(original)
    return len(ended) == len(mutation.tests) and all(how.startswith("failed") for how in ended.values()), ended, output


def told(mutation: Mutation, trees: SimpleQueue[Path]) -> bool:
    """Run a mutation in a free copy; print its outcome."""
    tree = trees.get()
    begin = time.monotonic()
    try:
        good, ended, output = attempt(mutation, tree)
    finally:
        trees.put(tree)
    lines = [
        f"{'fails' if good else 'NOT SHOWN'} in {time.monotonic() - begin:3.0f} s: {mutation.promise} ({mutation.file})"
    ]
    lines += [f"    {name} {how}" for name, how in ended.items()]
    print("\n".join(lines if good else [*lines, output]), flush=True)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__)
    parser.add_argument("-n", type=int, default=2, help="so many at once")
    parser.add_argument("words", nargs="*", help="only mutations whose promise has one of these words")
    given = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(1))
    chosen = [
        one for one in MUTATIONS if not given.words or any(word.lower() in one.promise.lower() for word in given.words)
    ]

    with tempfile.TemporaryDirectory(prefix="mutations-") as folder, own_lab(Path(folder) / "lab"):
        return carry_out(chosen, [copy(Path(folder) / str(number)) for number in range(given.n)])


def carry_out(chosen: Sequence[Mutation], copies: Sequence[Path]) -> int:
    """Run the tests without mutations, then with each one, in as many copies in parallel as there are. Return the exit code."""
    tests = sorted({test for one in chosen for test in one.tests})
    ended, output = run(copies[0], tests, "-n", str(len(copies)), "--dist", "loadscope")
    again = [
        test
        for test in tests
        if ended.get(f"{Path(test.partition('::')[0]).stem}::{test.partition('::')[2]}") != "passed"
    ]
    if 0 < len(again) <= 3:  # as `make test` does
        alone, more = run(copies[0], again)
        ended, output = {**ended, **alone}, output + more
    if len(ended) != len(tests) or set(ended.values()) != {"passed"}:
        print(f"{output}\nwithout any mutation these tests must pass")
        return 1
    print(f"{len(tests)} tests pass without any mutation", flush=True)
    trees: SimpleQueue[Path] = SimpleQueue()
    for one in copies:
        trees.put(one)
    with ThreadPoolExecutor(len(copies)) as pool:
        try:
            good = list(pool.map(lambda one: told(one, trees), chosen))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # They clean up after themselves.
            for process in list(RUNNING):
                os.killpg(process, signal.SIGINT)
            raise
    print(f"{sum(good)} of {len(good)} mutations make their tests fail")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
