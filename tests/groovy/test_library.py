"""The library on a node: refusals, transfer of the agent, failures. Without registries and servers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from container_pipeline.plan.jenkinsfile import CREDENTIALS
from groovy.jenkins import ROOT
from lab.chat import Chat, chat

# With its folder, which goes to one worker and would else end alone.
pytestmark = pytest.mark.slow

PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
# It needs the agent and its settings, and fails at once: there is no registry.
PROMOTE = "node { containerPromote(code: 'a-b', version: '20261124093015') }"
NO_REGISTRY = "promote: DOCKER_REGISTRY is not set"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("containerPipeline()", "containerPipeline: no project code; write code: 'aglaia-web-re'"),
        ("containerPipeline(code: '')", "no project code"),
        ("containerPipeline(code: '../x')", "'../x' is not a project code"),
        ("containerPipeline(code: '-o')", "'-o' is not a project code"),
        ("containerPipeline(code: 'A B')", "'A B' is not a project code"),
        ("containerPipeline(code: 'a-b\\n')", "is not a project code"),
        ("containerPipeline(code: 'a-b', enviroment: 'x')", "unknown key 'enviroment'; did you mean 'environments'?"),
        ("containerPipeline(code: 'a-b', environment: 'x')", "unknown key 'environment'; did you mean 'environments'?"),
        ("containerPipeline(code: 'a-b', version: 'x')", "unknown key 'version'"),
        ("containerPush(code: 'a-b', environment: 'x')", "unknown key 'environment'"),
        (
            "containerPipeline(code: 'a-b', approve: [within: 'soon'])",
            "approve.within cannot be 'soon'; write a number",
        ),
        ("containerPipeline(code: 'a-b', approve: [who: 'ops'])", "unknown key 'who' in approve"),
        ("containerPipeline(code: 'a-b', freeze: 'soon')", "freeze: 'soon' is not a window of time"),
        ("containerPipeline(code: 'a-b', freeze: ['Sat-Sun', 'Fri 18:00'])", "freeze: 'Fri 18:00' is not a window"),
        (
            "containerPipeline(code: 'a-b', freeze: 'Sat-Sun, Fri 18:00-Mon 08:00 Mars/Olympus')",
            "there is no time zone in ' Fri 18:00-Mon 08:00 Mars/Olympus'",
        ),
        ("containerHold(code: 'a-b')", "containerHold: reason is missing"),
        ("containerResume(code: 'a-b', reason: 'x')", "unknown key 'reason'"),
        ("containerRestart(code: 'a-b', since: '1h')", "unknown key 'since'"),
        ("containerFleet(check: 'yes')", "check must be of type boolean, not yes"),
        ("containerFleet(credentials: [registry: 'x'])", "unknown key 'registry' in credentials; use one of: ssh"),
        ("containerLogs(code: 'a-b', tail: 'all')", "tail must be of type integer, not all"),
        ("containerStatus(code: 'a-b', version: 'x')", "unknown key 'version'"),
        ("containerPipeline(code: 'a-b', env_file: 'x')", "unknown key 'env_file'; did you mean 'envFile'?"),
        ("containerPipeline(code: 'a-b', xyzzy: 1)", "unknown key 'xyzzy'; use one of:"),
        ("containerPipeline(code: 'a-b', timeout: '60')", "timeout must be of type integer, not 60"),
        ("containerPipeline(code: 'a-b', cache: 'yes')", "cache must be of type boolean, not yes"),
        ("containerPipeline(code: 'a-b', buildArgs: ['A=1'])", "buildArgs must be of type map"),
        ("containerPipeline(code: 'a-b', servers: 3)", "servers must be of type servers, not 3"),
        ("containerPipeline(code: 'a-b', node: null)", "node is null; remove it instead"),
        ("containerPipeline(code: 'a-b', mode: 'swrm')", "mode is 'swrm'; did you mean 'swarm'?"),
        ("containerPipeline(code: 'a-b', attest: 'sbom')", "attest is 'sbom'; use one of: true, false, provenance"),
        ("containerPipeline(code: 'a-b', sign: [kye: 'x'])", "unknown key 'kye' in sign; did you mean 'key'?"),
        (
            "containerPipeline(code: 'a-b', credentials: [known_hosts: 'x'])",
            "in credentials; did you mean 'knownHosts'?",
        ),
        ("containerPipeline(code: 'a-b', notify: [mention: 'bob'])", "notify.mention cannot be 'bob'; write telephone"),
        (
            "containerPipeline(code: 'a-b', notify: [mention: ['13800000000', 'x y']])",
            "notify.mention cannot be 'x y'",
        ),
        (
            "containerPipeline(code: 'a-b', notify: [on: 'failures'])",
            "notify.on is 'failures'; did you mean 'failure'?",
        ),
        ("containerPipeline(code: 'a-b', notify: [format: 3])", "notify.format must be of type text, not 3"),
        ("containerDeploy(code: 'a-b', noRelease: 'yes')", "noRelease must be of type boolean, not yes"),
        ("containerDeploy(code: 'a-b', notify: [hook: 'x'])", "unknown key 'hook' in notify"),
        (
            "containerDeploy(code: 'a-b', servrs: ['x'])",
            "containerDeploy: unknown key 'servrs'; did you mean 'servers'?",
        ),
    ],
)
def test_bad_input_fails_before_a_node_is_allocated(build, call, sentence):
    run = build(call)
    assert run.result == "FAILURE"
    assert sentence in run.log
    assert "node" not in run.calls
    assert len([line for line in run.lines if line.startswith("ERROR")]) == 1


def test_windows_and_people_that_exist_are_accepted(build):
    windows = "['Fri 18:00-Mon 08:00 Asia/Shanghai', 'Sat - Sun', '22:00-06:00 GMT', '2027-02-06..2027-02-14 UTC']"
    call = f"containerDeploy(code: 'a-b', freeze: {windows}, override: 'x', noRelease: true, notify: [mention: ['all', '13800000000']])"
    assert "ERROR: deploy: no server is set" in build(f"node {{ {call} }}").log


def test_the_librarys_own_sentences_come_in_chinese_too(build):
    log = build("containerPipeline(code: 'a-b', enviroment: 'x')", environment={"LANG": "zh_CN.UTF-8"}).log
    assert "containerPipeline: 未知的键 'enviroment'；是否想写 'environments'？" in log


def test_a_job_without_source_explains_the_fix(build):
    run = build("containerPipeline(code: 'a-b')")
    assert (
        "ERROR: this job has no source to check out: allocate a node and check out there, or set checkout: false"
        in run.log
    )


@pytest.mark.parametrize("program", ["python3", "docker", "ssh"])
def test_a_node_without_a_program_is_one_sentence(build, node, program):
    (node.bin / program).unlink()
    run = build(f"node {{ container{'Build' if program == 'docker' else 'Status'}(code: 'a-b') }}")
    assert run.result == "FAILURE"
    assert f"container-pipeline: this node has no {program}: install it" in run.log
    assert "apt-get install" in run.log


def test_that_sentence_comes_in_chinese_too(build, node):
    (node.bin / "ssh").unlink()
    node.environment["LANG"] = "zh_CN.UTF-8"
    assert "此节点没有 ssh" in build("node { containerStatus(code: 'a-b') }").log


def test_each_node_receives_an_agent_version_once(build, cold_node):
    cold = build(PROMOTE)
    warm = build(PROMOTE)
    assert NO_REGISTRY in cold.log
    assert NO_REGISTRY in warm.log
    assert (cold.calls.count("writeFile"), warm.calls.count("writeFile")) == (2, 0)
    assert (cold.calls.count("sh"), warm.calls.count("sh")) == (2, 1)
    assert len(list(cold_node.cache.glob("*/lib"))) == 2


@pytest.mark.parametrize("home", ["a file", "unset"])
def test_the_agent_is_cached_without_a_usable_home(build, cold_node, home):
    if home == "unset":
        del cold_node.environment["HOME"]
    else:
        shutil.rmtree(cold_node.home)
        cold_node.home.write_text("")
    assert NO_REGISTRY in build(PROMOTE).log
    assert build(PROMOTE).calls.count("writeFile") == 0


def test_concurrent_builds_on_a_cold_node_both_run(build, cold_node):
    running = [build.start(PROMOTE) for _ in range(2)]
    assert all(NO_REGISTRY in one.wait().log for one in running)
    assert len(list(cold_node.cache.glob("*/lib"))) == 2


def test_a_damaged_agent_is_not_unpacked(build, cold_node, resources, tmp_path):
    broken = tmp_path / "broken" / "container-pipeline"
    broken.mkdir(parents=True)
    (broken / "agent.tar").write_bytes(b"half of it")
    run = build(PROMOTE, resources=[tmp_path / "broken", *resources])
    assert run.result == "FAILURE"
    assert "the agent arrived damaged" in run.log
    assert list(cold_node.cache.glob("*")) == []


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(one, id=one.parts[-3], marks=[pytest.mark.matrix] * (one.parts[-3][:4] not in ("3.8.", "3.9.")))
        for one in PYTHONS
    ],
)
def test_the_agent_requires_python_3_9_or_newer(build, node, python):
    node.install("python3", str(python))
    version = tuple(map(int, python.parts[-3].split(".")[:2]))
    expected = NO_REGISTRY if version >= (3, 9) else "install Python 3.9 or newer"
    assert expected in build(PROMOTE).log


@pytest.mark.parametrize("trusted", [False, True], ids=["untrusted", "trusted"])
def test_the_library_works_at_folder_and_global_level(build, trusted):
    assert NO_REGISTRY in build(PROMOTE, trusted=trusted).log


def test_a_build_survives_jenkins_restarts(build):
    assert NO_REGISTRY in build(PROMOTE, restart=True).log


def test_a_setting_crosses_whole_whatever_characters_it_has(build, node):
    node.environment["DOCKER_REGISTRY"] = "127.0.0.1:1"
    value = "a b'c\"d$HOME`id`\\\\n;|&*"
    run = build(f"node {{ containerBuild(code: 'a-b', dockerfile: '''{value}''') }}")
    assert value.replace("\\\\", "\\") in run.log
    assert "uid=" not in run.log


def test_registries_default_to_those_in_etc_profile(build, node):
    Path(node.environment["CONTAINER_PIPELINE_PROFILE"]).write_text(
        "export DOCKER_REGISTRY_PROD=prod.example\nPATH=/gone\n"
    )
    run = build("node { containerPipeline(code: 'a-b', approve: true) }", input="abort")
    assert "stages of a-b: Build, Push, Approve, Promote" in run.log


def test_retry_runs_the_step_again(build):
    run = build("retry(2) { node { containerPromote(code: 'a-b') } }")
    assert run.lines.count("Retrying") == 1
    assert run.calls.count("sh") == 2


def test_catch_error_catches_it(build):
    run = build(
        "node { catchError(buildResult: 'UNSTABLE', stageResult: 'FAILURE') { containerPromote(code: 'a-b') }\n echo 'on' }"
    )
    assert run.result == "UNSTABLE"
    assert "on" in run.lines


def test_a_failure_throws_the_agents_message(build):
    run = build(
        "node { try { containerPromote(code: 'a-b', version: '1') } catch (e) { echo \"caught: ${e.message}\" } }"
    )
    assert run.result == "SUCCESS"
    assert f"caught: {NO_REGISTRY}" in run.log


def test_a_folder_without_a_dockerfile_is_one_sentence(build, node):
    node.environment["DOCKER_REGISTRY"] = "127.0.0.1:1"
    run = build("node { dir('empty') { containerPipeline(code: 'a-b') } }")
    assert run.result == "FAILURE"
    assert "Dockerfile" in next(line for line in run.lines if line.startswith("ERROR"))


def hook(robot: Chat) -> dict[str, dict[str, str]]:
    """The credentials of a chat's robot."""
    return {"hook": {"type": "string", "secret": robot.address}, "robot": {"type": "string", "secret": robot.secret}}


