"""Each Jenkinsfile of docs/jenkinsfiles.md, exactly as it is printed there, end to end: what is there, and what is not.

`make test` takes those that show what only Jenkins does. What the others add are rules and stages that unit tests and tests/real show, too.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
import time
from pathlib import Path

import pytest

from groovy.jenkins import ROOT
from lab import ask
from lab.chat import chat
from lab.project import Project

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "jenkinsfiles.md").read_text(encoding="utf-8")
CODE = "aglaia-web-re"


def printed(number: int, language: str = "groovy") -> str:
    section = re.split(r"^## ", PAGE, flags=re.M)[number]
    assert section.startswith(f"{number}. ")
    found = re.findall(rf"```{language}\n(.*?)```", section, flags=re.S)
    assert len(found) == 1
    return found[0]


@pytest.fixture
def web(tmp_path: Path, port: int) -> Project:
    return Project(tmp_path / "source", CODE, port)


@pytest.fixture
def run(build, company, web):
    def run(number, **more):
        done = build(printed(number), **{"scm": str(web.folder), "credentials": company.credentials(), **more})
        assert done.result == "SUCCESS", done.log
        return done

    return run


def version_of(done) -> str:
    return re.search(rf"{CODE} (\d{{14}})", done.description).group(1)


def wrap_python(node, when: str, script: str) -> None:
    """Run ``script`` on the node before each call of the agent that contains ``when``."""
    python = (node.bin / "python3").readlink()
    (node.bin / "python3").unlink()
    text = f'#!/bin/sh\ncase $CONTAINER_PIPELINE_CALL in *{when}*) {script} ;; esac\nexec {python} "$@"\n'
    (node.bin / "python3").write_text(text)
    (node.bin / "python3").chmod(0o755)


def test_there_are_fourteen():
    assert [int(number) for number in re.findall(r"^## (\d+)\. ", PAGE, flags=re.M)] == list(range(1, 15))


def test_the_root_example_matches_the_first_documented_one():
    assert (ROOT / "Jenkinsfile.example").read_text() == printed(1)


def test_1_one_line_does_it_all(run, build, company, node, web, jenkins, tmp_path):
    """An earlier build, whose deploy waits until this one is through, then changes nothing."""
    company.equip(node)
    node.environment["CONTAINER_PIPELINE_SERVERS"] = "deploy@web-1"
    first, through = tmp_path / "first", tmp_path / "through"
    wait = f"if mkdir {first}; then until [ -e {through} ]; do sleep 0.1; done; fi 2>/dev/null"
    wrap_python(node, "'\"deploy\"'", wait)
    node.install("mkdir")
    node.install("sleep")
    older = build.start(printed(1), scm=str(web.folder), credentials=company.credentials(), job="older")
    while not first.exists() and not older.done.is_set():
        time.sleep(0.1)
    done = run(1)
    version = version_of(done)
    assert done.stage_names == ["Build", "Push", "Promote", "Deploy"]
    assert done.description == f"{CODE} {version} → 1 server"
    assert company.servers["web-1"].get(web.port)["version"] == version
    assert done.archived == [f"container-pipeline-{CODE}.html"]
    assert "no report" not in done.log
    assert list((jenkins.home / "workspace").glob(f"{tmp_path.name}@tmp/container-pipeline/{CODE}/report*")) == []

    through.touch()
    overtaken = older.wait()
    assert overtaken.result == "NOT_BUILT", overtaken.log
    (error,) = [line for line in overtaken.lines if line.startswith("ERROR: ")]
    assert f"deploy: web-1: release {version} runs there, which was built later" in error
    assert overtaken.description.endswith(": deploy overtaken by a later build")
    assert company.servers["web-1"].get(web.port)["version"] == version
    tags = [version_of(overtaken), version, "latest"]
    assert company.tags(CODE) == (tags, tags)
    latest = ask.digest(company.development, CODE, version)
    for registry in (company.development, company.production):
        assert ask.digest(registry, CODE, "latest") == latest


@pytest.mark.matrix
def test_1_promote_and_deploy_are_skipped_without_targets(run, company, node):
    company.equip(node, production=False)
    done = run(1)
    assert done.stage_names == ["Build", "Push"]
    assert "Promote: skipped; no production registry is set (DOCKER_REGISTRY_PROD)" in done.lines
    assert "Deploy: skipped; no servers are set" in done.lines
    development, production = company.tags(CODE)
    assert development == [version_of(done), "latest"]
    assert production == []


@pytest.mark.matrix
def test_2_a_labeled_node_promotes_without_deploying(run, company, node):
    company.equip(node)
    node.environment["CONTAINER_PIPELINE_SERVERS"] = "deploy@web-1"
    done = run(2, labels=["docker"])
    assert done.stage_names == ["Build", "Push", "Promote"]
    assert "Running on docker in" in done.log
    assert company.servers["web-1"].run(f"ls /docker/compose/{CODE} 2>&1 || true").count("No such file") == 1


def test_3_declarative_checks_out_once_and_nests_stages(run, company, node, web):
    company.equip(node, production=False)
    web.write("test_it.py", "import unittest\nclass T(unittest.TestCase):\n    def test(self): pass\n")
    done = run(3)
    assert done.stage_names == ["Declarative: Checkout SCM", "Test", "Ship", "Build", "Push"]
    assert done.calls.count("checkout") == 1


@pytest.mark.matrix
def test_4_credentials_come_from_jenkins(run, company, node, web):
    company.equip(node, logins=False, key=False)
    secret = {"aglaia-web-re-env": {"type": "file", "content": "ENV=from-jenkins\n", "name": "env"}}
    done = run(4, credentials=company.credentials(**secret))
    assert done.stage_names == ["Build", "Push", "Promote", "Deploy"]
    assert company.servers["web-1"].get(web.port)["env"] == "from-jenkins"


@pytest.mark.matrix
def test_5_the_question_comes_before_promotion(run, company, node):
    company.equip(node)
    done = run(5, credentials=company.credentials(**{"team-webhook": DEAF}))
    assert done.stage_names == ["Build", "Push", "Approve", "Promote"]
    assert "Bring this to production?" in done.lines
    assert "the notification failed: webhook at 127.0.0.1 cannot be reached" in done.log


@pytest.mark.matrix
def test_5_refused_nothing_reaches_production(build, company, node, web):
    company.equip(node)
    credentials = company.credentials(**{"team-webhook": DEAF})
    done = build(printed(5), scm=str(web.folder), credentials=credentials, input="abort")
    assert done.result == "ABORTED"
    assert company.tags(CODE)[1] == []


#: A webhook that nobody listens at.
DEAF = {"type": "string", "secret": "http://127.0.0.1:9/hook"}
APPROVE = f"containerPipeline(code: '{CODE}', notify: [credentials: 'hook'], approve: [by: 'ops,alice'%s])"


def test_a_person_approves_while_a_node_waits(build, company, node, web):
    company.equip(node)
    with chat() as robot:
        web.write("container-pipeline.yml", "notify: {on: [question, success]}\n")
        credentials = company.credentials(hook={"type": "string", "secret": robot.address})
        call = APPROVE % ", within: '1h'"
        done = build(f"node {{ checkout scm\n{call} }}", scm=str(web.folder), credentials=credentials, person="alice")
        assert done.result == "SUCCESS", done.log
    assert done.stage_names == ["Build", "Push", "Approve", "Promote"]
    question, end = [one["text"] for one in robot.told]
    assert f"❓ {CODE} {version_of(done)}: Deploy {CODE} to production?" in question
    assert "/1/input/" in question
    assert "*Approved by*: alice" in end


def test_13_the_team_approves_in_the_chat(build, company, node, web):
    company.equip(node)
    node.install("git")
    node.environment["CONTAINER_PIPELINE_SERVERS"] = "deploy@web-1"
    with chat("dingtalk", "SEC-canary") as robot:
        # The address of the tests' robot does not say whose it is.
        web.write("container-pipeline.yml", "notify: {format: dingtalk}\n")
        web.commit("Open the shop")
        releases = company.servers["web-1"].folder / "compose" / CODE / "releases"
        (releases / "20200101000000").mkdir(parents=True)
        record = {"version": "20200101000000", "commit": web.commit("Add a cart")}
        (releases / "20200101000000" / "release.json").write_text(json.dumps(record))
        (releases / ".current").write_text("20200101000000\n")
        company.servers["web-1"].run(f"chown -R deploy /docker/compose/{CODE}")
        web.commit("Count visits")
        secrets = {"team-webhook": robot.address, "team-robot": robot.secret}
        credentials = company.credentials(
            **{name: {"type": "string", "secret": text} for name, text in secrets.items()}
        )
        done = build(printed(13), scm=str(web.folder), credentials=credentials, person="alice")
    assert done.result == "SUCCESS", done.log
    assert robot.refused == 0
    question, end = [json.dumps(one, ensure_ascii=False) for one in robot.told]
    assert "Bring this to production?" in question
    assert "/1/input/" in question
    assert '"13800000000"' in question
    for message in (question, end):
        assert "**Servers**: web-1" in message
        assert "Count visits" in message
        assert "Add a cart" not in message
    assert "**Approved by**: alice" in end
    assert json.loads((releases / version_of(done) / "release.json").read_text())["approved_by"] == "alice"
    assert "alice" in (done.archive / f"container-pipeline-{CODE}.html").read_text()
    assert "canary" not in done.log


def test_an_expired_question_aborts_without_a_promotion(build, company, node, web):
    company.equip(node)
    call = APPROVE % ", within: '1s'"
    with chat() as robot:
        credentials = company.credentials(hook={"type": "string", "secret": robot.address})
        # Somebody who may not answer does.
        done = build(f"node {{ checkout scm\n{call} }}", scm=str(web.folder), credentials=credentials, person="bob")
    assert done.result == "ABORTED", done.log
    assert company.tags(CODE)[1] == []
    assert done.description.endswith(": stopped in Approve")
    assert [one["text"][1:2] for one in robot.told] == ["❓", "✘"]


def test_5_no_node_is_held_while_question_stands(build, company, node, web):
    company.equip(node)
    stands = threading.Event()

    def heard(line: str) -> None:
        if line.startswith("Bring this to production?"):
            stands.set()

    more = {"scm": str(web.folder), "credentials": company.credentials(**{"team-webhook": DEAF}), "input": "wait"}
    waiting = build.start(printed(5), on_line=heard, **more)
    assert stands.wait(120), waiting.run.log
    # The workspace of the job is free: a second one would end in @2.
    other = build('node { echo "in ${pwd()}" }')
    assert not any(line.startswith("in ") and line.endswith("@2") for line in other.lines)
    waiting.abort()
    done = waiting.wait()
    assert (done.result, done.problems) == ("ABORTED", []), done.log
    assert company.tags(CODE)[1] == []
    assert done.description.endswith(": stopped in Approve")
    assert done.archived[-1] == f"container-pipeline-{CODE}.html"


def test_6_test_then_production_with_one_version(run, company, node, web):
    """What is committed while the question stands does not reach production."""
    company.equip(node)
    web.write("container-pipeline.yml", printed(6, "yaml"))
    web.write(".env.test", "ENV=test\n")
    web.write(".env.prod", "ENV=prod\n")
    late = f"echo ENV=late >{web.folder}/.env.prod; echo broken >{web.folder}/docker-compose.yml"
    wrap_python(node, "--unpack", late)
    # Jenkins restarts at every step of it.
    done = run(6, restart=True)
    assert done.stage_names == ["Build", "Push", "Deploy test", "Approve", "Promote", "Deploy prod"]
    answers = [company.servers[name].get(web.port) for name in ("test-1", "web-1")]
    assert [answer["env"] for answer in answers] == ["test", "prod"]
    assert {answer["version"] for answer in answers} == {version_of(done)}
    assert "ENV=late" in (web.folder / ".env.prod").read_text()
    assert done.calls.count("checkout") == 1
    assert len([line for line in done.lines if line.startswith("Running on")]) == 2


@pytest.mark.matrix
def test_6_what_test_refuses_never_reaches_production(build, company, node, web):
    company.equip(node)
    web.write("container-pipeline.yml", printed(6, "yaml") + "timeout: 3\n")
    web.write(".env.test", "ENV=test\n")
    web.write(".env.prod", "ENV=prod\n")
    web.exit_at_once()
    done = build(printed(6), scm=str(web.folder), credentials=company.credentials())
    assert done.result == "FAILURE"
    assert done.stage_names == ["Build", "Push", "Deploy test"]
    assert company.tags(CODE)[1] == []


@pytest.mark.matrix
def test_7_a_service_of_a_monorepo(run, company, node, tmp_path, port):
    company.equip(node, production=False)
    Project(tmp_path / "mono" / "services" / "web", CODE, port)
    done = run(7, scm=str(tmp_path / "mono"))
    assert done.stage_names == ["Build", "Push"]
    assert company.tags(CODE)[0] == [version_of(done), "latest"]


@pytest.mark.matrix
def test_8_two_services_build_in_parallel(run, company, node):
    company.equip(node)
    done = run(8)
    assert sorted(done.stage_names) == ["Build", "Build", "Push", "Push"]
    for code in (CODE, "aglaia-api-re"):
        (version,) = re.findall(rf"{code} (\d{{14}})", done.description)
        assert company.tags(code) == ([version, "latest"], [])
    assert len({line for line in done.lines if line.startswith("Running on")}) == 2


def test_8_each_call_pushes_what_it_built(run, company, node):
    """Another call that builds in the same folder meanwhile writes its own version down there."""
    company.equip(node, production=False)
    wrap_python(node, "push", "echo 20200101000000 >.docker_build_version")
    done = run(1)
    assert company.tags(CODE)[0] == [version_of(done), "latest"]


def test_9_step_by_step(run, company, node, web):
    company.equip(node)
    web.append("Dockerfile", "ARG GREETING\n")
    done = run(9)
    version = company.tags(CODE)[1][0]
    assert f"built {version}" in done.lines
    assert f"web-1 runs {version}" in done.lines


@pytest.mark.matrix
def test_a_restarted_stage_uses_the_workspace_version(build, company, node, web):
    company.equip(node, production=False)
    stage = f"node {{ checkout scm\ncontainer%s(code: '{CODE}') }}"
    for name in ("Build", "Push"):
        done = build(stage % name, scm=str(web.folder))
        assert done.result == "SUCCESS", done.log
    assert len(company.tags(CODE)[0]) == 2


FORK = {"BRANCH_NAME": "PR-8", "CHANGE_ID": "8", "CHANGE_FORK": "stranger/shop"}
#: What Jenkins sets in a multibranch job, the stages that follow, and the logins that are bound.
BRANCHES = [
    (FORK, ["Build"], set()),
    ({"BRANCH_NAME": "PR-7", "CHANGE_ID": "7"}, ["Build"], {"DOCKER_REGISTRY_PASS"}),
    ({"BRANCH_NAME": "feature/cart"}, ["Build"], {"DOCKER_REGISTRY_PASS"}),
    (
        {"BRANCH_NAME": "develop"},
        ["Build", "Push", "Deploy test"],
        {"DOCKER_REGISTRY_PASS", "CONTAINER_PIPELINE_SSH_KEY"},
    ),
    (
        {"BRANCH_NAME": "v1.0", "TAG_NAME": "v1.0"},
        ["Build", "Push", "Promote", "Deploy prod"],
        {"DOCKER_REGISTRY_PASS", "DOCKER_REGISTRY_PROD_PASS", "CONTAINER_PIPELINE_SSH_KEY"},
    ),
    (
        {"BRANCH_NAME": "main", "BRANCH_IS_PRIMARY": "true"},
        ["Build", "Push", "Deploy test", "Promote", "Deploy prod"],
        {"DOCKER_REGISTRY_PASS", "DOCKER_REGISTRY_PROD_PASS", "CONTAINER_PIPELINE_SSH_KEY"},
    ),
]


@pytest.mark.matrix
def test_11_each_branch_runs_only_its_allowed_stages(run, company, node, web):
    company.equip(node, logins=False, key=False)
    web.write("container-pipeline.yml", printed(11, "yaml"))
    names = ("REGISTRY", "PRODUCTION", "SSH", "KNOWN_HOSTS")
    ids = ("registry-login", "production-login", "deploy-key", "servers-known-hosts")
    jenkins = {f"CONTAINER_PIPELINE_CREDENTIALS_{name}": one for name, one in zip(names, ids)}
    latest, reached = None, {"test-1": "", "web-1": ""}
    for ref, stages, secrets in BRANCHES:
        done = run(11, environment={**jenkins, **ref})
        assert done.stage_names == stages, ref
        bound = {name for name in done.log.replace(",", " ").split() if name.endswith(("_PASS", "_SSH_KEY"))}
        assert bound == secrets, ref
        version = version_of(done)
        development, production = company.tags(CODE)
        assert (version in development, version in production) == ("Push" in stages, "Promote" in stages), ref
        if "Promote" in stages:
            latest = ask.digest(company.development, CODE, version)
        for registry in (company.development, company.production):
            assert ask.digest(registry, CODE, "latest") == latest, ref
        for stage, name in (("Deploy test", "test-1"), ("Deploy prod", "web-1")):
            reached[name] = version if stage in stages else reached[name]
            folder = company.servers[name].folder / "compose" / CODE
            current = folder / "releases" / ".current"
            assert (current.read_text().splitlines()[0] if current.exists() else "") == reached[name], ref
        assert ("build only: " in done.log) == (stages == ["Build"]), ref


def test_12_10_14_a_week_of_one_service(run, build, company, node, web):
    """12: a frozen week needs a reason. 10: a person chooses among the kept releases. 14: what is wrong fails the morning."""
    company.equip(node)
    node.environment["CONTAINER_PIPELINE_SERVERS"] = "deploy@web-1"
    server = company.servers["web-1"]
    folder = server.folder / "compose" / CODE
    # Windows of this form that are over, whenever this runs.
    weekly = f"{datetime.date.today() - datetime.timedelta(3):%a} 18:00-{datetime.date.today() - datetime.timedelta(2):%a} 08:00"
    text = printed(12, "yaml").replace("Fri 18:00-Mon 08:00", weekly).replace("2027-", "2021-")
    web.write("container-pipeline.yml", text)
    older = version_of(run(12, params={"OVERRIDE": ""}))
    today = datetime.date.today()
    web.write("container-pipeline.yml", f"freeze: {today - datetime.timedelta(1)}..{today + datetime.timedelta(1)}\n")
    frozen = build(printed(12), scm=str(web.folder), credentials=company.credentials(), params={"OVERRIDE": ""})
    assert frozen.result == "FAILURE"
    assert "ERROR: deploy: frozen: " in frozen.log
    assert server.get(web.port)["version"] == older
    running = version_of(run(12, params={"OVERRIDE": "the shop is down"}))
    assert server.get(web.port)["version"] == running
    assert "overridden the shop is down" in (folder / "releases" / ".log").read_text()

    oldest = "20200101000000"
    server.run(
        f"cd /docker/compose/{CODE}/releases && cp -a {older} {oldest} && sed -i s/{older}/{oldest}/ {oldest}/release.json && touch -d 2020-01-01 {oldest}"
    )
    declined = build(printed(10), scm=str(web.folder), credentials=company.credentials(), input="abort")
    assert declined.result == "ABORTED", declined.log
    assert server.get(web.port)["version"] == running
    done = run(10, choose=older, restart=True)
    offered = [line.split()[1] for line in done.lines if line.startswith("VERSION: ")]
    assert offered == [older, oldest]
    assert server.get(web.port)["version"] == older
    # One node to look, one to roll back.
    assert len([line for line in done.lines if line.startswith("Running on")]) == 2
    logs = build(
        f"node {{ containerRestart(code: '{CODE}', service: '{CODE}')\ncontainerLogs(code: '{CODE}', tail: 40, since: '1h', grep: 'start') }}",
        credentials=company.credentials(),
    )
    assert logs.result == "SUCCESS", logs.log
    assert any(line.endswith("hello started") for line in logs.lines), logs.log

    del node.environment["CONTAINER_PIPELINE_SERVERS"]
    repository = f"https://git.example/{CODE}.git"
    project = f"{{code: {CODE}, repository: {repository!r}, pipeline: {{servers: [deploy@web-1]}}}}"
    web.write("jobs.yml", f"projects:\n- {project}\n")
    done = run(14)
    assert done.archived == ["container-pipeline-fleet.html"]
    page = (done.archive / "container-pipeline-fleet.html").read_text().replace("<wbr>", "")
    assert "1 deployments, no problem" in page
    assert older in page
    server.run(f"echo '#' >>/docker/compose/{CODE}/docker-compose.yml")
    done = build(printed(14), scm=str(web.folder), credentials=company.credentials())
    assert done.result == "FAILURE"
    assert "ERROR: fleet: 1 of 1 deployments have a problem" in done.log
    page = (done.archive / "container-pipeline-fleet.html").read_text().replace("<wbr>", "")
    assert "docker-compose.yml was edited" in page
