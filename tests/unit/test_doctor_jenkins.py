"""doctor's checks of a Jenkins: what jobs lack, and what it could not see."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import responses

from container_pipeline.clients import jenkins_facts
from container_pipeline.clients.jenkins import Controller
from container_pipeline.model import JenkinsAccess
from container_pipeline.plan.doctor_jenkins import TOOLS, JenkinsFacts, judge
from container_pipeline.plan.seed.jobs import Job
from unit.table import table

JOB = Job(
    "jobs",
    "web-re",
    "r",
    "web-re",
    folder="team/web",
    branches=("main",),
    credentials="git-reader",
    pipeline={"node": "docker", "credentials": {"registry": "reg"}},
)
GOOD = JenkinsFacts(
    plugins={"git", "workflow-job", "workflow-cps", "cloudbees-folder", "pipeline-groovy-lib"},
    libraries={"container-pipeline"},
    credentials={"": {"git-reader"}, "team": {"reg"}, "team/web": set()},
    labels={"docker"},
    tools={"node-1": set(TOOLS)},
)


def bad(facts: JenkinsFacts) -> dict[str, tuple[bool | None, str]]:
    return {check.name: (check.ok, check.message) for check in judge([JOB], facts) if check.ok is not True}


def test_check_names_are_translated_into_chinese(monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    checks = judge([JOB], replace(GOOD, labels=()))
    assert all(re.search("[\u4e00-\u9fff]", check.name) for check in checks), [check.name for check in checks]


def test_a_jenkins_that_has_all_gets_no_complaint():
    assert bad(GOOD) == {}


@table(
    ("facts", "expected"),
    [
        (replace(GOOD, plugins=("git",)), {"plugins": (False, "missing: cloudbees-folder (team/web/web-re), "
         "pipeline-groovy-lib (team/web/web-re), workflow-cps (team/web/web-re), workflow-job (team/web/web-re)")}),
        (replace(GOOD, plugins=None), {"plugins": (None, "this account may not list plugins")}),
        (replace(GOOD, libraries=()), {"library container-pipeline": (False, "no global library has this name")}),
        (replace(GOOD, libraries=None), {"library container-pipeline": (None, "this account may not see the libraries")}),
        (replace(GOOD, credentials={"": {"reg"}, "team": (), "team/web": ()}),
         {"credentials git-reader": (False, "team/web/web-re cannot see this id")}),
        (replace(GOOD, credentials={"": {"reg"}, "team": None, "team/web": ()}),
         {"credentials git-reader": (None, "this account may not see all credentials")}),
        (replace(GOOD, labels=()), {"label docker": (False, "no node has it")}),
        (replace(GOOD, tools={"n": {"python3", "git"}}), {"node n": (False, "missing: docker, ssh")}),
        (replace(GOOD, tools={"n": None}), {"node n": (None, "it is offline, or this account may not see it")}),
    ],
)  # fmt: skip
def test_missing_and_unseen_items_are_reported_differently(facts, expected):
    assert bad(facts) == expected


URL = "http://jenkins.example/ci"


@pytest.fixture
def controller():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as wire:
        wire.get(f"{URL}/crumbIssuer/api/json", status=404)
        yield Controller(JenkinsAccess(URL)), wire


def test_credential_ids_are_read_from_the_folder_store(controller):
    jenkins, wire = controller
    where = f"{URL}/job/team/job/web/credentials/store/folder/domain/_/api/json?tree=credentials[id]"
    wire.get(where, json={"credentials": [{"id": "reg"}]})
    assert jenkins_facts.credentials(jenkins, "team/web") == {"reg"}


def test_a_forbidden_store_is_unknown_rather_than_empty(controller):
    jenkins, wire = controller
    wire.get(f"{URL}/credentials/store/system/domain/_/api/json", status=403)
    assert jenkins_facts.credentials(jenkins, "") is None


@pytest.mark.parametrize(("status", "expected"), [(404, set()), (200, None), (403, None)])
def test_only_missing_folders_count_as_having_no_credentials(controller, status, expected):
    jenkins, wire = controller
    wire.get(f"{URL}/job/team/credentials/store/folder/domain/_/api/json", status=404)
    wire.get(f"{URL}/job/team/api/json", status=status, json={"name": "team"})
    assert jenkins_facts.credentials(jenkins, "team") == expected


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (200, "library container-pipeline\nlibrary other\n", {"container-pipeline", "other"}),
        (200, "", set()),
        (200, "groovy.lang.MissingPropertyException: No such property: org", None),
        (403, "", None),
    ],
)
def test_script_console_lists_libraries_when_allowed(controller, status, text, expected):
    jenkins, wire = controller
    wire.post(f"{URL}/scriptText", status=status, body=text)
    assert jenkins_facts.libraries(jenkins) == expected
