"""The jobs file: short for common cases, and validated in full before any change."""

from __future__ import annotations

import json
from pathlib import Path

import fastjsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from container_pipeline.errors import SettingsError
from container_pipeline.execute import jobs_files
from container_pipeline.keys import KEYS, camel
from container_pipeline.plan.jenkinsfile import CREDENTIALS, PROJECT_CREDENTIALS
from container_pipeline.plan.seed import jobs as plan_jobs
from container_pipeline.plan.seed import schema
from container_pipeline.plan.seed.jobxml import job_xml
from container_pipeline.project import jobs_file
from unit.table import table

USUAL = "projects:\n- code: aglaia-web-re\n  repository: git@git.example:team/aglaia-web-re.git\n"


def load(folder: Path, text: str) -> list[plan_jobs.Job]:
    path = folder / "jobs.yml"
    path.write_text(text, encoding="utf-8")
    return jobs_files.load([str(path)])[0]


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        load(folder, text)
    return [line.rpartition("jobs.yml:")[2] for line in (*refused.value.details, refused.value.message)]


def test_code_and_repository_are_enough(tmp_path):
    (job,) = load(tmp_path, USUAL)
    assert (job.full_name, job.kind, job.branches, job.jenkinsfile) == (
        "aglaia-web-re",
        "pipeline",
        ("main",),
        "Jenkinsfile",
    )


@pytest.mark.parametrize(("value", "said"), [("release/*", "release/*"), ("[main, 'v*']", ["main", "v*"])])
def test_a_pipeline_may_name_the_branches_that_publish(tmp_path, value, said):
    (job,) = load(tmp_path, f"projects: [{{code: a, repository: r, pipeline: {{branches: {value}}}}}]\n")
    assert job.pipeline == {"branches": said}


def test_invalid_branch_patterns_are_reported_with_their_line(tmp_path):
    text = "projects:\n- code: a\n  repository: r\n  pipeline:\n    branches: [main, '^v']\n"
    (told,) = mistakes(tmp_path, text)
    assert told.startswith("5: branches (pipeline): '^v' is neither a branch nor a pattern")


def test_a_job_lists_all_its_parent_folders(tmp_path):
    jobs = load(tmp_path, "defaults: {repository: r}\nprojects: [{code: a, folder: team/web/eu}, b]\n")
    assert [job.folders for job in jobs] == [["team", "team/web", "team/web/eu"], []]


def test_a_code_is_enough_when_defaults_give_repository(tmp_path):
    jobs = load(tmp_path, "defaults: {repository: 'git@x:{code}.git', folder: team}\nprojects: [a-re, b-re]\n")
    assert [(job.full_name, job.repository) for job in jobs] == [
        ("team/a-re", "git@x:a-re.git"),
        ("team/b-re", "git@x:b-re.git"),
    ]


def test_project_values_replace_defaults_and_merge_into_maps(tmp_path):
    (job,) = load(
        tmp_path,
        "defaults: {branch: main, triggers: {poll: 'H * * * *'}, pipeline: {node: docker, cache: true}, repository: r}\n"
        "projects: [{code: a, branches: [dev], pipeline: {cache: false}, triggers: {cron: '@daily'}}]\n",
    )
    assert job.branches == ("dev",)
    assert job.pipeline == {"node": "docker", "cache": False}
    assert job.triggers == {"poll": "H * * * *", "cron": "@daily"}


def test_a_projects_own_jenkinsfile_replaces_the_default_pipeline(tmp_path):
    (job,) = load(
        tmp_path, "defaults: {pipeline: true, repository: r}\nprojects: [{code: a, jenkinsfile: ci/Jenkinsfile}]\n"
    )
    assert (job.pipeline, job.jenkinsfile) == (None, "ci/Jenkinsfile")


