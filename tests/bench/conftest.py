"""What every benchmark starts from."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile the agent, as an installer does: where Python keeps no bytecode, each start would compile it anew."""
    compileall.compile_dir(Path(__file__).parents[2] / "agent", quiet=2)
