"""Plans of docker.sh's commands: the same end state with the fewest steps."""

from __future__ import annotations

import pytest

from container_pipeline.errors import EngineError, RegistryError, SettingsError, StateError
from container_pipeline.model import Version
from container_pipeline.plan.image import WORDS, Build, ImageFacts, Keep, plan
from container_pipeline.plan.steps import MoveTag, Promote, Push, Tag
from container_pipeline.settings import Settings, load
from unit.table import table

LOGIN = {
    "DOCKER_REGISTRY": "dev.example:5000/team",
    "DOCKER_REGISTRY_USER": "developer",
    "DOCKER_REGISTRY_PASS": "secret",
    "DOCKER_REGISTRY_PROD": "prod.example",
    "DOCKER_REGISTRY_PROD_USER": "releaser",
    "DOCKER_REGISTRY_PROD_PASS": "secret",
}
V = "20261124093015"
DEV, PROD = "dev.example:5000/team/aglaia-web-re", "prod.example/aglaia-web-re"
ID = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


@pytest.fixture
def settings(tmp_path) -> Settings:
    return load(tmp_path, {"code": "aglaia-web-re"}, environ=LOGIN)


def without(tmp_path, *missing: str) -> Settings:
    environ = {name: value for name, value in LOGIN.items() if name not in missing}
    return load(tmp_path, {"code": "aglaia-web-re"}, environ=environ)


def shown(steps) -> list[str]:
    return [step.describe() for step in steps]


def built(**more: dict[str, str]) -> ImageFacts:
    return ImageFacts(
        Version(V), engine={f"{DEV}:{V}": ID, **more.get("engine", {})}, registries=more.get("registries", {})
    )


@table("words", [("push", "tag-latest", "push-latest"), *(words for words in WORDS.values() if words[0] != "build")])
def test_only_standalone_commands_may_move_latest_back(settings, words):
    engine = {f"{PROD}:{V}": ID, f"{DEV}:latest": ID, f"{PROD}:latest": ID}
    facts = built(engine=engine, registries={f"{DEV}:{V}": ID, f"{PROD}:{V}": ID})
    moves = [step for step in plan(words, settings, facts).steps if isinstance(step, MoveTag)]
    assert [step.forward for step in moves] == [len(words) > 1] * len(moves)
    assert len(moves) == sum(word in ("push-latest", "push-prod-latest") for word in words)


@table("words", [("push", "tag-latest", "push-latest"), *WORDS.values()])
def test_nothing_writes_latest_where_it_is_off(tmp_path, words):
    off = load(tmp_path, {"code": "aglaia-web-re"}, environ={**LOGIN, "CONTAINER_PIPELINE_DEFAULT_LATEST": "false"})
    facts = built(engine={f"{DEV}:latest": ID, f"{PROD}:latest": ID, f"{PROD}:{V}": ID})
    facts.new_version = Version(V)
    made = plan(words, off, facts)
    assert "latest" not in " ".join(shown(made.steps))
    if len(words) > 1:
        assert made.refusal is None
        assert made.steps
    elif words[0].endswith("latest"):
        assert made.refusal.message == f"{words[0]} writes `latest`, and `latest: false` is set"


def test_full_pipeline_pushes_once_and_copies_the_rest(settings):
    made = plan(WORDS["pipeline-all"], settings, ImageFacts(None, Version(V)))
    assert [type(step) for step in made.steps] == [Build, Push, Tag, MoveTag, Tag, Promote, Tag, MoveTag]
    assert shown(made.steps) == [
        f"build {DEV}:{V}",
        f"push {DEV}:{V}",
        f"tag {DEV}:{V} as {DEV}:latest",
        f"point {DEV}:latest at {V}",
        f"tag {DEV}:{V} as {PROD}:{V}",
        f"promote {DEV}:{V} to {PROD}:{V}",
        f"tag {DEV}:{V} as {PROD}:latest",
        f"point {PROD}:latest at {V}",
    ]


def test_production_push_uses_engine_if_development_lacks_version(settings):
    made = plan(WORDS["pipeline-prod"], settings, ImageFacts(None, Version(V)))
    assert [type(step) for step in made.steps] == [Build, Tag, Push, Tag, MoveTag]


def test_an_existing_version_is_not_rebuilt(settings):
    made = plan(WORDS["pipeline"], settings, built())
    assert [type(step) for step in made.steps] == [Push, Tag, MoveTag]


def test_a_rebuild_builds_whatever_is_there(settings):
    made = plan(WORDS["pipeline-rebuild"], settings, ImageFacts(Version(V), Version("20261124093016")))
    assert shown(made.steps)[0] == f"build {DEV}:20261124093016"


def test_a_version_already_pushed_is_not_pushed_again(settings):
    made = plan(("push",), settings, built(registries={f"{DEV}:{V}": ID}))
    assert [type(step) for step in made.steps] == [Keep]


def test_a_version_never_changes_its_meaning(settings):
    made = plan(("push",), settings, built(registries={f"{DEV}:{V}": OTHER}))
    assert made.steps == []
    assert isinstance(made.refusal, RegistryError)


def test_push_latest_follows_the_engine_even_if_older(settings):
    facts = built(engine={f"{DEV}:latest": OTHER}, registries={f"{DEV}:{V}": ID})
    made = plan(("push-latest",), settings, facts)
    assert [type(step) for step in made.steps] == [Push]


