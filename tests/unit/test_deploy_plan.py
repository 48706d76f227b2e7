"""The content of a deploy, and the order of servers."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

import container_pipeline
from container_pipeline.console import Console
from container_pipeline.errors import PipelineError, ServerError
from container_pipeline.execute import Run, rollout
from container_pipeline.execute.rollout import DEPLOY
from container_pipeline.model import (
    Code,
    Digest,
    File,
    ImageRef,
    Registry,
    RegistryAccess,
    Repository,
    Secret,
    Target,
    Version,
    local_time,
)
from container_pipeline.plan import deploy
from container_pipeline.remote import reasons, transfer
from container_pipeline.remote.fleet import Answer
from container_pipeline.remote.ssh import Access
from container_pipeline.result import Result
from container_pipeline.settings import load
from unit.table import table

IMAGE = ImageRef(Registry("r.example"), Repository("a-b"), "1")
RELEASE = deploy.Release(
    Code("a-b"), Version("1"), Digest("sha256:" + "a" * 64), IMAGE, ("a-b", "db"), (), "2026-11-24T09:30:15Z", 'ann "x"'
)
SERVERS = tuple(Target(name) for name in ("one", "two", "three"))


def test_servers_deploy_together_or_in_rolling_groups():
    assert [[server.name for server in group] for group in deploy.groups(SERVERS, 0)] == [["one", "two", "three"]]
    assert [[server.name for server in group] for group in deploy.groups(SERVERS, 2)] == [["one", "two"], ["three"]]
    assert deploy.Deploy(SERVERS[:2], RELEASE).describe() == "deploy a-b 1 (aaaaaaaaaaaa) to one, two"
    assert deploy.Rollback(SERVERS[:1], Code("a-b"), "1").describe() == "roll a-b back to 1 on one"


def test_release_record_is_one_line_readable_by_shell():
    text = RELEASE.record().decode()
    assert text.count("\n") == 1
    assert json.loads(text)["by"] == 'ann "x"'
    found = subprocess.run(
        ["sed", "-n", r's/.*"services": "\([^"]*\)".*/\1/p'], input=text, capture_output=True, text=True, check=True
    )
    assert found.stdout == "a-b db\n"


def test_server_env_version_overrides_the_projects_version():
    assert deploy.server_env({"A": "b", "VERSION": "0"}, IMAGE) == {
        "A": "b",
        "VERSION": "1",
        "DOCKER_REGISTRY": "r.example",
    }


def test_login_uses_the_registry_host_and_prints_redacted():
    access = RegistryAccess("production", Registry("r.example:5000/team"), "ann", Secret("p"))
    login = deploy.login(access)
    assert json.loads(login.reveal()) == {"auths": {"r.example:5000": {"auth": "YW5uOnA="}}}
    assert "YW5u" not in str(login)
    assert not deploy.login(RegistryAccess("production", Registry("r.example")))


def test_remote_programs_receive_values_unchanged_and_omit_comments():
    awkward = "a'b\"c $d `e` \\ \n f"
    program = transfer.program(["common"], {"given": awkward, "sudo": False})
    assert "\n#" not in program
    done = subprocess.run(
        ["sh", "-c", program + '\nprintf "%s|%s" "$given" "$sudo"'], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{awkward}|no"


SHELLS = pytest.mark.parametrize(
    "shell", [["dash"], ["busybox", "ash"], ["bash", "--posix"]], ids=lambda shell: shell[0]
)
#: As commands put them together, each for Compose and for Swarm.
PROGRAMS = [
    ["common", words, *rest]
    for words in ("health", "swarm")
    for rest in (
        list(DEPLOY),
        ["once", "check", "drain", *DEPLOY],
        ["status"],
        ["containers", "control"],
        ["logs"],
        ["exec"],
        ["diff"],
    )
] + [["common", "doctor"], ["common", "outcome"], ["common", "hold"], ["common", "fleet"]]


@SHELLS
@table("parts", PROGRAMS)
def test_every_shell_reads_every_program(shell, parts):
    program = transfer.program(parts, {"code": "a-b"})
    subprocess.run([*shell, "-n"], input=program, text=True, check=True)


def test_shell_checks_cover_every_remote_program_file():
    files = {file.stem for file in (Path(container_pipeline.__file__).parent / "remote/programs").iterdir()}
    assert files == {part for parts in PROGRAMS for part in parts}


@SHELLS
@table(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T09:30:15.123456789Z", 1795512615),
        ("2024-02-29T23:59:59Z", 1709251199),
        ("2025-03-01T00:08:09.5Z", 1740787689),
        ("2000-12-31T08:08:08Z", 978250088),
    ],
)
def test_a_shell_counts_seconds_as_dockers_time_says(shell, text, seconds):
    program = transfer.program(["common", "health"], {"code": "a-b"}) + f"\nepoch {text}"
    done = subprocess.run([*shell, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == seconds


@SHELLS
@table(
    ("runs", "label", "outcome"),
    [
        ("2026-10-25T01:05:00Z", "2026-10-25T00:55:00Z", "::w end overtaken 2 2026-10-25T01:05:00Z"),
        ("2026-10-25T01:05:00Z", "2026-10-25T00:55:00.123Z", "::w end overtaken 2 2026-10-25T01:05:00Z"),
        ("2026-10-25T00:55:00Z", "2026-10-25T01:05:00Z", "deploys 2026-10-25T01:05:00Z"),
        ("2026-10-25T00:55:00Z", "2026-10-25T00:55:00Z", "deploys 2026-10-25T00:55:00Z"),
        ("", "2026-10-25T00:55:00Z", "deploys 2026-10-25T00:55:00Z"),
        ("2026-10-25T01:05:00Z", "", "deploys"),
        ("2026-10-25T01:05:00Z", "yesterday", "deploys"),
    ],
)
def test_only_a_known_earlier_age_is_overtaken(shell, runs, label, outcome, tmp_path):
    (tmp_path / "releases" / "2").mkdir(parents=True, exist_ok=True)
    (tmp_path / "releases" / ".current").write_text("2\n")
    (tmp_path / "releases" / "2" / "release.json").write_text(json.dumps({"created": runs}) + "\n")
    (tmp_path / "release.json").write_text("{}\n")
    values = {"word": "w", "keep_newer": True, "pulled": False, "created": "", "label": json.dumps(label), "stage": "."}
    program = transfer.program(["common", "deploy"], values).rpartition("\ndeploy\n")[0]
    program += '\nwork=.\nlearn_age\necho deploys "$created"'
    done = subprocess.run([*shell, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == outcome


@SHELLS
@table(
    ("tasks", "looks"),
    [
        (["one", "one"], 2),
        (["one", "two", "two", "two"], 4),
        (["one", "two", "three", "three", "three"], 5),
    ],
)
def test_each_new_task_of_swarm_settles_anew(shell, tasks, looks, tmp_path):
    """Each line is the running task that one look sees; all replicas always run."""
    (tmp_path / "tasks").write_text("".join(f"{task} Running Running 1 second ago\n" for task in tasks))
    (tmp_path / "looks").write_text("")
    values = {"word": "w", "code": "a-b", "services": "a-b", "settle": 1, "timeout": 60}
    program = (
        transfer.program(["common", "swarm"], values)
        + """
