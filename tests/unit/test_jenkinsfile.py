"""Stages from settings and from the options of the Jenkinsfile."""

from __future__ import annotations

import json

import pytest
from tools import keys

from container_pipeline.commands.library.stages import tell
from container_pipeline.console import Console
from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run
from container_pipeline.keys import KEYS
from container_pipeline.plan.flow import Wishes, stages
from container_pipeline.plan.jenkinsfile import library_keys, wishes_of
from container_pipeline.result import Result
from container_pipeline.settings import load

DEV = {"DOCKER_REGISTRY": "dev.example"}
BOTH = {**DEV, "DOCKER_REGISTRY_PROD": "prod.example"}
ENVIRONMENTS = """
code: aglaia-web-re
environments:
  test: {servers: [t1], registry: development}
  prod: {servers: [p1, p2], approve: 'Really?'}
"""


@pytest.fixture
def settings(tmp_path):
    def settings(environ, text="code: aglaia-web-re\n", environment=""):
        (tmp_path / "container-pipeline.yml").write_text(text)
        return load(tmp_path, {}, environment, environ)

    return settings


def names(found):
    return [stage.name for stage in found[0]]


def test_one_registry_gives_only_build_and_push_stages(settings):
    found = stages(settings(DEV), [], Wishes())
    assert names(found) == ["Build", "Push"]
    assert [sentence.split(";")[0] for sentence in found[1]] == [
        "Deploy: skipped",
        "Promote: skipped",
        "Approve: skipped",
    ]


def test_approval_precedes_production_when_every_stage_runs(settings):
    one = settings(BOTH, "code: a-b\nservers: [web-1]\n")
    assert names(stages(one, [], Wishes(approve=True))) == ["Build", "Push", "Approve", "Promote", "Deploy"]


def test_promotion_precedes_the_first_deploy_from_production_registry(settings):
    chosen = [(name, settings(BOTH, ENVIRONMENTS, name)) for name in ("test", "prod")]
    found = stages(settings(BOTH, ENVIRONMENTS), chosen, Wishes())
    assert names(found) == ["Build", "Push", "Deploy test", "Approve", "Promote", "Deploy prod"]
    asks = found[0][3]
    assert asks.question == "Really?"
    # What its message shows of the servers that it asks about.
    assert (asks.command, asks.arguments, asks.credentials) == (
        "status",
        ("--environment", "prod"),
        ("ssh", "knownHosts"),
    )
    assert found[0][2].arguments == ("--environment", "test", "--keep-newer")


def test_promotion_comes_last_if_nothing_pulls_from_production(settings):
    chosen = [("test", settings(BOTH, ENVIRONMENTS, "test"))]
    assert names(stages(settings(BOTH, ENVIRONMENTS), chosen, Wishes(approve="Go?"))) == [
        "Build",
        "Push",
        "Deploy test",
        "Approve",
        "Promote",
    ]


def test_approval_precedes_last_deploy_without_a_production_registry(settings):
    chosen = [(name, settings(DEV, ENVIRONMENTS, name)) for name in ("test", "prod")]
    assert names(stages(settings(DEV, ENVIRONMENTS), chosen, Wishes())) == [
        "Build",
        "Push",
        "Deploy test",
        "Approve",
        "Deploy prod",
    ]


def test_the_jenkinsfile_turns_stages_off(settings):
    one = settings(BOTH, "code: a-b\nservers: [web-1]\napprove: true\n")
    assert names(stages(one, [], Wishes(promote=False, deploy=False, approve=False))) == ["Build", "Push"]
    assert names(stages(one, [], Wishes(promote=False))) == ["Build", "Push", "Approve", "Deploy"]


def test_nothing_for_production_means_no_question(settings):
    found = stages(settings(DEV), [], Wishes(approve=True))
    assert names(found) == ["Build", "Push"]
    assert "Approve: skipped; nothing reaches production" in found[1]


@pytest.mark.parametrize("wishes", [Wishes(deploy=True), Wishes(promote=True)])
def test_impossible_requests_are_refused_before_the_build(settings, wishes):
    with pytest.raises(SettingsError):
        stages(settings(DEV), [], wishes)


def test_environments_without_servers_are_refused_before_the_build(settings):
    text = "code: a-b\nenvironments: {test: {}}\n"
    with pytest.raises(SettingsError):
        stages(settings(DEV, text), [("test", settings(DEV, text, "test"))], Wishes())


def test_each_deploy_stage_may_skip_the_release_command(settings):
    chosen = [(name, settings(BOTH, ENVIRONMENTS, name)) for name in ("test", "prod")]
    wishes = wishes_of({"noRelease": True, "override": "why"})[0]
    found = stages(settings(BOTH, ENVIRONMENTS), chosen, wishes)[0]
    more = ("--keep-newer", "--override", "why", "--no-release")
    assert [stage.arguments for stage in found if stage.command == "deploy"] == [
        ("--environment", name, *more) for name in ("test", "prod")
    ]
    with pytest.raises(SettingsError, match="noRelease must be true or false"):
        wishes_of({"noRelease": "yes"})


def test_environments_must_be_names():
    assert wishes_of({"environments": ["a"], "promote": False}) == (Wishes(promote=False), ["a"])
    with pytest.raises(SettingsError):
        wishes_of({"environments": "a"})


def test_library_supports_every_setting_under_its_groovy_name():
    known = library_keys()[""]
    for key in KEYS:
        # These two mean the flow in a Jenkinsfile, and are handed over with it.
        assert key.name in ("approve", "environments") or known[key.camel]["variable"] == key.variable


def test_library_key_list_matches_the_settings():
    assert keys.TARGET.read_text(encoding="utf-8") == keys.text(), "run: make agent"


@pytest.mark.parametrize(
    ("secret", "stops"), [(False, True), ([], True), (["test"], True), (["test", "prod"], False), (True, False)]
)
def test_a_missing_env_file_stops_before_the_build(settings, tmp_path, secret, stops):
    text = ENVIRONMENTS + "env_file: .env.ours\n"
    run = Run(settings(BOTH, text), Console(), Result("stages", "a-b"))
    (tmp_path / "docker-compose.yml").write_text("services:\n  aglaia-web-re: {image: a, env_file: [.env]}\n")
    wishes = json.dumps({"environments": ["test", "prod"], "secretEnv": secret})
    if stops:
        with pytest.raises(SettingsError, match=r"docker-compose.yml reads .env, which does not exist") as stopped:
            tell(run, wishes, lambda name: settings(BOTH, text, name))
        assert "`credentials: [env: 'ID']`" in stopped.value.hint
        (tmp_path / ".env.ours").write_text("ENV=prod\n")
    tell(run, wishes, lambda name: settings(BOTH, text, name))