@table(
    ("text", "said"),
    [
        (USUAL + "  repo: x\n", "4: unknown key 'repo' in projects[1] (did you mean repository?)"),
        (USUAL + "  kind: freestlye\n", "4: projects[1].kind is 'freestlye' (did you mean freestyle?)"),
        (
            USUAL + "  triggers:\n    pol: '@daily'\n",
            "5: unknown key 'pol' in projects[1].triggers (did you mean poll?)",
        ),
        (
            USUAL + "  pipeline:\n    envFile: x\n",
            "5: unknown key 'envFile' in projects[1].pipeline (did you mean env_file?)",
        ),
        (USUAL + "  keep_builds: 0\n", "4: projects[1].keep_builds must be at least 1"),
        (
            USUAL + "  keep_builds: many\n",
            "4: projects[1].keep_builds must be: a whole number / a map of keys and values",
        ),
        (USUAL + "  parameters: [{name: A, type: choice}]\n", "4: set `choices:` and `type: choice` together"),
        (USUAL + "  triggers: {scan: 1d}\n", "4: only a multibranch job scans; set when to `poll:`"),
        (USUAL + "  branch: a..b\n", "4: 'a..b' is not a valid git branch name"),
        (
            USUAL + "  folder: ../x\n",
            "4: '../x' is not a valid Jenkins name: use letters, digits, dots and dashes",
        ),
        (USUAL + '  description: "a\\x07b"\n', "4: a job cannot contain control character U+0007"),
        ('defaults:\n  description: "a\\x07b"\n' + USUAL, "2: a job cannot contain control character U+0007"),
        ("projects:\n- code: My.App\n  repository: r\n", "2: 'My.App' is not a project code"),
        (
            "projects:\n- {code: a}\n",
            "2: no repository is set (set `repository:`, or one with {code} in `defaults:`)",
        ),
        (
            "projects:\n- {code: a, repository: 'https://me:secret@x/a'}\n",
            "2: the repository's address holds a password",
        ),
        (
            "projects:\n- {code: a, repository: --upload-pack=x}\n",
            "2: '--upload-pack=x' is not the address of a repository",
        ),
        ("projects: [{}]", "1: projects[1] needs the key 'code'"),
        ("", "1: the file must be: a map of keys and values"),
        (USUAL + "  code: b\n", "4 cannot be read: the key 'code' appears twice"),
        (USUAL + USUAL, "4 cannot be read: the key 'projects' appears twice"),
        ("projects: [a, b\n", "2 cannot be read"),
        ("projects:\n- {? [a, b] : c}\n", "2 cannot be read: a key must be text, not a list or a map"),
        ("projects:\n- {? {a: b} : c}\n", "2 cannot be read: a key must be text, not a list or a map"),
        ("projects:\n\t- one\n", "2 cannot be read: found character"),
        ("- one\n", "1: the file must be: a map of keys and values"),
        ("projects: []\n---\nprojects: []\n", "2 cannot be read: it holds more than one document"),
        ("projects: &a [*a]\n", "1 cannot be read: the anchor a contains itself"),
        (
            "projects: []\na0: &a0 [x, x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40)),
            "18 cannot be read: it has more than 500000 values",
        ),
        ("projects: [{code: a, disabled: 2024-13-45}]\n", "1 cannot be read: month must be in 1..12"),
        ("projects: [{code: a, disabled: !!int x}]\n", "1 cannot be read: invalid literal"),
        ("projects: [a, A]\ndefaults: {repository: r, name: x}\n", "2: unknown key 'name' in defaults"),
        (
            "defaults: {repository: r}\nprojects: [{code: a, name: x}, {code: b, name: X}]\n",
            "2: job X is defined twice",
        ),
        (USUAL + "  name: 'a:b'\n", "4: 'a:b' is not a valid Jenkins name"),
        (USUAL + "  name: 'a '\n", "4: 'a ' is not a valid Jenkins name"),
        (USUAL + "  folder: 'a/./b'\n", "4: 'a/./b' is not a valid Jenkins name"),
        *(
            (USUAL + f"  triggers: {{cron: '{line}'}}\n", f"4: {line.strip()!r} is not a line of a Jenkins cron")
            for line in (
                "H 24 * * *",
                "60 * * * *",
                "H * * * MON",
                "H * * *",
                "H * * * * *",
                "H * 0 * *",
                "5-1 * * * *",
                "*/0 * * * *",
                "H(0-60) * * * *",
                "@never",
                "5/2 * * * *",
                "TZ = Asia/Shanghai",
                "x",
            )
        ),
        (USUAL + '  triggers: {poll: "# first\\nTZ=Asia/Shanghai\\n@daily"}\n', "4: 'TZ=Asia/Shanghai' is not a line"),
    ],
)
def test_mistakes_show_file_line_and_correction(tmp_path, text, said):
    assert mistakes(tmp_path, text)[-1].startswith(said)