sleep() { :; }
dock() {
    case $* in
    "service ls "*) echo a-b_a-b 1/1 ;;
    "service ps "*) echo >>looks && sed -n "$(wc -l <looks | tr -d ' ')p" tasks ;;
    esac
}
healthy && wc -l <looks
"""
    )
    done = subprocess.run([*shell, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert int(done.stdout.split()[-1]) == looks


@SHELLS
def test_a_missing_lock_file_prints_no_error(shell):
    program = transfer.program(["common"], {"code": "a-b"}) + "\nlock_holder /nowhere/.given-up"
    done = subprocess.run([*shell, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_bundle_keeps_file_modes_and_parent_folders():
    data = transfer.bundle(
        [
            File(".env", b"A=1\n", 0o600),
            File("a", None, 0o755),
            File("a/b", None, 0o700),
            File("a/b/c.sh", b"x", 0o755),
        ]
    )
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [(one.name, oct(one.mode)) for one in archive] == [
            (".env", "0o600"),
            ("a", "0o755"),
            ("a/b", "0o700"),
            ("a/b/c.sh", "0o755"),
        ]


def test_ssh_never_prompts_and_verifies_hosts_by_default():
    command = Access().command(Target("web-1", "deploy", 2222))
    assert "StrictHostKeyChecking=yes" in command
    assert "BatchMode=yes" in command
    assert command[-6:-1] == ["2222", "-l", "deploy", "--", "web-1"]
    assert "StrictHostKeyChecking=accept-new" in Access(accept_new=True).command(Target("web-1"))


@table(
    ("registry", "key"),
    [
        ("docker.io/team", "https://index.docker.io/v1/"),
        ("index.docker.io/team", "https://index.docker.io/v1/"),
        ("registry-1.docker.io/team", "registry-1.docker.io"),
        ("r.example:5000/team", "r.example:5000"),
    ],
)
def test_login_uses_the_key_docker_looks_up(registry, key):
    access = RegistryAccess("production", Registry(registry), "ann", Secret("p"))
    assert list(json.loads(deploy.login(access).reveal())["auths"]) == [key]


@table(
    ("registry", "repository", "api", "path", "familiar"),
    [
        ("docker.io/team", "code", "registry-1.docker.io", "team/code", "team/code"),
        ("docker.io", "team/code", "registry-1.docker.io", "team/code", "team/code"),
        ("index.docker.io", "code", "registry-1.docker.io", "library/code", "code"),
        (
            "registry.hub.docker.com/team",
            "code",
            "registry-1.docker.io",
            "team/code",
            "registry.hub.docker.com/team/code",
        ),
        ("r.example/team", "code", "r.example", "team/code", "r.example/team/code"),
    ],
)
def test_docker_hub_uses_separate_api_and_engine_names(registry, repository, api, path, familiar):
    image = ImageRef(Registry(registry), Repository(repository), "1")
    assert (image.registry.api_host, image.registry.within(image.repository), image.familiar) == (api, path, familiar)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("start boom", "log in with `ssh web-1`"),
        ("start no space left", "df -h"),
        ("start port is already allocated", "restart Docker"),
    ],
)
def test_after_a_failed_rollback_commands_fit_the_reason(why: str, words: str):
    error = reasons.explain(Target("web-1"), "broken", f"down|7|web unhealthy|{why}", {}, [], [])
    assert words in str(error and error.hint)
    assert "rollback --server web-1 --version 7" in str(error and error.hint)


@table(
    ("answers", "back"),
    [
        ([("rolled-back", {"version": "20260101000000", "former": "20260101000000"})], "20260101000000"),
        ([("refused", {"former": "20260101000000"})], "20260101000000"),
        ([("refused", {"former": "20260101000000"}), ("rolled-back", {"version": "20260201000000"})], "20260201000000"),
        ([("refused", {"former": "20260101000000"}), ("ok", {"version": "20260301000000"})], ""),
        ([("refused", {"former": "20260301000000"})], ""),
        ([("refused", {})], ""),
        ([("rolled-back", {"version": "found-20260101000000"})], ""),
        ([("overtaken", {"version": "20260401000000", "former": "20260401000000"})], ""),
    ],
)
def test_latest_that_no_server_runs_is_told(tmp_path, answers, back):
    failed = [
        Answer(Target("web-1"), status, facts=facts, error=None if status == "ok" else ServerError("boom", "look"))
        for status, facts in answers
    ]
    with pytest.raises(PipelineError) as told:
        rollout.report(promoting(tmp_path), failed, "20260301000000", promoted=True)
    # The error's hint is the last that is printed.
    assert ("no server runs 20260301000000" in told.value.hint) == bool(back)
    assert (f"promote --version {back} --force-latest" in told.value.hint) == bool(back)


@table(
    ("status", "now", "told"),
    [
        (
            "ok",
            "20260201000000",
            "if `latest` in production names 20260301000000, `container-pipeline promote --version 20260201000000",
        ),
        ("ok", "found-20260101000000", ""),
        ("ok", "20260301000000", ""),
        ("refused", "20260201000000", ""),
    ],
)
def test_a_rollback_says_how_latest_follows(tmp_path, capsys, status, now, told):
    rollout.tell_latest(
        promoting(tmp_path), [Answer(Target("web-1"), status, facts={"former": "20260301000000", "version": now})]
    )
    shown = capsys.readouterr().err
    assert told in shown if told else shown == ""


def promoting(tmp_path: Path) -> Run:
    (tmp_path / "container-pipeline.yml").write_text("code: a-b\n")
    return Run(load(tmp_path, {}, "", {"DOCKER_REGISTRY_PROD": "prod.example"}), Console(), Result("deploy", "a-b"))


ALLOCATED = "Bind for 0.0.0.0:8080 failed: port is already allocated"


def told_of(status: str, rest: str, *details: str, action: str = "deploy") -> PipelineError:
    error = reasons.explain(Target("web-1"), status, rest, {"action": action}, [], details)
    assert error
    return error


@table("why", [ALLOCATED, "listen tcp4 0.0.0.0:8080: bind: address already in use"])
@table(
    ("status", "rest"),
    [
        ("taken-down", "start {}"),
        ("rolled-back", "start {}|1"),
        ("refused", "command {}"),
        ("broken", "down|1|x|start {}"),
    ],
)
def test_a_taken_port_names_the_command_to_run(status: str, rest: str, why: str):
    assert (
        "find what holds the port with `ssh web-1 'docker ps; ss -ltnp'`" in told_of(status, rest.format(why), "x").hint
    )


def test_a_service_that_never_started_has_no_lines():
    assert told_of("taken-down", "start boom", "out").hint == "the output is above"
    assert told_of("taken-down", "start boom").hint == ""
    assert told_of("rolled-back", "start boom|1").hint == "nothing needs to be done on the server"
    assert told_of("taken-down", "web unhealthy", "out").hint == "the service's last lines are above"


def test_a_failed_rollback_is_called_a_rollback():
    assert (
        "the rollback failed, and release 2 runs again"
        in told_of("rolled-back", "a unhealthy|2", action="rollback").message
    )
    assert (
        "the rollback failed (a is unhealthy)"
        in told_of("broken", "down|1|a unhealthy|docker", action="rollback").message
    )
    assert "the deploy failed" in told_of("broken", "down|1|a unhealthy|docker").message
    assert "an earlier deploy and its rollback failed" in reasons.news("recovered", "broken")


def test_a_page_in_html_is_not_quoted():
    assert reasons.health("a check /health 404 <!doctype html>") == "a responds to GET /health with 404"
    assert reasons.health("a check /health 500 no database").endswith("with 500: no database")


def test_refusals_lead_to_commands_that_were_not_typed():
    error = told_of("overtaken", "2 2026-11-24T09:30:15Z")
    assert local_time("2026-11-24T09:30:15Z") in error.message
    assert "without --keep-newer" in error.hint
    assert "`container-pipeline history` shows how its deploys ended" in told_of("refused", "no-release 3 2 1").hint
