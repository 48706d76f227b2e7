"""The stages of a build of a branch, tag or pull request: a table of all combinations."""

from __future__ import annotations

import itertools

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.model import Ref
from container_pipeline.plan.branches import DEFAULT, includes, unreachable
from container_pipeline.plan.flow import Wishes, stages
from container_pipeline.settings import load
from unit.table import table

BOTH = {"DOCKER_REGISTRY": "dev.example", "DOCKER_REGISTRY_PROD": "prod.example"}
#: What Jenkins sets in a multibranch job.
REFS = {
    "no multibranch job": {},
    "own pull request": {"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "CHANGE_BRANCH": "main", "CHANGE_TARGET": "main"},
    "forked pull request": {"BRANCH_NAME": "PR-8", "CHANGE_ID": "8", "CHANGE_FORK": "stranger/shop"},
    "feature": {"BRANCH_NAME": "feature/cart"},
    "develop": {"BRANCH_NAME": "develop"},
    "release": {"BRANCH_NAME": "release/2.0"},
    "main": {"BRANCH_NAME": "main"},
    "trunk": {"BRANCH_NAME": "trunk", "BRANCH_IS_PRIMARY": "true"},
    "tag": {"BRANCH_NAME": "v1.0", "TAG_NAME": "v1.0"},
}
ENVIRONMENTS = """
code: aglaia-web-re
environments:
  test: {servers: [t1], registry: development, branches: [develop, main, 'v*']}
  prod: {servers: [p1]}
"""
NO_WISHES = Wishes()
ONLY_BUILT, TEST = ["Build"], ["Build", "Push", "Deploy test"]
PROD = ["Build", "Push", "Promote", "Deploy prod"]
ALL = ["Build", "Push", "Deploy test", "Promote", "Deploy prod"]


@pytest.fixture
def flow(tmp_path):
    """flow(text, ref, wishes) → the stages of a project file for what Jenkins sets, and the sentences for the absent."""

    def flow(text, ref, wishes=NO_WISHES, environ=BOTH, names=("test", "prod")):
        (tmp_path / "container-pipeline.yml").write_text(text)
        environ = {**environ, **REFS[ref]}
        known = load(tmp_path, {}, "", environ)
        chosen = [(name, load(tmp_path, {}, name, environ)) for name in names if name in known.values.environments]
        return stages(known, chosen, wishes)

    return flow


# The project's `branches`, and for each ref the stages that it has.
TABLE = {
    "": {
        **dict.fromkeys(REFS, ONLY_BUILT),
        **dict.fromkeys(["no multibranch job", "main"], ALL),
        **dict.fromkeys(["develop", "tag"], TEST),
        "trunk": PROD,
    },
    "branches: develop": {
        **dict.fromkeys(REFS, ONLY_BUILT),
        **dict.fromkeys(["no multibranch job", "develop"], ALL),
        **dict.fromkeys(["main", "tag"], TEST),
    },
    "branches: [main, release/*, 'v*']": {
        **dict.fromkeys(REFS, ONLY_BUILT),
        **dict.fromkeys(["no multibranch job", "main", "tag"], ALL),
        "develop": TEST,
        "release": PROD,
    },
    "branches: ['**']": {
        **dict.fromkeys(REFS, PROD),
        **dict.fromkeys(["own pull request", "forked pull request"], ONLY_BUILT),
        **dict.fromkeys(["no multibranch job", "main", "develop", "tag"], ALL),
    },
}


@table(("branches", "ref"), itertools.product(TABLE, REFS))
def test_branches_determine_the_stages_of_each_ref(flow, branches, ref):
    present, absent = flow(ENVIRONMENTS + branches + "\n", ref)
    expected = TABLE[branches][ref]
    assert [stage.name for stage in present] == expected
    if "Push" in expected:
        assert (present[1].arguments == ("--latest",)) == ("Promote" in expected)
    if expected == ONLY_BUILT:
        assert len(absent) == 1
        assert absent[0].startswith("build only: ")
        assert ("`branches` does not include" in absent[0]) != ("pull request" in ref)


@table(("branches", "ref"), itertools.product(TABLE, REFS))
def test_without_environments_only_published_refs_run_every_stage(flow, branches, ref):
    present, _absent = flow(f"code: a-b\nservers: [web-1]\n{branches}\n", ref)
    expected = ["Build", "Push", "Promote", "Deploy"] if "Promote" in TABLE[branches][ref] else ONLY_BUILT
    assert [stage.name for stage in present] == expected


def test_each_stage_gets_only_the_credentials_it_needs(flow):
    def credentials(ref):
        return {stage.name: stage.credentials for stage in flow(ENVIRONMENTS, ref)[0]}

    servers = ("ssh", "knownHosts", "env")
    assert credentials("forked pull request") == {"Build": ()}
    assert credentials("own pull request") == credentials("feature") == {"Build": ("registry",)}
    pushes = ("registry", "sign", "signPassword")
    of_test = {"Build": pushes, "Push": pushes, "Deploy test": ("registry", "registryPull", *servers)}
    assert credentials("develop") == of_test
    of_prod = {"Promote": ("registry", "production"), "Deploy prod": ("production", "productionPull", *servers)}
    assert credentials("main") == {**of_test, **of_prod}


@table(
    ("ref", "expected"),
    [
        ("main", ["Build", "Push", "Deploy test", "Approve", "Promote", "Deploy prod"]),
        ("trunk", ["Build", "Push", "Approve", "Promote", "Deploy prod"]),
        ("develop", TEST),
        ("feature", ONLY_BUILT),
    ],
)
def test_nobody_is_asked_where_nothing_reaches_production(flow, ref, expected):
    present, absent = flow(ENVIRONMENTS, ref, Wishes(approve=True))
    assert [stage.name for stage in present] == expected
    assert ("Approve: skipped; nothing reaches production" in absent) == (ref == "develop")


def test_last_environment_is_production_without_a_production_registry(flow):
    text = "code: a-b\nenvironments:\n  test: {servers: [t1], branches: develop}\n  prod: {servers: [p1], branches: [main, release/*]}\n"
    development = {"DOCKER_REGISTRY": "dev.example"}
    for ref, expected in {
        "develop": ["Build", "Push", "Deploy test"],
        "main": ["Build", "Push", "Approve", "Deploy prod"],
        "release": ["Build", "Push", "Approve", "Deploy prod"],
    }.items():
        assert [stage.name for stage in flow(text, ref, Wishes(approve=True), development)[0]] == expected


def test_skipped_stages_name_the_responsible_branches_key(flow):
    absent = flow(ENVIRONMENTS, "trunk")[1]
    assert "Deploy test: skipped; `branches` of that environment does not include branch trunk" in absent
    absent = flow(ENVIRONMENTS, "tag")[1]
    assert "Promote: skipped, and `latest` stays; the project's `branches` does not include tag v1.0" in absent


def test_production_branches_that_are_never_promoted_are_refused(flow):
    text = "code: a-b\nenvironments: {prod: {servers: [p1], branches: [develop]}}\n"
    with pytest.raises(SettingsError, match=r"environments\.prod\.branches includes a branch that is not promoted"):
        flow(text, "develop")
    assert [stage.name for stage in flow(text, "main")[0]] == ["Build", "Push", "Promote"]


def test_an_environment_that_the_jenkinsfile_forgets_is_told(tmp_path):
    (tmp_path / "container-pipeline.yml").write_text(ENVIRONMENTS)
    settings = load(tmp_path, {}, "", {**BOTH, **REFS["develop"]})
    (told,) = unreachable(settings, ["prod"])
    assert "environment test" in told
    assert "`branches`" in told
    assert unreachable(settings, ["prod", "test"]) == []


@table(
    ("project", "own", "reached"),
    [
        ("main", "develop", False),
        ("main, release/*", "develop, hotfix/1", False),
        ("main, release/*", "develop, release/2", True),
        ("main, release/2", "release/*", True),
        ("main", "**", True),
        ("v*", "*1", True),
        ("", "trunk", True),  # it may be the primary branch
    ],
)
def test_production_environments_unreachable_by_promoted_branches_are_reported(tmp_path, project, own, reached):
    text = f"branches: '{project}'\n" if project else ""
    (tmp_path / "container-pipeline.yml").write_text(
        f"{text}environments:\n  test: {{branches: [x], registry: development}}\n  prod: {{branches: '{own}'}}\n"
    )
    told = unreachable(load(tmp_path, {}, "", BOTH))
    assert [reached, *("environments.prod.branches" in one for one in told)] == ([True] if reached else [False, True])


@pytest.mark.parametrize("ref", ["feature", "own pull request", "tag"])
def test_what_is_only_built_needs_no_servers(flow, ref):
    text = "code: a-b\nenvironments: {prod: {}}\n"
    assert [stage.name for stage in flow(text, ref, Wishes(deploy=True, promote=True))[0]] == ONLY_BUILT
    with pytest.raises(SettingsError):
        flow(text, "main")


@table(
    ("pattern", "name", "matches"),
    [
        ("main", "main", True),
        ("main", "domain", False),
        ("main", "main2", False),
        ("release/*", "release/1.0", True),
        ("release/*", "release/1.0/fix", False),
        ("release/**", "release/1.0/fix", True),
        ("*", "main", True),
        ("*", "feature/cart", False),
        ("**", "feature/cart", True),
        ("*/cart", "feature/cart", True),
        ("v*.0", "v1.0", True),
        ("v1.0", "v1x0", False),
        ("c++", "c++", True),
    ],
)
def test_a_pattern_matches_the_whole_name(pattern, name, matches):
    assert includes([pattern], Ref(name)) is matches


def test_a_tag_named_main_publishes_only_when_listed():
    assert not includes(DEFAULT, Ref("main", tag="main"))
    assert includes(["main"], Ref("main", tag="main"))


@table(
    "pattern",
    [
        "^main$",
        "release/.*",
        "(main|develop)",
        "!main",
        "[a-z]*",
        "ma?n",
        "***",
        "-x",
        "/x",
        "x/",
        "a..b",
        "a//b",
        "refs/heads/main",
        "x.lock",
        "{a,b}",
        "a\\b",
        "a:b",
        "a~1",
        "x.",
    ],
)
def test_invalid_branch_patterns_are_refused_with_their_key(tmp_path, pattern):
    quoted = pattern.replace("\\", "\\\\")
    for text, where in (
        (f'branches: [main, "{quoted}"]\n', "branches (container-pipeline.yml)"),
        (f'environments: {{test: {{branches: ["{quoted}"]}}}}\n', "environments (container-pipeline.yml).test"),
    ):
        (tmp_path / "container-pipeline.yml").write_text(text)
        with pytest.raises(SettingsError) as refused:
            load(tmp_path, {}, "", {})
        assert where in refused.value.message
        assert "neither a branch nor a pattern" in refused.value.message
        assert "release/*" in refused.value.hint


@pytest.mark.parametrize("text", ["branches: []\n", "environments: {test: {branches: []}}\n", "branches: ''\n"])
def test_an_empty_list_is_refused_with_its_key(tmp_path, text):
    (tmp_path / "container-pipeline.yml").write_text(text)
    with pytest.raises(SettingsError, match=r"branches.* is empty: no branch would publish"):
        load(tmp_path, {}, "", {})


def test_empty_branches_in_a_jenkinsfile_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="CONTAINER_PIPELINE_BRANCHES is empty"):
        load(tmp_path, {}, "", {"CONTAINER_PIPELINE_BRANCHES": "[]"})


@table(
    ("text", "expected"),
    [
        ("main", ("main",)),
        ("main, release/*", ("main", "release/*")),
        ("[main, release/*]", ("main", "release/*")),
        ("['**']", ("**",)),
        ("1.0", ("1.0",)),
        ("no", ("no",)),
    ],
)
def test_a_text_stands_for_a_list_of_one(tmp_path, text, expected):
    (tmp_path / "container-pipeline.yml").write_text(f"branches: {text}\n")
    assert load(tmp_path, {}, "", {}).values.branches == expected


def test_a_jenkinsfiles_branches_leave_those_of_an_environment(tmp_path):
    """An environment's own say who deploys there, whatever else publishes."""
    (tmp_path / "container-pipeline.yml").write_text(ENVIRONMENTS)
    environ = {"CONTAINER_PIPELINE_BRANCHES": "**"}
    test, prod = (load(tmp_path, {}, name, environ) for name in ("test", "prod"))
    assert (test.values.branches, test.branches) == (("**",), ("develop", "main", "v*"))
    assert prod.branches == ("**",)
    assert test.overridden() == []


def test_a_branch_name_with_control_characters_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="BRANCH_NAME holds a line break"):
        load(tmp_path, {}, "", {"BRANCH_NAME": "a\nb"})
