"""Programs, webhooks and files that never end, lie or lead elsewhere cause one sentence, and leave nothing running."""

from __future__ import annotations

import io
import json
import subprocess
import time
from pathlib import Path

import pytest

from container_pipeline.__main__ import main
from container_pipeline.clients import answers, buildkit, children, git, jenkins_wire, notify, script
from container_pipeline.clients.buildkit import BuildKit, PlainLog
from container_pipeline.clients.jenkins import Controller
from container_pipeline.console import Console
from container_pipeline.errors import JenkinsError, PipelineError, SettingsError
from container_pipeline.model import Code, ImageRef, JenkinsAccess, Registry, Repository, Secret
from container_pipeline.plan import composefile
from container_pipeline.plan import run as run_plan
from container_pipeline.project import state
from unit.table import table
from unit.test_linters import _group
from unit.test_lying_registry import answer, chunk, flood, liar

SWITCH = Path(__file__).parents[2] / "agent/container_pipeline/remote/programs/switch.sh"


def slowly(head: bytes):
    yield head
    while True:
        time.sleep(0.05)
        yield b" "


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho $$ >>{folder}/groups\n{body}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def nothing_left(folder: Path) -> bool:
    groups = set(map(int, (folder / "groups").read_text().split()))
    for _turn in range(100):  # the system takes a moment to bury them
        if not any(_group(stat) in groups for stat in Path("/proc").glob("[0-9]*/stat")):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("body", ["sleep 600 & sleep 600", "yes"], ids=["hangs", "floods"])
def test_git_docker_and_shell_timeouts_kill_their_children(tmp_path, monkeypatch, body):
    for module in (git, buildkit):
        monkeypatch.setattr(module, "_TIMEOUT", 0.15, raising=False)
    monkeypatch.setattr(children, "TIMEOUT", 0.15)
    (tmp_path / "groups").touch()
    for name in ("git", "docker", "shfmt", "sh-like"):
        program(tmp_path, monkeypatch, name, body)
    begun = time.monotonic()
    assert git.sources(tmp_path, tmp_path / "Dockerfile").url == ""
    assert BuildKit.find(Console(stream=io.StringIO())) is None
    assert script.statements("a") == []
    assert script.parses("a", "sh-like")
    assert nothing_left(tmp_path)
    assert time.monotonic() - begun < 60


def test_tree_without_git_status_is_not_considered_clean(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "a").write_text("a")
    (tmp_path / "Dockerfile").write_text("FROM a")
    commit = ["-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-qm", "a"]
    for words in (["add", "."], commit):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    bin_ = tmp_path.parent / "bin"
    bin_.mkdir()
    program(bin_, monkeypatch, "git", 'case "$*" in *status*) exit 1 ;; esac; exec /usr/bin/git "$@"')
    before = git.sources(tmp_path, tmp_path / "Dockerfile").fingerprint
    (tmp_path / "a").write_text("another text")
    assert git.sources(tmp_path, tmp_path / "Dockerfile").fingerprint != before


def test_steps_and_lines_of_buildkit_are_bounded():
    log = PlainLog(Console(stream=io.StringIO(), out=io.StringIO()))
    for number in range(5000):
        log.see(f"#{number} [1/2] RUN {'x' * 1000}")
        log.see(f"#{number} 0.1 out")
    assert len(log._names) <= 2000
    assert len(log._lines) <= 2000
    log.see("ERROR: " + "x" * 1_000_000)
    assert len(log.error(1).message) < 3000


HELLO = notify.ChatText("hello", "", "hello")


