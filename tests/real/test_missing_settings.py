"""A missing setting ends each of the fifteen commands as in docker.sh, and is named."""

from __future__ import annotations

import pytest

from real.convention import ALL, BUILT, DEV_LOGIN, NEEDS, NOTHING, PROD_LOGIN, TAGGED, expected, needs
from real.workbench import SIDES, call, lacking

#: What a pipeline lacks: each setting for the longest one, and for the others in the matrix.
PIPELINES = [
    pytest.param(name, missing, marks=[pytest.mark.matrix] * (name != "pipeline-all"))
    for name in ALL
    if name.startswith("pipeline")
    for missing in needs(name)
]
#: What needs fewer settings than there are; the others, which build or need all of them, are in the matrix.
FEW = ("build", "pipeline", "pipeline-prod")
OTHERS = [pytest.param(name, marks=pytest.mark.matrix) for name in ALL if name not in NEEDS and name not in FEW]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", [name for name in NEEDS if name != "build"])
def test_a_command_that_lacks_a_setting_changes_nothing(workbench, side, command, monkeypatch, capsys):
    """And it succeeds without those that it does not need."""
    workbench.prepare(TAGGED)
    for missing in NEEDS[command]:
        with lacking(workbench, missing):
            exit_code = call(side, workbench, command, monkeypatch)
        assert workbench.world(exit_code) == expected(command, TAGGED, missing)
        assert exit_code == 1
        assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]
    succeeds_without_what_it_does_not_need(workbench, side, command, monkeypatch, TAGGED)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("command", "missing"), [("build", "DOCKER_REGISTRY"), *PIPELINES])
def test_pipeline_missing_a_setting_stops_like_docker_sh(workbench, side, command, missing, monkeypatch, capsys):
    given = BUILT if command.endswith("-rebuild") else NOTHING
    workbench.prepare(given)
    with lacking(workbench, missing):
        exit_code = call(side, workbench, command, monkeypatch)
    assert workbench.world(exit_code) == expected(command, given, missing)
    assert exit_code == 1
    assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", [*FEW, *OTHERS])
def test_build_and_pipelines_need_their_settings_alone(workbench, side, command, monkeypatch):
    succeeds_without_what_it_does_not_need(workbench, side, command, monkeypatch, NOTHING)


def succeeds_without_what_it_does_not_need(workbench, side, command, monkeypatch, given):
    with lacking(workbench, *(set(DEV_LOGIN + PROD_LOGIN) - set(needs(command)))):
        exit_code = call(side, workbench, command, monkeypatch)
    assert workbench.world(exit_code) == expected(command, given)
    assert exit_code == 0