@table(
    "spec",
    [
        "TZ=Europe/Berlin\nH 3 * * *\n# by night\n\nH 4 * * 7",
        "TZ=Etc/GMT-8\n@midnight",
        "H(0-29)/10 9-17/2 1,15 */3 1-5",
        "*/5 * * * *\r\n@yearly",
    ],
)
def test_cron_specs_that_jenkins_accepts_are_accepted(tmp_path, spec):
    text = USUAL + f"  triggers: {{cron: {json.dumps(spec)}, poll: {json.dumps(spec)}}}\n"
    assert load(tmp_path, text)[0].triggers["cron"] == spec


def test_a_character_that_no_yaml_has_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot be read: YAML does not allow character U\+0000"):
        load(tmp_path, 'projects: ["a\0b"]\n')


def test_anchors_and_merge_keys_are_taken(tmp_path):
    """Merged into one another, and into something that PyYAML makes before what was merged."""
    jobs = load(
        tmp_path,
        "defaults: &d {repository: 'r/{code}', pipeline: {run: {a: {b: &deep {<<: {x: 1}, x: 2}}}}}\n"
        "projects:\n- &a {code: one, keep_builds: 3, parameters: &p [{name: A}]}\n- {<<: *a, code: two}\n"
        "- {<<: [*d, *a], code: three, parameters: *p, pipeline: {run: {<<: *deep}}}\n",
    )
    assert [(job.code, job.keep_builds, len(job.parameters)) for job in jobs] == [
        (c, 3, 1) for c in ("one", "two", "three")
    ]


def test_a_jobs_file_keeps_texts_as_written(tmp_path):
    (first, second) = load(
        tmp_path,
        "defaults: {repository: r}\nprojects:\n- {code: no, name: 2024, folder: 1.10, branch: 1_0, description: 2024-01-02, parameters: [\n"
        "  {name: on, default: 010}, {name: B, type: string, default: no}, {name: C, default: 1.10, description: 1e3},\n"
        "  {name: D, type: boolean, default: yes}, {name: E, type: choice, choices: [1, 2.0, yes]}]}\n- 2024-11\n",
    )
    assert (first.full_name, first.code, first.branches, first.description) == (
        "1.10/2024",
        "no",
        ("1_0",),
        "2024-01-02",
    )
    assert [(one["name"], one.get("default")) for one in first.parameters][:3] == [
        ("on", "010"),
        ("B", "no"),
        ("C", "1.10"),
    ]
    assert (first.parameters[3]["default"], first.parameters[4]["choices"]) == (True, ["1", "2.0", "yes"])
    assert second.code == "2024-11"


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_cannot_be_job_and_folder(tmp_path, order):
    projects = ", ".join(["{code: a, name: Team}", "{code: b, folder: team/web}"][::order])
    (told,) = mistakes(tmp_path, f"defaults: {{repository: r}}\nprojects: [{projects}]\n")
    assert told == "2: team is both a job and a folder"


def test_a_repository_address_with_a_token_is_refused(tmp_path):
    (told,) = mistakes(tmp_path, "projects: [{code: a, repository: 'https://ghp_abcdef@h/a.git'}]\n")
    assert "holds a password" in told
    assert load(tmp_path, "projects: [{code: a, repository: 'https://bob@h/a.git'}]\n")