@pytest.mark.parametrize("name", ["flood", "trickle", "trickle of a head", "gzip"])
def test_a_webhook_that_never_ends_is_one_sentence(monkeypatch, name):
    monkeypatch.setattr(notify, "TIMEOUT", 0.2)
    lie = {
        "flood": flood(chunk(b"x" * 65536)),
        "trickle": slowly(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
        "trickle of a head": slowly(b"HTTP/1.1 200 OK\r\nX: "),
        "gzip": answer(b"x", "Content-Encoding: gzip"),
    }[name]
    begun = time.monotonic()
    refused = pytest.raises(PipelineError, match=r"webhook at 127\.0\.0\.1 cannot be reached")
    with liar(lambda _method, _path: lie) as address, refused as caught:
        notify.send(Secret(f"http://{address}/token-in-it"), HELLO)
    assert "token-in-it" not in str(caught.value)
    assert time.monotonic() - begun < 30


def test_deeply_nested_webhook_response_does_not_fail_notification():
    with liar(lambda _method, _path: answer("[" * 30_000)) as address:
        notify.send(Secret(f"http://{address}/"), HELLO)


@table("address", ["http://[x", "https://a:99999999/", "http://a:x/", "http://\u2100/", "ftp://x", ""])
def test_an_address_that_is_none_is_one_sentence(address):
    with pytest.raises(PipelineError, match="the webhook's address is not an http address"):
        notify.send(Secret(address), HELLO)


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100000\r\n\r\n", b"Connection: close\r\n\r\n", b"X: "],
    ids=["length", "no length", "head"],
)
def test_a_trickle_from_jenkins_is_ended(monkeypatch, head):
    monkeypatch.setattr(jenkins_wire, "WHOLE", 0.2)
    begun = time.monotonic()
    with (
        liar(lambda _method, _path: slowly(b"HTTP/1.1 200 OK\r\n" + head)) as address,
        pytest.raises(JenkinsError, match="its response does not end"),
    ):
        Controller(JenkinsAccess(f"http://{address}")).config("x")
    assert time.monotonic() - begun < 20
    assert issubclass(answers.UnboundedError, OSError)


@table("wishes", ["[" * 100_000, "{", "[]", "7", '{"promote":7}', '{"deploy":"x"}', '{"approve":[]}', '{"environments":7}'])  # fmt: skip
def test_wishes_of_another_shape_are_one_sentence(tmp_path, capsys, wishes):
    assert main(["stages", "--wishes", wishes, "--project", str(tmp_path), "--code", "x"]) == 1
    err = capsys.readouterr().err
    assert "unexpected" not in err
    assert "Traceback" not in err


def test_a_reservation_follows_no_link(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert state.reserve("x", "1")
    assert not state.reserve("x", "1")
    assert state.reserve("x", "2")
    (kept,) = (tmp_path / "container-pipeline/versions").iterdir()
    assert kept.read_text() == "2"
    precious = tmp_path / "precious"
    precious.write_text("mine")
    kept.unlink()
    kept.symlink_to(precious)
    assert state.reserve("x", "3")
    assert precious.read_text() == "mine"


@table(
    "given",
    [{"environment": 7}, {"environment": True}, {"environment": {"A": [1]}}, {"environment": {"A": {"b": 1}}}, {"environment": [{"A": 1}]},
     {"environment": [None]}, {"volumes": 7}, {"volumes": True}, {"volumes": {"a": "b"}}, {"volumes": [None]}, {"volumes": 1.5},
     {"ports": True}, {"ports": [{}]}, {"ports": {}}],
)  # fmt: skip
def test_run_key_of_wrong_type_gives_one_error(given):
    with pytest.raises(SettingsError, match=r"must be (a|text)"):
        run_plan.options(given, {}, Path(), {})


@table("value", [7, True, "A=b", 1.5])
def test_an_environment_of_another_type_is_named(value):
    image = ImageRef(Registry("r.example"), Repository("x"), "1")
    text = json.dumps({"services": {"x": {"image": str(image), "environment": value}}})
    with pytest.raises(SettingsError, match=r"docker-compose\.yml: environment of service x must be"):
        composefile.read(text.encode(), "docker-compose.yml", Code("x"), image, {})


ADVICE = (
    "\nYou might be seeing this error because you're …\nFor more on the Compose file format versions, see https://…\n"
)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (f"The Compose file is invalid because:\n'name' does not match\n{ADVICE}", "'name' does not match"),
        ('while scanning\nfound character\r\n  in "./f.yml", line 6\n', 'found character  in "./f.yml", line 6'),
        ("first\nsecond\n\n", "second"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_the_reason_of_compose_v1_is_shown(tmp_path, shell, output, reason):
    (tmp_path / "out").write_text(output)
    common = SWITCH.with_name("common.sh").read_text().partition("\nlast_line() {")[2].partition("\n}\n")[0]
    command = f"last_line() {{{common}\n}}\nlast_line {tmp_path}/out"
    words = [shell, "sh", "-c"] if shell == "busybox" else [shell, "-c"]
    done = subprocess.run([*words, command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == reason


@table(("names", "found"), [("[team/code:1]", 0), ("[r/x:1 team/code:1]", 0), ("[team/code:2]", 1), ("[]", 1)])
def test_server_finds_the_tag_by_familiar_name(names, found):
    values = f"image=docker.io/team/code familiar=team/code version=1 found='sha256:a {names}'"
    assert subprocess.run(["sh", "-c", f". '{SWITCH}'; {values}; tagged"], check=False).returncode == found
