"""A first jobs file, from what Jenkins has or from a list of addresses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from container_pipeline.plan.seed import configxml, export, jobs, jobxml, schema
from container_pipeline.project import jobs_file
from seed.standin import rewrite

TEXT = {
    "name": "jobs",
    "defaults": {"repository": "git@x:{code}.git"},
    "projects": [
        "web-re",
        {
            "code": "ui-re",
            "folder": "team",
            "branches": ["a", "b"],
            "credentials": "c",
            "jenkinsfile": "J",
            "disabled": True,
        },
        {
            "code": "in-re",
            "branch": "dev",
            "credentials": "reader",
            "library": "other@1",
            "pipeline": {
                "node": "docker",
                "env_file": "a'b\\c",
                "servers": ["deploy@a:22", {"host": "b", "port": 2222}],
                "build_args": {"X": "y z, [1]", "a-b": 1, "E": {}, "F": ""},
                "credentials": {"registry": "reg", "production_pull": "reader", "known_hosts": "hosts"},
                "approve": "Really, ${USER}?",
                "cache": True,
                "sudo": False,
            },
            "description": "two\nlines",
            "keep_builds": {"builds": 2, "days": 3},
        },
        {
            "code": "all-re",
            "kind": "multibranch",
            "branches": ["main", "release/*"],
            "triggers": {"scan": "1d"},
            "keep_builds": 4,
        },
        {"code": "bare-re", "pipeline": True, "library": ""},
        {
            "code": "step-re",
            "kind": "freestyle",
            "branch": "feature/<a>&'b",
            "pipeline": {
                "node": "n",
                "servers": ["a", "b"],
                "cache": True,
                "build_args": {"X": "it's $HOME `id`\n"},
                "timeout": 9,
            },
        },
        {
            "code": "old-re",
            "name": "Old",
            "kind": "freestyle",
            "triggers": {"cron": "@daily\n5 * * * *", "webhook": "hook"},
            "branch": "dev",
            "parameters": [
                {"name": "A", "default": "x", "description": "d"},
                {"name": "B", "type": "boolean", "default": True},
                {"name": "C", "type": "choice", "choices": ["one", ""]},
                {"name": "D", "type": "text", "default": "l1\nl2"},
            ],
        },
    ],
}


def test_export_restores_the_jobs_file_seed_used():
    wanted, problems = jobs.read(TEXT)
    assert problems == []
    found, remarks = export.projects((job.full_name, jobxml.job_xml(job)) for job in wanted)
    document = export.document(found)
    assert remarks == []
    assert list(schema.check(jobs_file.schema(), document)) == []
    assert sorted(jobs.read(document)[0], key=str) == sorted(wanted, key=str)


LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=8
)
WORDS = LINE | st.sampled_from(
    ["0", "false", " x ", "a\nb", "]]>", "&amp; <b>", "5%20$X \\ 'q' \"", "${USER}", "#", "no", "1e3", "2024-01-01"]
)
PROJECTS = st.fixed_dictionaries(
    {"code": st.just("a-re"), "repository": st.just("git@x:a.git"), "kind": st.sampled_from(["pipeline", "freestyle"])},
    optional={
        "description": WORDS,
        "credentials": LINE,
        "branch": st.sampled_from(["dev", "feature/<a>&'b\"", "0", "$x"]),
        "disabled": st.booleans(),
        "keep_builds": st.integers(1, 9) | st.fixed_dictionaries({"days": st.integers(1, 9)}),
        "triggers": st.sampled_from(
            [{"cron": "TZ=Asia/Shanghai\nH 3 * * *\n# x\n@daily"}, {"webhook": "0"}, {"poll": "H/5 * * * *"}]
        ),
        "pipeline": st.fixed_dictionaries(
            {},
            optional={
                "node": LINE,
                "env_file": LINE,
                "cache": st.booleans(),
                "timeout": st.integers(1, 9),
                "servers": st.lists(LINE, min_size=1, max_size=2),
                "build_args": st.dictionaries(LINE, WORDS | st.booleans() | st.integers(), max_size=2),
            },
        ),
        "parameters": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["A", "B"])}, optional={"default": WORDS, "description": WORDS}
            )
            | st.fixed_dictionaries(
                {"name": st.just("C"), "type": st.just("choice"), "choices": st.lists(WORDS, min_size=1, max_size=3)}
            )
            | st.fixed_dictionaries({"name": st.just("D"), "type": st.just("text"), "default": WORDS}),
            max_size=2,
        ),
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(PROJECTS)
def test_exporting_and_seeding_again_does_not_change_job(project):
    (job,), problems = jobs.read({"projects": [project]})
    assert problems == []
    written = jobxml.job_xml(job)
    kept = rewrite(configxml.parse(written))
    assert configxml.canonical(kept) == configxml.canonical(written)
    found, _remarks = export.projects([(job.full_name, kept)])
    (one,), remarks = export.checked(found, jobs_file.schema())
    assert remarks == []
    document = yaml.safe_load(yaml.safe_dump(export.document([one]), allow_unicode=True, sort_keys=False))
    assert list(schema.check(jobs_file.schema(), document)) == []
    (again,), problems = jobs.read(document)
    assert problems == []
    assert configxml.differences(configxml.canonical(kept), configxml.canonical(jobxml.job_xml(again))) == []


def test_export_names_and_omits_what_it_cannot_express():
    parameters = "".join(
        f"<{kind}><name>{name}</name><choices/></{kind}>"
        for kind, name in (
            ("hudson.model.PasswordParameterDefinition", "P"),
            ("hudson.model.StringParameterDefinition", "my-name"),
            ("hudson.model.ChoiceParameterDefinition", "C"),
            ("hudson.model.StringParameterDefinition", "OK"),
        )
    )
    config = (
        f"<flow-definition><properties><x><parameterDefinitions>{parameters}</parameterDefinitions></x></properties><triggers>"
        "<hudson.triggers.TimerTrigger><spec>every day</spec></hudson.triggers.TimerTrigger></triggers><definition><script>"
        "git url: 'r', branch: 'main'\ncontainerPipeline(code: 'a', node: label())</script></definition></flow-definition>"
    )
    found, remarks = export.projects([("a", config)])
    kept, more = export.checked(found, jobs_file.schema())
    assert kept == [{"code": "a", "repository": "r", "pipeline": True, "parameters": [{"name": "OK"}]}]
    assert [line.rpartition(" ")[2] for line in remarks] == ["P", "my-name", "C"]
    assert more == ["a: 'every day' is not a line of a Jenkins cron"]


def test_the_name_of_the_jobs_file_is_kept():
    (job,), _problems = jobs.read({"name": "team", "projects": [{"code": "a", "repository": "r"}]})
    assert export.set_name([("a", jobxml.job_xml(job)), ("b", "<project/>")]) == "team"
    assert list(export.document([{"code": "a", "repository": "r"}], "team")) == ["name", "projects"]


def test_what_all_projects_say_alike_stands_once():
    found = [{"code": code, "repository": f"git@x:{code}.git", "kind": "freestyle"} for code in ("a", "b")]
    assert export.document(found) == {
        "defaults": {"kind": "freestyle", "repository": "git@x:{code}.git"},
        "projects": ["a", "b"],
    }


@pytest.mark.parametrize(
    ("name", "config", "remark"),
    [
        ("x", "<flow-definition><definition class='C'><scm class='G'/></definition></flow-definition>", "x: its Jenkinsfile is in the repository and was not read"),
        ("x", "<project><builders><a.Shell><command>./docker.sh push</command></a.Shell></builders></project>", "x: its repository is not known; set `repository:`"),
        ("My.App", "<project><builders><a.Shell><command>./docker.sh push</command></a.Shell></builders></project>", "My.App: 'my.app' is not a project code: use small letters, digits and single dashes, such as aglaia-web-re"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_told_and_left_out(name, config, remark):
    assert export.projects([(name, config)]) == ([], [remark])


def test_export_ignores_jobs_that_build_no_images():
    config = "<project><builders><a.Shell><command>make</command></a.Shell></builders></project>"
    assert export.projects([("x", config)]) == ([], [])


def test_address_becomes_a_project_named_by_last_part():
    found, remarks = export.from_addresses(["git@x:team/a-re.git", "https://x/team/b-re", "ssh://x/C.D"])
    assert found == [
        {"code": "a-re", "repository": "git@x:team/a-re.git"},
        {"code": "b-re", "repository": "https://x/team/b-re"},
    ]
    assert len(remarks) == 1


def test_a_moved_job_is_exported_where_it_is():
    (job,), _problems = jobs.read({"projects": [{"code": "a", "repository": "r"}]})
    found, _remarks = export.projects([("team/sub/other", jobxml.job_xml(replace(job)))])
    assert (found[0]["folder"], found[0]["name"], found[0]["code"]) == ("team/sub", "other", "a")