def test_an_empty_value_takes_a_default_away(tmp_path):
    defaults = (
        "defaults: {repository: 'r/{code}', folder: team, credentials: c, branches: [a, b], keep_builds: 3, disabled: true,\n"
        "  description: d, kind: multibranch, jenkinsfile: ci/J, triggers: {scan: 1d}, parameters: []}\n"
    )
    keys = [
        "folder",
        "credentials",
        "branches",
        "keep_builds",
        "disabled",
        "description",
        "kind",
        "jenkinsfile",
        "triggers",
        "parameters",
    ]
    (job,) = load(tmp_path, defaults + f"projects: [{{code: a, {', '.join(f'{key}: null' for key in keys)}}}]\n")
    assert job == plan_jobs.Job("jobs", "a", "r/a", "a", branches=("main",), triggers={})
    (job,) = load(
        tmp_path,
        "defaults: {repository: r, folder: team, credentials: c, triggers: {poll: '@daily', cron: '@daily'}, pipeline: {node: n, cache: true}}\n"
        "projects: [{code: a, folder: '', name: '', credentials: '', triggers: {poll: null, cron: ''}, pipeline: {node: null}}]\n",
    )
    assert (job.full_name, job.credentials, job.triggers, job.pipeline) == ("a", "", {}, {"cache": True})
    assert (
        load(tmp_path, "defaults: {repository: r, pipeline: true}\nprojects: [{code: a, pipeline: null}]\n")[0].pipeline
        is None
    )


@table("name", ["Weiße 网站 1.0", "a b.c-d_e", "a+b (old), 'x' ~=", "-x", "_"])
def test_a_name_that_jenkins_takes_is_taken(tmp_path, name):
    text = USUAL + f"  name: {json.dumps(name)}\n  folder: {json.dumps(f'{name}/{name}')}\n"
    assert load(tmp_path, text)[0].full_name == f"{name}/{name}/{name}"


def test_all_mistakes_in_all_files_are_reported_together(tmp_path):
    (tmp_path / "a.yml").write_text(
        "projects:\n- {code: a, repository: r, x: 1}\n- {code: b, repository: r, kind: x}\n"
    )
    (tmp_path / "b.yml").write_text("projects:\n- {code: C, repository: r}\n")
    with pytest.raises(SettingsError) as refused:
        jobs_files.load([str(tmp_path / "*.yml")])
    told = [*refused.value.details, refused.value.message]
    assert [line.partition(": ")[0].rpartition("/")[2] for line in told] == ["a.yml:2", "a.yml:3", "b.yml:2"]


def test_two_projects_of_one_full_name_are_refused(tmp_path):
    (tmp_path / "a.yml").write_text("projects: [{code: a, repository: r}]\n")
    (tmp_path / "b.yml").write_text("projects: [{code: a, repository: s}]\n")
    with pytest.raises(SettingsError, match=r"b\.yml:1: job a is defined twice: also in .*a\.yml"):
        jobs_files.load([str(tmp_path / "*.yml")])


def test_a_pattern_that_names_nothing_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"jobs file .* does not exist"):
        jobs_files.load([str(tmp_path / "*.yml")])


def test_the_schema_knows_every_key_of_the_settings():
    known = jobs_file.schema()["definitions"]["pipeline"]["properties"]
    assert {key.name for key in KEYS} - {"code"} <= set(known)
    assert all(known[key.name].get("enum") == [*key.choices, None] for key in KEYS if key.choices)


