"""Who may approve, and for how long the question stands: values, the stage that asks, and what is kept of the answer."""

from __future__ import annotations

import json
import re

import pytest

from container_pipeline.commands.server.history import _by
from container_pipeline.errors import SettingsError
from container_pipeline.plan.flow import stages
from container_pipeline.plan.jenkinsfile import wishes_of
from container_pipeline.plan.report import BuildOrigin, html
from container_pipeline.settings import load
from unit.table import table

BOTH = {"DOCKER_REGISTRY": "dev.example", "DOCKER_REGISTRY_PROD": "prod.example"}


def question_of(folder, text, wishes):
    (folder / "container-pipeline.yml").write_text(f"code: a-b\n{text}")
    found, _absent = stages(load(folder, {}, "", BOTH), [], wishes_of(wishes)[0])
    return next((stage for stage in found if stage.question), None)


@table(
    ("text", "wishes", "expected"),
    [
        ("approve: true\n", {}, ("Deploy a-b to production?", "", 0)),
        ("approve: {by: ops}\n", {}, ("Deploy a-b to production?", "ops", 0)),
        ("approve: {by: 'ops, alice', within: 4h}\n", {}, ("Deploy a-b to production?", "ops,alice", 14400)),
        ("approve: {by: [ops, alice], within: 90 s}\n", {}, ("Deploy a-b to production?", "ops,alice", 90)),
        ("approve: {by: ops}\n", {"approve": {"question": "Now?", "within": "2d"}}, ("Now?", "", 172800)),
        ("", {"approve": {"within": "5m"}}, ("Deploy a-b to production?", "", 300)),
        ("approve: {by: ops}\n", {"approve": False}, None),
        ("approve: {by: ops}\n", {"approve": "Sure?"}, ("Sure?", "", 0)),
    ],
)
def test_a_map_says_who_may_answer_and_when(tmp_path, text, wishes, expected):
    stage = question_of(tmp_path, text, wishes)
    assert (stage and (stage.question, stage.by, stage.within)) == expected


@table(
    ("value", "sentence"),
    [
        ({"within": "soon"}, "approve (Jenkinsfile).within cannot be 'soon'"),
        ({"within": "0h"}, "within cannot be '0h'"),
        ({"within": "-4h"}, "within cannot be '-4h'"),
        ({"by": ""}, "by is empty: nobody could approve"),
        ({"by": []}, "by is empty: nobody could approve"),
        ({"who": "ops"}, "unknown key 'who'"),
        ({"question": ["x"]}, "question must be text"),
        (["ops"], "must be text"),
    ],
)
def test_bad_values_of_approve_are_refused(tmp_path, value, sentence):
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        question_of(tmp_path, "", {"approve": value})


def test_the_report_names_who_approved():
    result = {"command": "deploy", "code": "a-b", "version": "1", "steps": [], "servers": [], "error": None}
    page = html([result, {**result, "approved_by": "ann <a>"}], BuildOrigin())
    assert "Approved by 批准人</b></td><td>ann &lt;a&gt;" in page


def test_history_names_who_approved():
    record = json.loads('{"by": "root@ci", "build": "https://ci/1/", "approved_by": "ann"}')
    assert _by(record) == "https://ci/1/, approved by ann"
    assert _by({"by": "root@ci"}) == "root@ci"
