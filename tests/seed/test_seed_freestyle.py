"""Freestyle jobs on a real Hudson and on the stand-in as a Hudson, with the same results."""

from __future__ import annotations

from typing import Callable

import pytest
import yaml

from container_pipeline.plan.seed import configxml
from lab.hudson import Hudson
from seed.conftest import Administrator
from seed.standin import Standin

# With its folder, which goes to one worker and would else end alone.
pytestmark = pytest.mark.slow

DEFAULTS = "defaults: {kind: freestyle, repository: 'git@git.example:team/{code}.git'}\n"
TWO = DEFAULTS + "projects: [CODE-web-re, CODE-ui-re]\n"
ODD = (
    DEFAULTS
    + """projects:
- code: CODE-web-re
  description: "<b>not bold</b> & ]]> \\"quoted\\" 'single' 中文 \\U0001F40B\\nsecond line"
  branch: feature/<a>&'b"-ü
  triggers: {cron: "5 2 * * *\\n@weekly"}
  keep_builds: {builds: 5, days: 9}
  disabled: true
  pipeline: {node: docker, servers: [a, b], cache: true, build_args: {X: "it's $HOME `id`"}}
  parameters:
  - {name: A, default: x y, description: "<d>"}
  - {name: B, type: boolean, default: true}
  - {name: C, type: choice, choices: [one, "", two]}
"""
)


@pytest.fixture(params=["hudson", "standin"])
def someone(
    request: pytest.FixtureRequest, administrator: Callable[..., Administrator], standin: Callable[..., Standin]
) -> Administrator:
    """An administrator of a real Hudson, then of the stand-in."""
    if request.param == "standin":
        return administrator(standin(old=True).url)
    real: Hudson = request.getfixturevalue("hudson")
    return administrator(real.url)


def table(answer: str) -> list[list[str]]:
    return [line.split()[:2] for line in answer.splitlines()[1:-1]]


def test_a_dry_run_lists_changes_without_applying_them(someone):
    someone.write(TWO)
    answer = someone.seed("--dry-run")
    assert (answer.code, answer.out) == (0, "create CODE-web-re\ncreate CODE-ui-re\n2 to change, 0 unchanged\n")
    assert someone.has("CODE-web-re") is None


def test_a_second_run_has_nothing_to_do(someone):
    someone.write(ODD)
    assert table(someone.seed().out) == [["CODE-web-re", "created"]]
    assert someone.seed().out == "1 unchanged\n"


def test_special_characters_reach_jenkins_unchanged(someone):
    someone.write(ODD)
    someone.seed()
    lines = configxml.canonical(someone.has("CODE-web-re"))
    assert "description: <b>not bold</b> & ]]> \"quoted\" 'single' 中文 \U0001f40b" in lines
    assert "description: second line" in lines
    assert 'builders/Shell/command: export CONTAINER_PIPELINE_BUILD_ARGS=\'{"X": "it\'"\'"\'s $HOME `id`"}\'' in lines
    assert "assignedNode: docker" in lines
    assert "disabled: true" in lines


def test_only_what_differs_is_written_and_shown(someone):
    someone.write(TWO)
    someone.seed()
    someone.write(TWO.replace("CODE-ui-re", "{code: CODE-ui-re, branch: dev}"))
    shown = someone.seed("--dry-run").out
    assert shown == (
        "update CODE-ui-re\n"
        "    - builders/Shell/command: git fetch -q --depth 1 git@git.example:team/CODE-ui-re.git main\n"
        "    + builders/Shell/command: git fetch -q --depth 1 git@git.example:team/CODE-ui-re.git dev\n"
        "1 to change, 1 unchanged\n"
    )
    assert table(someone.seed().out) == [["CODE-ui-re", "updated"]]
    assert someone.seed().out == "2 unchanged\n"


def test_manual_edits_are_shown_and_reverted(someone):
    someone.write(TWO)
    someone.seed()
    name = f"{someone.prefix}-web-re"
    edited = someone.jenkins.config(name).replace("exec container-pipeline ship", "echo by hand")
    someone.jenkins.write(name, edited)
    someone.jenkins.disable(name)
    answer = someone.seed("--dry-run")
    assert answer.out == (
        "update CODE-web-re\n"
        "    - builders/Shell/command: echo by hand\n"
        "    + builders/Shell/command: exec container-pipeline ship\n"
        "    - disabled: true\n"
        "1 to change, 1 unchanged\n"
    )
    someone.seed()
    assert someone.seed().out == "2 unchanged\n"


