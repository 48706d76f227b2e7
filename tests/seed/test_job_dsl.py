"""The Job DSL script, executed by Job DSL itself, creates the same jobs as `seed`."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import pytest

from container_pipeline.execute import jobs_files
from container_pipeline.plan.seed import configxml, jobxml
from container_pipeline.project import jobs_file

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "resources" / "container-pipeline" / "seed.groovy"

#: Every key of the jobs file stands in here; a test holds that.
EVERYTHING = """name: everything
defaults: {repository: 'git@git.example:team/{code}.git'}
projects:
- plain-re
- code: scm-re
  name: SCM job
  folder: team/web
  description: "<b>&]]> 'single' \\"double\\" $dollar \\\\back 中文\\nsecond line"
  branches: [main, "feature/<x>&'y"]
  credentials: git-reader
  jenkinsfile: ci/Jenkinsfile
  triggers: {poll: 'H/5 * * * *', cron: "H 2 * * *\\n@weekly", webhook: hook-token}
  keep_builds: {builds: 5, days: 9}
  disabled: true
  parameters:
  - {name: A, default: "it's $x", description: <a>}
  - {name: B, type: boolean, default: true}
  - {name: C, type: boolean}
  - {name: D, type: choice, choices: [one, "", "false"], description: which}
  - {name: E, type: text, default: "l1\\nl2"}
  - {name: F, default: 7}
- code: inline-re
  folder: team
  branch: dev
  library: container-pipeline@1.0
  credentials: git-reader
  pipeline:
    node: docker
    env_file: "a'b\\\\c"
    servers: [deploy@a:22, {host: b, port: 2222}]
    build_args: {X: "y z", "a-b": 1}
    credentials: {registry: reg, known_hosts: hosts}
    approve: "Really, ${USER}?"
    cache: true