def test_the_schema_knows_every_credential_of_a_jenkinsfile():
    known = jobs_file.schema()["definitions"]["pipeline"]["properties"]["credentials"]["properties"]
    assert {camel(name): about["description"] for name, about in known.items()} == {
        name: CREDENTIALS[name].text for name in PROJECT_CREDENTIALS
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "a", "1d", "freestyle", "@daily", "x\ny"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["code", "kind", "triggers", "poll", "name", "builds", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)
PROJECT_KEYS = sorted(jobs_file.schema()["definitions"]["project"]["properties"])
GENERAL = fastjsonschema.compile(jobs_file.schema())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(PROJECT_KEYS), VALUES, max_size=4))
def test_schema_checks_agree_with_a_general_json_validator(project):
    # That one takes 1 for true.
    assume(project.get("pipeline") != 1 or project["pipeline"] is True)
    data = {"projects": [{"code": "a", **project}]}
    try:
        GENERAL(data)
        valid = True
    except fastjsonschema.JsonSchemaValueException:
        valid = False
    assert (not list(schema.check(jobs_file.schema(), data))) == valid


#: Values of every type, as YAML writes them.
ODD = [
    *("[]", "[1, [a]]", "[null]", "[{}]", "[" * 60 + "]" * 60),
    *("{}", "{a: {b: [1]}}", "{x: null}", "{1: 2, ~: 3}", "!!set {a, b}"),
    *("7", "-1", "1.5", ".nan", "1" + "0" * 40),
    *("x", "''", '"a\\0b"', "!!binary aGk=", "2024-11-26", "true", "null"),
]
PLACES = {
    **{
        f"defaults.{key}": f"defaults: {{{key}: ODD}}\nprojects: [{{code: a, repository: r}}]\n" for key in PROJECT_KEYS
    },
    **{f"project.{key}": f"projects: [{{code: a, repository: r, {key}: ODD}}]\n" for key in PROJECT_KEYS},
    **{
        f"pipeline.{key}": f"projects: [{{code: a, repository: r, pipeline: {{{key}: ODD}}}}]\n"
        for key in jobs_file.schema()["definitions"]["pipeline"]["properties"]
    },
    **{
        f"triggers.{key}": f"projects: [{{code: a, repository: r, triggers: {{{key}: ODD}}}}]\n"
        for key in ("cron", "poll", "scan", "webhook", "x")
    },
    **{
        f"parameters.{key}": f"projects: [{{code: a, repository: r, parameters: [{{name: N, type: choice, {key}: ODD}}]}}]\n"
        for key in ("name", "type", "default", "choices", "description", "x")
    },
    "keep_builds": "projects: [{code: a, repository: r, keep_builds: {builds: ODD, days: ODD}}]\n",
    "the file": "ODD\n",
    "name": "name: ODD\nprojects: [{code: a, repository: r}]\n",
    "projects": "projects: ODD\n",
    "a project": "projects: [ODD]\n",
}


@table("place", PLACES)
def test_values_of_unexpected_types_are_accepted_or_reported(tmp_path, place, monkeypatch):
    (tmp_path / "jobs.yml").touch()
    for value in ODD:
        text = PLACES[place].replace("ODD", value)
        monkeypatch.setattr(jobs_file, "read_file", lambda _path, _largest, text=text: text.encode())
        try:
            for job in jobs_files.load([str(tmp_path / "jobs.yml")])[0]:
                job_xml(job)
        except SettingsError as error:
            assert len(error.message) < 1000  # noqa: PT017
            assert "jobs.yml" in error.message  # noqa: PT017


def test_documentation_example_is_a_valid_jobs_file(tmp_path):
    document = (Path(__file__).parents[2] / "docs" / "seeding.md").read_text(encoding="utf-8")
    example = document.partition("```yaml\n")[2].partition("```")[0]
    assert [job.code for job in load(tmp_path, example)] == [
        "aglaia-web-re",
        "aglaia-ui-re",
        "aglaia-shop-re",
        "aglaia-old-re",
    ]


def test_the_documentation_names_every_key_of_a_project():
    document = (Path(__file__).parents[2] / "docs" / "seeding.md").read_text(encoding="utf-8")
    keys = jobs_file.schema()["definitions"]["project"]["properties"]
    assert [key for key in keys if f"`{key}`" not in document] == []