@pytest.mark.parametrize(
    ("notify", "field"),
    [("'hook'", "text"), ("[credentials: 'hook', format: 'feishu']", "card")],
)
def test_webhook_reports_the_failure_without_exposing_its_url(build, notify, field):
    script = f"node {{ containerPromote(code: 'a-b', version: '20261124093015', notify: {notify}) }}"
    with chat() as robot:
        run = build(script, credentials=hook(robot))
    assert run.result == "FAILURE"
    (body,) = robot.told
    assert "promote failed: DOCKER_REGISTRY is not set" in str(body[field])
    assert "canary" not in run.log


def test_webhook_reports_a_single_environment_deploy(build, node):
    node.environment["CONTAINER_PIPELINE_ENVIRONMENTS"] = '{"test": {}}'
    call = "containerDeploy(code: 'a-b', version: '1', environment: 'test', notify: [credentials: 'hook'])"
    with chat() as robot:
        build(f"node {{ {call} }}", credentials=hook(robot))
    assert "deploy failed" in robot.text


@pytest.mark.parametrize("kind", ["dingtalk", "feishu"])
def test_a_message_is_signed_as_the_robot_asks(build, kind):
    notify = f"[credentials: 'hook', secret: 'robot', format: '{kind}', mention: 'all']"
    with chat(kind, "SEC-canary") as robot:
        run = build(
            f"node {{ containerPipeline(code: 'a-b', deploy: true, notify: {notify}) }}", credentials=hook(robot)
        )
    assert (len(robot.told), robot.refused) == (1, 0), run.log
    assert "a-b: stages failed: no server is set" in robot.text
    assert "canary" not in run.log


