"""Configurations: what seed writes is XML whatever the texts, and what Jenkins makes of it is no difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from container_pipeline.plan.seed import configxml, jobtext, jobxml
from container_pipeline.plan.seed.jobs import Job
from seed.standin import rewrite
from unit.table import table

JOB = Job("jobs", "web-re", "git@x:web.git", "web-re", branches=("main",))
#: Texts that look like nothing, or like markup, or have blanks around.
ODD = st.sampled_from(
    ["0", "-1", "false", "true", " x ", "  ", "a\nb\n", "]]>", "&amp;", "<a/>", "5%20$X \\ 'q'", "\x7f", "\x85"]
)
TEXT = ODD | st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=12)
LINE = TEXT.map(str.strip).filter(bool)
JOBS = st.builds(
    Job,
    set_name=st.just("jobs"),
    code=st.just("web-re"),
    repository=LINE.map(lambda text: "git@x:" + "".join(text.split())),
    name=st.just("web-re"),
    kind=st.sampled_from(["pipeline", "multibranch", "freestyle"]),
    description=TEXT.map(str.strip),
    branches=st.lists(LINE, min_size=1, max_size=2).map(tuple),
    credentials=TEXT.map(str.strip),
    pipeline=st.none() | st.dictionaries(st.sampled_from(["node", "env_file", "notify"]), LINE),
    triggers=st.dictionaries(st.sampled_from(["cron", "poll"]), st.just("@daily")),
    parameters=st.lists(st.fixed_dictionaries({"name": st.just("A"), "default": TEXT}), max_size=2).map(tuple),
    keep_builds=st.integers(0, 3),
    disabled=st.booleans(),
)
PATIENT = settings(suppress_health_check=[HealthCheck.too_slow])


def says(job: Job) -> list[str]:
    return configxml.canonical(jobxml.job_xml(job))


@PATIENT
@given(JOBS)
def test_jobs_rewritten_by_jenkins_show_no_difference(job):
    written = jobxml.job_xml(job)
    kept = rewrite(configxml.parse(written), old=False)
    assert kept != written
    assert configxml.differences(configxml.canonical(kept), configxml.canonical(written)) == []


@PATIENT
@given(JOBS, st.sampled_from(["", "a\nb", "a\r\nb", "a\rb", "\r", " a\t"]))
def test_writing_a_job_preserves_its_content(job, more):
    odd = replace(job, description=job.description + more, branches=(f"{job.branches[0]}{more}",))
    assert configxml.says(jobxml.job_tree(odd)) == says(odd)


@PATIENT
@given(JOBS, JOBS)
def test_jobs_that_differ_are_seen_to_differ(one, other):
    same = jobxml.job_xml(one) == jobxml.job_xml(other)
    assert (says(one) == says(other)) == same


@PATIENT
@given(LINE)
def test_a_text_arrives_as_it_is(text):
    root = configxml.parse(jobxml.job_xml(replace(JOB, branches=(text,))))
    assert root.findtext(".//hudson.plugins.git.BranchSpec/name") == f"*/{text}"


@table(
    ("value", "literal"),
    [
        ("it's", r"'it\'s'"),
        ("$HOME ${x}", "'$HOME ${x}'"),
        ("a\\b\nc", r"'a\\b\nc'"),
        (True, "true"),
        (7, "7"),
        ([], "[]"),
        ({}, "[:]"),
        ({"a-b": ["x"], "c": None}, "['a-b': ['x'], c: null]"),
    ],
)
def test_values_become_groovy_literals_that_execute_nothing(value, literal):
    assert jobtext.groovy(value) == literal


def test_inline_jenkinsfile_checks_out_and_calls_the_pipeline():
    job = replace(
        JOB, credentials="reader", pipeline={"node": "docker", "env_file": ".env.prod", "servers": ["a", "b"]}
    )
    assert jobtext.jenkinsfile(job) == (
        "@Library('container-pipeline') _\n\n"
        "node('docker') {\n"
        "    git url: 'git@x:web.git', branch: 'main', credentialsId: 'reader'\n"
        "    containerPipeline(code: 'web-re', envFile: '.env.prod', servers: ['a', 'b'])\n"
        "}\n"
    )


def test_marker_is_found_only_on_the_last_line():
    marker = jobtext.Marker("jobs", "web-re", "git@x:web.git")
    assert jobtext.find_marker(f"text\n\n{marker}\n") == marker
    assert jobtext.find_marker(f"{marker}\ntext by hand") is None
    assert jobtext.find_marker("") is None


def test_forged_marker_in_a_description_is_ignored():
    forged = replace(JOB, description=str(jobtext.Marker("others", "x", "y")))
    assert jobtext.find_marker(jobtext.described(forged)) == jobtext.Marker("jobs", "web-re", "git@x:web.git")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "<flow-definition><triggers><hudson.triggers.TimerTrigger><spec>@daily</spec></hudson.triggers.TimerTrigger></triggers></flow-definition>",
            "<?xml version='1.1' encoding='UTF-8'?><flow-definition plugin='workflow-job@1'><actions/><properties>"
            "<org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty><triggers>"
            "<hudson.triggers.TimerTrigger><spec>@daily</spec></hudson.triggers.TimerTrigger></triggers>"
            "</org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty></properties></flow-definition>",
        ),
        (
            "<project><logRotator><numToKeep>3</numToKeep></logRotator></project>",
            "<project><properties><jenkins.model.BuildDiscarderProperty><strategy class='hudson.tasks.LogRotator'>"
            "<daysToKeep>-1</daysToKeep><numToKeep>3</numToKeep></strategy></jenkins.model.BuildDiscarderProperty></properties></project>",
        ),
        (
            "<project><a><x>1</x></a><b><x>1</x></b></project>",
            "<project><a><x>1</x></a><b reference='../a'/></project>",
        ),
        (
            "<project><description>a\ufffdb</description></project>",
            "<project><description>a&#x1b;b</description></project>",
        ),
    ],
    ids=["triggers as a property", "rotation as a property", "a reference", "XML 1.1"],
)
def test_equivalent_jenkins_xml_compares_as_equal(one, other):
    assert configxml.canonical(one) == configxml.canonical(other)


@table(
    ("one", "other"),
    [
        ("<project><builders><a.B><c>1</c></a.B><a.A/></builders></project>", "<project><builders><a.A/><a.B><c>1</c></a.B></builders></project>"),
        ("<project><properties><a.Auth/></properties></project>", "<project/>"),
        ("<project><concurrentBuild>true</concurrentBuild></project>", "<project/>"),
        ("<project><definition class='a.X'/></project>", "<project><definition class='a.Y'/></project>"),
        ("<p><a><string>x</string><string></string></a></p>", "<p><a><string>x</string></a></p>"),
        ("<p><a.X><defaultValue>0</defaultValue></a.X></p>", "<p><a.X><defaultValue/></a.X></p>"),
        ("<p><a.X><defaultValue> x </defaultValue></a.X></p>", "<p><a.X><defaultValue>x</defaultValue></a.X></p>"),
        ("<p><a><string> x</string></a></p>", "<p><a><string>x</string></a></p>"),
        ("<p><scm class='a.G'><credentialsId>false</credentialsId></scm></p>", "<p><scm class='a.G'/></p>"),
        ("<p><factory class='a.X'><scriptPath>J</scriptPath></factory></p>", "<p><factory class='a.Y'><scriptPath>J</scriptPath></factory></p>"),
        ("<p><strategy class='a.X'/></p>", "<p><strategy class='a.X'><properties class='empty-list'/></strategy></p>"),
        ("<p><strategy class='a.X'><properties class='empty-list'/></strategy></p>", "<p><strategy class='a.Y'><properties class='empty-list'/></strategy></p>"),
        ("<p><l><d.I><n>A</n></d.I><d.I><n>B</n><v>x</v></d.I></l></p>", "<p><l><d.I><n>A</n><v>x</v></d.I><d.I><n>B</n></d.I></l></p>"),
    ],
)  # fmt: skip
def test_what_means_something_else_is_a_difference(one, other):
    assert configxml.canonical(one) != configxml.canonical(other)
