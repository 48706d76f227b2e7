"""The fifteen commands end as docker.sh ended: tags, images behind them, state files, exit code.

If DOCKER_SH names the original script, it runs too and must match the convention's table.
"""

from __future__ import annotations

import pytest

from real.convention import ALL, GIVEN, NEEDS, NOTHING, PIPELINES, World, expected
from real.workbench import SIDES, call


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("command", "given"),
    [
        *((command, "nothing") for command in ALL),
        *((command, "built") for command in ALL),
        *((command, "tagged") for command in NEEDS if command.startswith("push")),
        *((command, "pushed") for command in ("push", "push-latest", "push-prod", "push-prod-latest")),
        *((command, "promoted") for command in ("push-prod", "push-prod-latest", "pipeline-all")),
        *((command, "behind") for command in ("push-latest", "push-prod-latest", "pipeline")),
        *((command, "gone") for command in (*NEEDS, *PIPELINES) if command != "build"),
    ],
)
def test_a_command_ends_as_docker_sh_ended(workbench, side, command, given, monkeypatch):
    workbench.prepare(GIVEN[given])
    exit_code = call(side, workbench, command, monkeypatch)
    assert workbench.world(exit_code) == expected(command, GIVEN[given])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("workbench", ["team"], indirect=True)
def test_a_namespace_goes_before_the_image_argument(workbench, side, monkeypatch):
    exit_code = call(side, workbench, "pipeline-all", monkeypatch, "team")
    assert workbench.world(exit_code) == expected("pipeline-all", NOTHING)


@pytest.mark.parametrize("side", SIDES)
def test_an_unknown_command_is_usage(workbench, side, monkeypatch):
    assert call(side, workbench, "publish", monkeypatch) == 2
    assert workbench.world(2) == World(exit_code=2)