@pytest.mark.parametrize(
    ("previous", "told"),
    [(["SUCCESS"], 0), ([], 0), (["FAILURE"], 1), (["RUNNING", "ABORTED", "NOT_BUILT", "UNSTABLE"], 1)],
)
def test_a_success_is_told_after_a_failure(build, node, previous, told):
    story = "[results: [], failed_before: containerAgent.failedBefore()]"
    script = f"node {{ containerAgent.report({story}, [code: 'a-b', notify: 'hook'], []) }}"
    with chat() as robot:
        run = build(script, credentials=hook(robot), previous=previous)
    assert run.result == "SUCCESS", run.log
    assert len(robot.told) == told
    assert not told or "works again" in robot.text


def test_credential_ids_default_to_global_jenkins_variables(build, node):
    node.environment["DOCKER_REGISTRY"] = "127.0.0.1:1"
    credentials = {"dev": {"type": "usernamePassword", "username": "someone", "password": "else"}}
    variables = {"CONTAINER_PIPELINE_CREDENTIALS_REGISTRY": "dev"}
    run = build(PROMOTE, credentials=credentials, environment=variables)
    assert "Masking supported pattern matches of DOCKER_REGISTRY_USER or DOCKER_REGISTRY_PASS" in run.log
    assert "DOCKER_REGISTRY_PROD is not set" in run.log


