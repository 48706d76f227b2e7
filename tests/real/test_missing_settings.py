"""A missing setting ends each of the fifteen commands as in docker.sh, and is named."""

from __future__ import annotations

import pytest

from real.convention import ALL, BUILT, DEV_LOGIN, NEEDS, NOTHING, PROD_LOGIN, TAGGED, expected, needs
from real.workbench import SIDES, call, lacking


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", [name for name in NEEDS if name != "build"])
def test_a_command_that_lacks_a_setting_changes_nothing(workbench, side, command, monkeypatch, capsys):
    workbench.prepare(TAGGED)
    for missing in NEEDS[command]:
        with lacking(workbench, missing):
            exit_code = call(side, workbench, command, monkeypatch)
        assert workbench.world(exit_code) == expected(command, TAGGED, missing)
        assert exit_code == 1
        assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("build", "DOCKER_REGISTRY"),
        *((name, missing) for name in ALL if name.startswith("pipeline") for missing in needs(name)),
    ],
)
def test_pipeline_missing_a_setting_stops_like_docker_sh(workbench, side, command, missing, monkeypatch, capsys):
    given = BUILT if command.endswith("-rebuild") else NOTHING
    workbench.prepare(given)
    with lacking(workbench, missing):
        exit_code = call(side, workbench, command, monkeypatch)
    assert workbench.world(exit_code) == expected(command, given, missing)
    assert exit_code == 1
    assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", ALL)
def test_command_succeeds_without_settings_it_does_not_need(workbench, side, command, monkeypatch):
    given = NOTHING if command.startswith(("build", "pipeline")) else TAGGED
    workbench.prepare(given)
    with lacking(workbench, *(set(DEV_LOGIN + PROD_LOGIN) - set(needs(command)))):
        exit_code = call(side, workbench, command, monkeypatch)
    assert workbench.world(exit_code) == expected(command, given)
    assert exit_code == 0
