"""Each rule finds its bad example, accepts its good one, and repairs as documented."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from container_pipeline.plan import lint
from container_pipeline.plan.lint.model import RULES, Finding, looks_secret
from container_pipeline.plan.lint.reports import junit, sarif
from unit.table import table

FIELDS = {
    "Dockerfile": "dockerfile",
    ".dockerignore": "dockerignore",
    "docker-compose.yml": "compose",
    ".env": "env",
    "requirements.txt": "requirements",
    "Jenkinsfile": "jenkinsfile",
    "container-pipeline.yml": "project_file",
}
EXAMPLES: dict[str, dict[str, Any]] = {
    rule: example
    for path in sorted((Path(__file__).parent / "lint").glob("*.yml"))
    for rule, example in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader).items()
}
FIXED = [rule for rule, example in EXAMPLES.items() if "fixed" in example]


def facts(rule: str, text: str, more: dict[str, Any] | None = None) -> lint.Facts:
    kind = RULES[rule].kind
    given: dict[str, Any] = {"code": "shop-web-re"}
    encoding = (more or {}).get("encoding", "utf-8")
    for name, value in (more or {}).items():
        if name == "encoding":
            continue
        if name == "requirements":
            value = (lint.Source("requirements.txt", value),)
        elif name == "dockerfile":
            value = lint.Source(name, value)
        elif name == "dockerignore":
            value = (lint.Source(".dockerignore", value),)
        given[name] = frozenset(value) if name == "tracked" else tuple(value) if isinstance(value, list) else value
    if kind in FIELDS:
        source = lint.Source(kind, text, encoding)
        given[FIELDS[kind]] = source if kind in ("Dockerfile", "Jenkinsfile", "container-pipeline.yml") else (source,)
    return lint.Facts(**given)


def found(rule: str, given: lint.Facts) -> list[lint.Finding]:
    return [one for one in lint.check(given) if one.rule == rule]


def test_rules_and_examples_match_one_to_one():
    assert set(EXAMPLES) == set(RULES)


@table("rule", EXAMPLES)
def test_the_bad_example_is_found_on_its_line(rule):
    example = EXAMPLES[rule]
    findings = found(rule, facts(rule, example["bad"], example.get("with")))
    assert [one.line for one in findings] == [example["line"]]
    assert findings[0].message
    assert (findings[0].edit is not None) == ("fixed" in example)


@table("rule", [rule for rule in EXAMPLES if rule not in ("CP601", "CP701")])
def test_the_good_example_is_left_alone(rule):
    example = EXAMPLES[rule]
    more = {name: value for name, value in example.get("with", {}).items() if name != "encoding"}
    assert not found(rule, facts(rule, example["good"], more))


@table("rule", FIXED)
def test_the_repair_is_the_one_that_is_shown(rule):
    example = EXAMPLES[rule]
    edits = [one.edit for one in found(rule, facts(rule, example["bad"], example.get("with"))) if one.edit]
    assert lint.apply(example["bad"], edits) == example["fixed"]
    more = {name: value for name, value in example.get("with", {}).items() if name != "encoding"}
    assert not found(rule, facts(rule, example["fixed"], more))


def test_nothing_committed_is_nothing_to_find():
    assert not found("CP601", lint.Facts())


@pytest.mark.parametrize(
    "comment", ["# container-pipeline: ignore CP102", "# why: container-pipeline: ignore CP999, CP102"]
)
def test_comment_on_previous_line_disables_rule(comment):
    text = f"{comment}\nFROM python\nCMD python app.py\n"
    rules = [one.rule for one in lint.check(facts("CP102", text))]
    assert "CP102" not in rules
    assert "CP103" in rules


def test_comment_on_same_line_disables_rule():
    text = "version: '3.5'\nservices:\n  shop-web-re:\n    build: .  # container-pipeline: ignore CP213\n"
    assert not found("CP213", facts("CP213", text))


def test_a_comment_far_away_turns_nothing_off():
    text = "# container-pipeline: ignore CP103\nFROM python:3.12\n\nCMD python app.py\n"
    assert found("CP103", facts("CP103", text))


def test_a_secret_is_never_in_a_message():
    example = EXAMPLES["CP305"]
    findings = lint.check(facts("CP305", example["bad"], example["with"]))
    assert "CP305" in [one.rule for one in findings]
    assert "s3cr3t" not in str([str(one) for one in findings])


@table(
    ("name", "value", "expected"),
    [
        ("DB_PASSWORD", "t0ps3cret", True),
        ("DB_PASSWORD", "", False),
        ("DB_PASSWORD", "change-me", False),
        ("SECRET_KEY", "${SECRET_KEY}", False),
        ("URL", "redis://:s3cr3t@cache", True),
        ("URL", "https://example.com/a:b@c", False),
        ("MONKEY", "banana", False),
    ],
)
def test_what_looks_like_a_secret(name, value, expected):
    assert looks_secret(name, value) is expected


@table(
    "text",
    ["", "\n", "FROM", "FROM python:3.12\nRUN <<EOF\nnever ended", "\\", "RUN \\\n# only\n", "[", "a: b: c", "\x00"],
)
@table("kind", FIELDS)
def test_broken_files_are_judged_without_falling_over(kind, text):
    rule = next(one.id for one in RULES.values() if one.kind == kind)
    lint.check(facts(rule, text))


def test_code_comes_from_jenkinsfile_or_only_service():
    compose = (lint.Source("docker-compose.yml", "services:\n  shop-web-re:\n    image: x\n"),)
    jenkinsfile = lint.Source("Jenkinsfile", "containerPipeline(code: 'other-web-re')")
    assert lint.code_of(lint.Facts(compose=compose)) == "shop-web-re"
    assert lint.code_of(lint.Facts(compose=compose, jenkinsfile=jenkinsfile)) == "other-web-re"
    assert lint.code_of(lint.Facts()) == ""


def test_the_jenkinsfiles_of_the_documents_have_no_finding():
    text = (Path(__file__).parents[2] / "docs/jenkinsfiles.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```groovy\n(.*?)^```", text, re.S | re.M)
    assert len(examples) >= 10
    for example in examples:
        given = lint.Facts(jenkinsfile=lint.Source("Jenkinsfile", example))
        assert lint.check(replace(given, code=lint.code_of(given))) == []


def test_sarif_names_rule_file_and_line():
    import json

    findings = found("CP107", facts("CP107", EXAMPLES["CP107"]["bad"]))
    log = json.loads(sarif(findings))
    assert log["version"] == "2.1.0"
    run = log["runs"][0]
    known = {rule["id"]: rule["shortDescription"]["text"] for rule in run["tool"]["driver"]["rules"]}
    assert known.keys() == RULES.keys()
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"]) == (
        "CP107",
        "Dockerfile",
        2,
    )


def test_junit_fails_findings_and_passes_all_other_rules():
    import xml.etree.ElementTree as ElementTree

    findings = found("CP107", facts("CP107", EXAMPLES["CP107"]["bad"]))
    suite = ElementTree.fromstring(junit(findings))
    failed = [case for case in suite if case.find("failure") is not None]
    assert [(case.get("file"), case.get("line")) for case in failed] == [("Dockerfile", "2")]
    assert len(suite) == int(suite.get("tests")) == len(RULES)


def test_junit_is_xml_whatever_a_file_holds():
    import xml.etree.ElementTree as ElementTree

    finding = Finding("CP107", "Docker\x1bfile", 2, "a \x00\x07 <b> & \ud800 \ufffe", "\x0b")
    failure = ElementTree.fromstring(junit([finding]).encode()).find("testcase/failure")
    assert failure.get("message") == "a \ufffd\ufffd <b> & \ufffd \ufffd"