def test_a_deploy_gets_only_the_pull_login(build, node):
    node.environment["DOCKER_REGISTRY_PROD"] = "127.0.0.1:1"
    login = {"type": "usernamePassword", "username": "someone", "password": "else"}
    variables = {
        "CONTAINER_PIPELINE_CREDENTIALS_PRODUCTION": "pushes",
        "CONTAINER_PIPELINE_CREDENTIALS_PRODUCTION_PULL": "pulls",
    }
    both = {"credentials": {"pushes": login, "pulls": login}, "environment": variables}
    log = build("node { containerDeploy(code: 'a-b', version: '1') }", **both).log
    assert "DOCKER_REGISTRY_PROD_PULL_PASS" in log
    assert "DOCKER_REGISTRY_PROD_PASS" not in log
    log = build(PROMOTE, **both).log
    assert "DOCKER_REGISTRY_PROD_PASS" in log
    assert "DOCKER_REGISTRY_PROD_PULL_PASS" not in log


def test_a_pull_request_gets_no_signing_key(build):
    credentials = {"key": {"type": "file", "content": "key"}, "word": {"type": "string", "secret": "pass-of-key"}}
    call = "node { containerBuild(code: 'a-b', credentials: [sign: 'key', signPassword: 'word']) }"
    assert "CONTAINER_PIPELINE_SIGN or COSIGN_PASSWORD" in build(call, credentials=credentials).log
    log = build(call, credentials=credentials, environment={"CHANGE_ID": "7", "BRANCH_NAME": "PR-7"}).log
    assert "COSIGN_PASSWORD" not in log
    assert "CONTAINER_PIPELINE_SIGN" not in log


def test_an_unknown_credential_id_raises_jenkins_error(build):
    run = build("node { containerPromote(code: 'a-b', version: '1', credentials: [registry: 'gone']) }")
    assert "ERROR: Could not find credentials entry with ID 'gone'" in run.log


def test_each_environment_can_have_its_own_env_file(build, node):
    node.environment["CONTAINER_PIPELINE_ENVIRONMENTS"] = '{"test": {}, "prod": {}}'
    credentials = {"of-prod": {"type": "file", "content": "ENV=prod\n"}}
    call = "containerDeploy(code: 'a-b', version: '1', environment: '%s', credentials: [env: [prod: 'of-prod']])"
    assert "CONTAINER_PIPELINE_ENV_FILE" in build(f"node {{ {call % 'prod'} }}", credentials=credentials).log
    assert "CONTAINER_PIPELINE_ENV_FILE" not in build(f"node {{ {call % 'test'} }}", credentials=credentials).log