def test_a_code_that_changes_keeps_its_job(someone):
    someone.write(TWO)
    someone.seed()
    someone.write(
        TWO.replace("CODE-web-re", "{code: CODE-shop-re, repository: 'git@git.example:team/CODE-web-re.git'}")
    )
    assert table(someone.seed().out) == [["CODE-shop-re", "moved"], ["CODE-shop-re", "updated"]]
    assert someone.has("CODE-web-re") is None
    assert someone.seed().out == "2 unchanged\n"


def test_jobs_no_longer_listed_are_disabled_then_pruned(someone):
    someone.write(TWO)
    someone.seed()
    someone.write(TWO.replace(", CODE-ui-re", ""))
    assert table(someone.seed().out) == [["CODE-ui-re", "disabled"]]
    assert someone.seed().out == "1 unchanged\n"
    assert "disabled: true" in configxml.canonical(someone.has("CODE-ui-re"))
    assert table(someone.seed("--prune").out) == [["CODE-ui-re", "removed"]]
    assert someone.has("CODE-ui-re") is None


@pytest.mark.parametrize("options", [(), ("--prune",)], ids=["", "prune"])
def test_a_truncated_file_requires_yes_to_remove_jobs(someone, options):
    names = [f"CODE-{number:02}" for number in range(12)]
    someone.write(f"{DEFAULTS}projects: [{', '.join(names)}]\n")
    someone.seed()
    someone.write(f"{DEFAULTS}projects: [CODE-00]\n")
    refusal = "this would disable or remove 11 jobs and keep 1 — check that the jobs file is complete, then pass --yes"
    before = [someone.has(name) for name in names]
    shown = someone.seed("--dry-run", *options)
    assert (shown.code, len(shown.out.splitlines())) == (1, 11)
    for answer in (shown, someone.seed(*options)):
        assert answer.code == 1
        assert refusal in answer.err
        assert [someone.has(name) for name in names] == before
    done = someone.seed("--yes", *options)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"11 {'removed' if options else 'disabled'}, 1 unchanged")


def test_jobs_not_created_by_seed_are_never_touched(someone):
    by_hand = "<project><description>by hand</description><builders/></project>"
    for name in ("web-re", "other"):
        someone.jenkins.create(f"{someone.prefix}-{name}", by_hand)
    someone.write(TWO)
    answer = someone.seed("--prune")
    assert answer.code == 1
    assert "CODE-web-re  left alone  seed did not create it; --adopt takes it over" in answer.out
    assert "CODE-ui-re   created" in answer.out
    assert configxml.canonical(someone.has("CODE-web-re")) == ["description: by hand"]
    assert someone.has("CODE-other")


def test_adopt_shows_its_changes_and_takes_over(someone):
    someone.jenkins.create(f"{someone.prefix}-web-re", "<project><description>by hand</description></project>")
    someone.write(TWO)
    assert "    - description: by hand" in someone.seed("--adopt", "--dry-run").out
    assert someone.seed("--adopt").code == 0
    assert someone.seed().out == "2 unchanged\n"


def test_export_writes_a_file_that_reproduces_the_jobs(someone):
    someone.write(
        TWO.replace("CODE-ui-re", "{code: CODE-ui-re, branch: dev, keep_builds: 3, triggers: {cron: '@daily'}}")
    )
    someone.seed()
    exported = yaml.safe_load(someone.seed("--export").out)
    ours = [one for one in exported["projects"] if "CODE" in str(one)]
    exported.pop("name", None)
    someone.write(yaml.safe_dump({**exported, "projects": ours}), "exported.yml")
    assert someone.seed("exported.yml").out == "2 unchanged\n"


def test_export_finds_jobs_that_call_docker_sh(someone):
    command = "git clone git@git.example:team/old.git .\nbash docker.sh pipeline-all CODE-old-re".replace(
        "CODE", someone.prefix
    )
    shell = f"<builders><hudson.tasks.Shell><command>{command}</command></hudson.tasks.Shell></builders>"
    someone.jenkins.create(f"{someone.prefix}-Build-Old", f"<project>{shell}</project>")
    exported = someone.seed("--export").out
    assert "code: CODE-old-re\n  repository: git@git.example:team/old.git\n  name: CODE-Build-Old\n" in exported
