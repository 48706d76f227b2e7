"""Fixtures for all tests (lab/fixtures.py), and the `lab` mark on every test that uses the lab."""

from __future__ import annotations

import gc
import os
import signal
from typing import Any

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

from lab.fixtures import *  # noqa: F403

# Tests assert no times, because any example can be slow on a busy machine. Each run has the same few examples, but for
# `make test-all`, which looks for new ones.
hypothesis.settings.register_profile("few", deadline=None, max_examples=10, derandomize=True, database=None)
hypothesis.settings.register_profile("many", deadline=None, max_examples=500)
hypothesis.settings.load_profile("many" if os.environ.get("MANY_EXAMPLES") else "few")
if not os.environ.get("MANY_EXAMPLES"):
    # Hypothesis would parse all modules that a worker has imported, and try their constants, too: other ones in each worker.
    providers.is_local_module_file = lambda _path: False

# Variables of a person's shell must not affect tests: a test sets what it needs.
for name in [*os.environ]:
    if name.startswith(("CONTAINER_PIPELINE_", "DOCKER_REGISTRY", "JENKINS_URL", "JENKINS_USER", "JENKINS_TOKEN")):
        del os.environ[name]

# Children of a background shell ignore SIGINT, and so do theirs: tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a long text by its first characters: each worker sends all names, and a test's processes get its own."""
    return val[:60] if isinstance(val, str) and len(val) > 1000 else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker("lab")
    # A stable sort: slow tests begin first, by module where a module stays together, the rest keep their order.
    slow = {scope(item.nodeid) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: scope(item.nodeid) not in slow)


def pytest_collection_finish() -> None:
    # The garbage collector need not look at thousands of listed tests again and again.
    gc.collect()
    gc.freeze()


#: On a worker, how many tests of the matrix it has left out; on the controller, the count that the workers sent.
LEFT_OUT = pytest.StashKey[int]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("matrix", 0)


def pytest_deselected(items: list[pytest.Item]) -> None:
    for config in {item.config for item in items}:
        config.stash[LEFT_OUT] = sum(item.get_closest_marker("matrix") is not None for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["matrix"] = session.config.stash.get(LEFT_OUT, 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    count = config.stash.get(LEFT_OUT, 0)
    if count and config.option.markexpr == "not matrix":
        terminalreporter.write_line(f"{count} tests of the matrix were left out; `make test-all` runs them, too")


#: Modules whose tests share what one fixture makes, at some cost.
TOGETHER = ("docker_sh", "documents", "env_file", "frozen_engine", "init", "pages", "swarm")


def scope(nodeid: str) -> str:
    """Return what goes to one worker: a test on real parts, which waits more than it works, else a module or a folder."""
    module = nodeid.partition("::")[0]
    # Each has one server, which costs more than it serves: Hudson, and Jenkins' interpreter with two servers of its own.
    if module.startswith(("tests/seed/", "tests/groovy/")):
        return module.rpartition("/")[0]
    alone = module.startswith("tests/real/") and not module.endswith(tuple(f"/test_{name}.py" for name in TOGETHER))
    return nodeid if alone else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Schedule by ``scope`` where `--dist loadscope` is asked for."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return Scheduling(config, log)