def test_latest_is_promoted_when_production_lacks_the_version(settings):
    facts = built(engine={f"{PROD}:latest": ID}, registries={f"{DEV}:{V}": ID})
    made = plan(("push-prod-latest",), settings, facts)
    assert shown(made.steps) == [f"promote {DEV}:{V} to {PROD}:latest"]


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("push-latest", "tag-latest"),
        ("push-prod", "tag-prod"),
        ("push-prod-latest", "tag-prod-latest"),
    ],
)
def test_untagged_push_is_refused_with_the_tag_command(settings, word, command):
    made = plan((word,), settings, built(registries={f"{DEV}:{V}": ID, f"{PROD}:{V}": ID}))
    assert made.steps == []
    assert isinstance(made.refusal, EngineError)
    assert made.refusal.hint == f"run `container-pipeline {command}` first"


def test_image_missing_everywhere_asks_for_a_build(settings):
    refusal = plan(("push",), settings, ImageFacts(Version(V))).refusal
    assert isinstance(refusal, EngineError)
    assert refusal.hint == "run `container-pipeline build` first"


def test_image_missing_only_locally_asks_for_a_pull(settings):
    refusal = plan(("tag-latest",), settings, ImageFacts(Version(V), registries={f"{DEV}:{V}": ID})).refusal
    assert isinstance(refusal, EngineError)
    assert refusal.hint == f"`docker pull {DEV}:{V}` fetches it"


@table("word", [word for word in WORDS if not word.startswith(("build", "pipeline"))])
def test_nothing_is_tagged_or_pushed_before_a_build(settings, word):
    made = plan(WORDS[word], settings, ImageFacts(None))
    assert made.steps == []
    assert isinstance(made.refusal, StateError)


@table(
    ("word", "missing"),
    [
        *((word, "DOCKER_REGISTRY") for word in WORDS),
        *((word, f"DOCKER_REGISTRY_{what}") for word in ("push", "push-latest") for what in ("USER", "PASS")),
        *((word, "DOCKER_REGISTRY_PROD") for word in WORDS if word.endswith(("prod", "prod-latest"))),
        *((word, f"DOCKER_REGISTRY_PROD_{w}") for word in ("push-prod", "push-prod-latest") for w in ("USER", "PASS")),
    ],
)
def test_each_missing_setting_is_named(tmp_path, word, missing):
    names = {f"{DEV}:{V}": ID, f"{DEV}:latest": ID, f"{PROD}:{V}": ID, f"{PROD}:latest": ID}
    made = plan(WORDS[word], without(tmp_path, missing), built(engine=names))
    assert isinstance(made.refusal, SettingsError)
    assert made.refusal.message.startswith(f"{missing} is not set")


def test_pipeline_without_production_settings_stops_before_production(tmp_path):
    made = plan(WORDS["pipeline-all"], without(tmp_path, "DOCKER_REGISTRY_PROD"), ImageFacts(None, Version(V)))
    assert [type(step) for step in made.steps] == [Build, Push, Tag, MoveTag]
    assert isinstance(made.refusal, SettingsError)


def test_production_push_needs_no_development_password(tmp_path):
    facts = built(engine={f"{PROD}:{V}": ID})
    made = plan(("push-prod",), without(tmp_path, "DOCKER_REGISTRY_PASS"), facts)
    assert [type(step) for step in made.steps] == [Push]


@table(
    ("name", "namespace", "repository"),
    [
        ("web.app", "", "web.app"),
        ("web", "team", "team/web"),
        ("team/web", "", "team/web"),
        ("team/web", "company", "company/team/web"),
    ],
)
def test_image_argument_replaces_the_name_after_the_namespace(tmp_path, name, namespace, repository):
    from dataclasses import replace

    options = {"code": "aglaia-web-re", "namespace": namespace}
    settings = replace(load(tmp_path, options, environ=LOGIN), image_name=name)
    assert shown(plan(("build",), settings, ImageFacts(None, Version(V))).steps) == [
        f"build dev.example:5000/team/{repository}:{V}"
    ]


def test_a_push_attaches_its_sbom_then_signs(tmp_path):
    """A promotion makes neither: it carries both. What an engine pushes to production gets both there."""
    settings = load(tmp_path, {"code": "aglaia-web-re", "sign": "keys/cosign.key", "sbom": True}, environ=LOGIN)
    steps = plan(WORDS["pipeline-all"], settings, built()).steps
    assert [step.name for step in steps] == [
        "push",
        "sbom",
        "sign",
        "tag",
        "move-tag",
        "tag",
        "promote",
        "tag",
        "move-tag",
    ]
    assert shown(steps)[1:3] == [f"attach an SBOM to {DEV}:{V}", f"sign {DEV}:{V} with cosign.key"]
    held = built(registries={f"{DEV}:{V}": ID})
    assert [(step.name, getattr(step, "again", None)) for step in plan(("push",), settings, held).steps] == [
        ("keep", None),
        ("sbom", True),
        ("sign", True),
    ]
    direct = plan(("push-prod",), settings, built(engine={f"{PROD}:{V}": ID})).steps
    assert [(step.name, step.image.registry.host) for step in direct] == [
        (name, "prod.example") for name in ("push", "sbom", "sign")
    ]
