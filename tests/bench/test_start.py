"""How long the command takes to start, beside a Python interpreter that does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.record import in_turn, record

AGENT = Path(__file__).parents[2] / "agent"


def test_help_beside_an_interpreter_that_does_nothing():
    environ = {**os.environ, "PYTHONPATH": str(AGENT)}

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], env=environ, stdout=subprocess.DEVNULL, check=True)

    record(
        "container-pipeline --help",
        in_turn(
            {
                "container-pipeline": lambda: run("-m", "container_pipeline", "--help"),
                "python3 -c pass": lambda: run("-c", "pass"),
            },
            rounds=10,
        ),
    )