def test_env_from_inherits_a_credential_but_no_login(build, node, tmp_path):
    node.environment["DOCKER_REGISTRY"] = "127.0.0.1:1"
    credentials = {
        "vault": {"type": "string", "secret": "hvs-of-vault"},
        "dev": {"type": "usernamePassword", "username": "someone", "password": "pass-of-registry"},
    }
    seen = tmp_path / "seen"
    program = f"[command: ['/bin/sh', '-c', '/usr/bin/env > \"$1\"; echo TOKEN=hvs-of-vault >&2; exit 3', 'sh', '{seen}'], inherit: ['VAULT_TOKEN']]"
    call = f"containerDeploy(code: 'a-b', version: '1', servers: ['x.invalid'], envFrom: {program}, credentials: [registry: 'dev'])"
    bound = f"withCredentials([string(credentialsId: 'vault', variable: 'VAULT_TOKEN')]) {{ {call} }}"
    run = build(
        f"node {{ writeFile(file: 'docker-compose.yml', text: 'services: {{a-b: {{image: x}}}}'); {bound} }}",
        credentials=credentials,
    )
    assert "ERROR: deploy: env_from: /bin/sh failed with exit code 3" in run.log
    assert "hvs-of-vault" not in run.log
    text = seen.read_text()
    assert "VAULT_TOKEN=hvs-of-vault" in text
    assert "pass-of-registry" not in text
    for word in ("DOCKER_", "CONTAINER_PIPELINE_CALL", "JENKINS_TOKEN"):
        assert word not in text


def test_every_credential_in_the_documented_yaml_is_defined():
    page = (ROOT / "docs" / "jenkins.md").read_text(encoding="utf-8")
    (block,) = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, flags=re.S)]
    assert block["unclassified"]["globalUntrustedLibraries"]["libraries"][0]["name"] == "container-pipeline"
    variables = {
        entry["key"]: entry["value"] for entry in block["jenkins"]["globalNodeProperties"][0]["envVars"]["env"]
    }
    ids = {
        next(iter(entry.values()))["id"]
        for entry in block["credentials"]["system"]["domainCredentials"][0]["credentials"]
    }
    prefix = "CONTAINER_PIPELINE_CREDENTIALS_"
    assert {value for name, value in variables.items() if name.startswith(prefix)} <= ids
    named = set(re.findall(rf"`{prefix}([A-Z_]+)`", page))
    assert {name.removeprefix(prefix) for name in variables if name.startswith(prefix)} <= named
    assert named == {re.sub("([A-Z])", r"_\1", name).upper() for name in CREDENTIALS}


EVERY_CREDENTIAL = {
    "login": {"type": "usernamePassword", "username": "someone", "password": "else-canary"},
    "key": {"type": "sshUserPrivateKey", "username": "deploy", "content": "key-canary"},
    "file": {"type": "file", "content": "a=1\n"},
    "hook": {"type": "string", "secret": "http://127.0.0.1:1/"},
    "word": {"type": "string", "secret": "word-canary"},
}
STEPS = ["Build", "Push", "Promote", "Deploy", "Rollback", "Status", "Hold", "Resume", "Restart", "Logs"]


@pytest.mark.parametrize("step", [*STEPS, "Seed"])
def test_every_step_hands_over_every_kind_of_option(build, node, step):
    node.environment["DOCKER_REGISTRY"] = "127.0.0.1:1"
    ids = {"registry": "login", "production": "login", "ssh": "key", "knownHosts": "file", "env": "file"}
    ids |= {"registryPull": "login", "productionPull": "login", "sign": "file", "signPassword": "word"}
    credentials = "[jenkins: 'login']" if step == "Seed" else written(ids)
    options = (
        "jobs: 'none.yml', dryRun: true"
        if step == "Seed"
        else (
            "code: 'a-b', servers: [[host: 'a', port: 22], 'deploy@b'], buildArgs: [A: 'x'], cache: false, timeout: 60, "
            "envFile: \"${'x'}.env\", sign: [key: 'a.key'], attest: false, sbom: true"
        )
    )
    options += ", reason: 'why not'" if step == "Hold" else ""
    notify = (
        "" if step in ("Seed", "Status", "Logs") else ", notify: [credentials: 'hook', mention: 'all', on: 'failure']"
    )
    run = build(
        f"node {{ container{step}({options}, credentials: {credentials}{notify}) }}", credentials=EVERY_CREDENTIAL
    )
    errors = [line for line in run.lines if line.startswith("ERROR: ")]
    assert run.result == "FAILURE"
    assert len(errors) == 1
    assert errors[0].startswith(f"ERROR: {step.lower()}: ")
    assert "canary" not in run.log
    assert not notify or "the notification failed: webhook at 127.0.0.1 cannot be reached" in run.log


def written(values: dict[str, str]) -> str:
    return "[" + ", ".join(f"{name}: '{value}'" for name, value in values.items()) + "]"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("containerSeed(code: 'a-b')", "containerSeed: unknown key 'code'; did you mean 'node'?"),
        ("containerSeed(credentials: [registry: 'x'])", "unknown key 'registry' in credentials; use one of: jenkins"),
    ],
)
def test_seeding_has_keys_of_its_own(build, call, sentence):
    assert sentence in build(call).log
