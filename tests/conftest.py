"""Fixtures for all tests (lab/fixtures.py), and the `lab` mark on every test that uses the lab."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest

from lab.fixtures import *  # noqa: F403

# Tests assert no times: on a busy machine any example can be slow.
hypothesis.settings.register_profile("no deadline", deadline=None, max_examples=50)
hypothesis.settings.load_profile("no deadline")

# What a person's shell has set for the lab or for work must not decide here: a test sets what it needs.
for name in [*os.environ]:
    if name.startswith(("CONTAINER_PIPELINE_", "DOCKER_REGISTRY", "JENKINS_URL", "JENKINS_USER", "JENKINS_TOKEN")):
        del os.environ[name]

# Started in the background, a shell's children ignore SIGINT, and theirs do: tests that send it would wait in vain.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "lab" in getattr(item, "fixturenames", ()):
            item.add_marker("lab")
    # A stable sort: modules with a slow test begin first, the rest keep their order.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