- {code: bare-re, pipeline: true, library: ""}
- {code: all-re, kind: multibranch, folder: team, branches: [main, release/*], credentials: git-reader, jenkinsfile: J, keep_builds: 3, triggers: {scan: 1d}, disabled: true}
- {code: every-re, kind: multibranch, keep_builds: {days: 3}}
- {code: old-re, kind: freestyle, description: old, keep_builds: 2, pipeline: {node: docker, build_args: {Q: "it's"}}, triggers: {cron: '@daily'}}
- {code: older-re, kind: freestyle, credentials: git-reader, triggers: {poll: '@hourly', webhook: hook}, disabled: true, parameters: [{name: A}]}
"""


class Dsl:
    """Runs scripts; ``said`` is what the run printed on stderr."""

    def __init__(self, classpath: str, folder: Path) -> None:
        self.classpath, self.folder = classpath, folder

    def run(self, script: str, workspace: Path) -> tuple[dict[str, list[str]], dict[str, list[str]], str]:
        """Return items and views, each by name as what it says, and what was printed."""
        file = self.folder / "script.groovy"
        file.write_text(script, encoding="utf-8")
        java = [
            "java",
            "-Dfile.encoding=UTF-8",
            "-XX:TieredStopAtLevel=1",
            "--add-opens",
            "java.base/java.lang=ALL-UNNAMED",
            f"-Dviews={workspace / 'views'}",
        ]
        command = [
            *java,
            "-cp",
            self.classpath,
            "groovy.ui.GroovyMain",
            str(HERE / "Run.groovy"),
            str(file),
            str(workspace),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        found: dict[str, dict[str, list[str]]] = {"item": {}, "view": {}}
        for line in done.stdout.splitlines():
            kind, *fields = line.split(" ")
            if kind in found and len(fields) == 2:
                name, xml = (base64.b64decode(one).decode() for one in fields)
                found[kind][name] = configxml.canonical(xml)
        return found["item"], found["view"], done.stdout + done.stderr


@pytest.fixture(scope="module")
def jenkins_class(classpath: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the class that stands in for Jenkins itself."""
    folder = tmp_path_factory.mktemp("classes")
    compiler = ["java", "-cp", classpath, "org.codehaus.groovy.tools.FileSystemCompiler", "-d", str(folder)]
    subprocess.run([*compiler, str(HERE / "Jenkins.groovy")], check=True)
    return folder


@pytest.fixture
def dsl(classpath: str, jenkins_class: Path, tmp_path: Path) -> Dsl:
    return Dsl(f"{classpath}:{jenkins_class}", tmp_path)


@pytest.fixture
def someone(administrator):
    one = administrator("")
    (one.folder / "jobs.yml").write_text(EVERYTHING, encoding="utf-8")
    return one


def test_the_comparison_covers_every_jobs_file_key(someone):
    properties = jobs_file.schema()["definitions"]["project"]["properties"]
    (file,) = jobs_file.read([str(someone.folder / "jobs.yml")])
    used = {key for one in file.data["projects"] if isinstance(one, dict) for key in one} | set(file.data["defaults"])
    assert used == set(properties)
    triggers = {name for one in file.data["projects"] if isinstance(one, dict) for name in one.get("triggers", {})}
    assert triggers == set(properties["triggers"]["properties"])


def test_the_script_creates_the_same_items_as_seed(someone, dsl):
    items, views, said = dsl.run(someone.seed("--job-dsl").out, someone.folder)
    jobs, _names = jobs_files.load([str(someone.folder / "jobs.yml")])
    expected = {job.full_name: configxml.canonical(jobxml.job_xml(job)) for job in jobs}
    folder = configxml.canonical(jobxml.folder_xml("everything"))
    assert items == {**expected, "team": folder, "team/web": folder}, said
    assert views == {name: configxml.canonical(jobxml.view_xml("everything", name)) for name in ("team", "team/web")}
    assert "deprecated" not in said


def test_an_existing_folder_keeps_its_configuration(someone, dsl):
    there = (
        "<com.cloudbees.hudson.plugins.folder.Folder plugin='cloudbees-folder@6'><description>ours</description><properties>"
        "<org.jenkinsci.plugins.workflow.libs.FolderLibraries><libraries><name>team-library</name></libraries>"
        "</org.jenkinsci.plugins.workflow.libs.FolderLibraries></properties><folderViews><views><name>by hand</name></views></folderViews>"
        "</com.cloudbees.hudson.plugins.folder.Folder>"
    )
    (someone.folder / "existing").mkdir()
    (someone.folder / "existing" / "team").write_text(there, encoding="utf-8")
    items, _views, said = dsl.run(someone.seed("--job-dsl").out, someone.folder)
    assert items["team"] == configxml.canonical(there), said


def test_only_existing_views_from_seed_are_updated(someone, dsl):
    """Job DSL writes a list view anew, and replaces a view of another kind."""
    for folder in ("a", "b", "c/d", "e"):
        someone.write(f"projects: [{{code: CODE-web, folder: {folder}, repository: r}}]\n", f"{folder[0]}.yml")
    ours = jobxml.view_xml("others", "a")
    list_view = "<hudson.model.ListView plugin='x@1'><description>ours</description><columns/></hudson.model.ListView>"
    view = someone.folder / "views"
    view.mkdir()
    (view / "a").write_text(ours.replace("<recurse>true", "<recurse>false"), encoding="utf-8")
    (view / "b").write_text(list_view, encoding="utf-8")
    (view / "c!d").write_text(list_view, encoding="utf-8")
    (view / "e").write_text("<hudson.model.MyView><description/></hudson.model.MyView>", encoding="utf-8")
    _items, views, said = dsl.run(someone.seed("?.yml", "--job-dsl").out, someone.folder)
    c = configxml.canonical(jobxml.view_xml(someone.prefix, "c"))
    kept = configxml.canonical(list_view)
    assert views == {"a": configxml.canonical(ours), "b": kept, "c": c, "c/d": kept}, said


def test_an_unknown_job_dsl_method_is_an_error(someone, dsl):
    """What the comparison above stands on: a changed method of Job DSL cannot pass unseen."""
    broken = someone.seed("--job-dsl").out.replace("lightweight(true)", "lightWeight(true)")
    items, _views, said = dsl.run(broken, someone.folder)
    assert items == {}
    assert "lightWeight" in said


def test_every_jobs_file_uses_the_same_script(someone):
    """Jenkins asks for an approval of each script that it has not seen."""
    first = someone.seed("--job-dsl").out
    data = someone.folder / "container-pipeline-jobs.json"
    before = data.read_text(encoding="utf-8")
    someone.write("projects: [{code: CODE-a, repository: r}]\n")
    assert someone.seed("--job-dsl", "--dry-run").out == first
    assert data.read_text(encoding="utf-8") == before
    assert someone.seed("--job-dsl").out == first == SCRIPT.read_text(encoding="utf-8")
    assert [one["name"] for one in json.loads(data.read_text(encoding="utf-8"))["jobs"]] == [f"{someone.prefix}-a"]


def test_thousands_of_jobs_are_made_by_one_script(someone, dsl):
    codes = ", ".join(f"project-{number:04}-re" for number in range(1000))
    someone.folder.joinpath("jobs.yml").write_text(
        f"defaults: {{repository: 'git@x:中文/{{code}}.git'}}\nprojects: [{codes}]\n"
    )
    items, _views, said = dsl.run(someone.seed("--job-dsl").out, someone.folder)
    assert len(items) == 1000, said[-500:]
