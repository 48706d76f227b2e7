"""Messages to a chat: their text, their form for each chat, their signature, and what they must not say."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from container_pipeline.clients import git, notify
from container_pipeline.clients.notify import ChatText
from container_pipeline.commands.library.report import report
from container_pipeline.console import Console
from container_pipeline.errors import LockedError, PipelineError, SettingsError, Stopped
from container_pipeline.execute import Run, notice
from container_pipeline.model import Secret, Target
from container_pipeline.plan.message import COMMITS, harmless, message
from container_pipeline.remote.fleet import Answer
from container_pipeline.result import Result
from container_pipeline.settings import load
from lab.chat import chat
from unit.table import table

GOOD = {
    "command": "deploy",
    "code": "a-b",
    "version": "20261124093015",
    "steps": [{"name": "pull", "status": "ok", "seconds": 63.0}],
    "servers": [{"name": "web-1", "status": "ok", "version": "20261124093015", "former": "20261123080000"}],
    "error": None,
    "environment": "prod",
    "approved_by": "ann",
    "commits": [{"revision": "abc1234", "author": "Ann", "subject": "Add a cart"}],
}
BAD = {**GOOD, "command": "promote", "servers": [], "error": {"message": "it broke", "category": "registry"}}
OVERTAKEN = {**GOOD, "error": {"message": "a newer one runs", "category": "overtaken"}}
URL = "https://jenkins.example/job/a/1/"
TEXT = ChatText("title", "- **A**: b & c\n[x](https://x)", "plain")


def test_a_message_says_what_ran_where_and_why():
    told = message([GOOD], URL)
    assert (told.event, told.title) == ("success", "✔ a-b 20261124093015: deploy")
    assert told.facts == (
        ("Environment", "prod"),
        ("Servers", "web-1"),
        ("Before", "20261123080000"),
        ("Approved by", "ann"),
        ("Duration", "63 s"),
    )
    assert told.commits == ("Add a cart (Ann)",)
    assert f"[{URL}]({URL})" in told.markdown()
    assert "- **Environment**: prod" in told.markdown()
    assert told.plain().splitlines()[-1] == URL


@table(
    ("results", "more", "event", "title"),
    [
        ([GOOD], {}, "success", "✔ a-b 20261124093015: deploy"),
        ([GOOD], {"failed_before": True}, "fixed", "✔ a-b 20261124093015 works again: deploy"),
        ([GOOD, BAD], {"failed_before": True}, "failure", "✘ a-b 20261124093015: promote failed: it broke"),
        ([GOOD], {"unfinished": "Approve"}, "failure", "✘ a-b 20261124093015: stopped in Approve"),
        ([OVERTAKEN], {}, "success", "– a-b 20261124093015: a newer one runs"),
        ([GOOD], {"question": "Go?"}, "question", "❓ a-b 20261124093015: Go?"),
    ],
)
def test_each_ending_has_its_event(results, more, event, title):
    told = message(results, URL, **more)
    assert (told.event, told.title) == (event, title)
    assert told.link == (f"{URL}input/" if event == "question" else URL)


def test_only_so_many_commits_are_listed():
    many = [{"subject": f"change {number}", "author": "Ann"} for number in range(COMMITS + 5)]
    told = message([{**GOOD, "commits": many}])
    assert len(told.commits) == COMMITS + 1
    assert told.commits[-1] == "… and 5 more"


@table(
    ("subject", "secret"),
    [
        ("Use https://ann:hunter2@git.example/x", "hunter2"),
        ("set password=hunter2 for now", "hunter2"),
        ("DB_PASSWORD: hunter2", "hunter2"),
        ("the token is hunter2", "hunter2"),
        ("密码：hunter2", "hunter2"),
        ("add ghp_abcdefghijklmnop1234", "ghp_abcdefghijklmnop1234"),
        ("key AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
        ("robot SEC0123456789abcdef0123456789abcdef", "SEC0123456789abcdef0123456789abcdef"),
    ],
)
def test_a_secret_in_a_subject_is_not_told(subject, secret):
    told = message([{**GOOD, "commits": [{"subject": subject, "author": "Ann"}]}])
    assert secret not in told.markdown() + told.plain()
    assert "***" in told.commits[0]


@pytest.mark.parametrize("subject", ["Fix the password field", "Rotate tokens", "Add a secret santa page"])
def test_a_word_that_sounds_secret_is_told(subject):
    assert harmless(subject) == subject


@table("text", ["[free](https://evil)", "<at id=all></at>", "<!channel>", "<@U123>", "`x`", "a\nb"])
def test_a_subject_calls_nobody_and_links_nowhere(text):
    assert not re.search(r"\]\(|[<>`\n]", harmless(text))


@table(
    ("kind", "mention", "body"),
    [
        (
            "dingtalk",
            ["13800000000", "all"],
            {
                "msgtype": "markdown",
                "markdown": {"title": "title", "text": "### title\n\n- **A**: b & c\n[x](https://x)\n\n@13800000000"},
                "at": {"atMobiles": ["13800000000"], "isAtAll": True},
            },
        ),
        ("wecom", [], {"msgtype": "markdown", "markdown": {"content": "**title**\n- **A**: b & c\n[x](https://x)"}}),
        (
            "wecom",
            ["13800000000", "all"],
            {"msgtype": "text", "text": {"content": "plain", "mentioned_mobile_list": ["13800000000", "@all"]}},
        ),
        (
            "feishu",
            ["ou_1a2b3c"],
            {
                "msg_type": "interactive",
                "card": {
                    "header": {"title": {"tag": "plain_text", "content": "title"}, "template": "green"},
                    "elements": [
                        {"tag": "markdown", "content": "- **A**: b & c\n[x](https://x)\n<at id=ou_1a2b3c></at>"}
                    ],
                },
            },
        ),
        ("slack", ["U123456", "all"], {"text": "*title*\n- *A*: b &amp; c\n<https://x|x>\n<@U123456> <!channel>"}),
    ],
)
def test_each_chat_gets_its_own_form(kind, mention, body):
    assert notify.payload(kind, TEXT, mention) == body


def test_a_long_message_fits_into_wecom():
    body = notify.payload("wecom", ChatText("title", "\n".join(["更改" * 40] * 100), ""))
    assert len(body["markdown"]["content"].encode()) <= 4096
    assert body["markdown"]["content"].endswith("\n…")


@pytest.mark.parametrize("kind", ["dingtalk", "feishu"])
def test_a_robot_accepts_the_signature_it_documents(kind):
    with chat(kind, "SEC+/=secret") as robot:
        notify.send(Secret(robot.address), TEXT, kind, secret=Secret("SEC+/=secret"))
        assert (len(robot.told), robot.refused) == (1, 0)
        assert "title" in robot.text


@table("kind", ["dingtalk", "feishu"])
@table("secret", ["", "another"])
def test_a_robot_refuses_a_wrong_or_missing_signature(kind, secret):
    with chat(kind, "SECsecret") as robot:
        with pytest.raises(PipelineError, match=r"webhook at 127\.0\.0\.1 refused the message: sign") as caught:
            notify.send(Secret(robot.address), TEXT, kind, secret=Secret(secret))
        assert (robot.told, robot.refused) == ([], 1)
    assert "canary" not in caught.value.message


def test_a_chat_without_signatures_refuses_a_secret():
    with pytest.raises(PipelineError, match="a webhook of format slack takes no signing secret"):
        notify.send(Secret("http://127.0.0.1:9/"), TEXT, "slack", secret=Secret("x"))


def run_with(folder: Path, environ: dict[str, str], text: str = "code: a-b\n") -> Run:
    (folder / "container-pipeline.yml").write_text(text)
    run = Run(load(folder, {}, "", environ), Console(), Result("deploy", "a-b"))
    run.console.redact.add(run.settings.passwords())
    return run


@pytest.mark.parametrize("fault", ["down", "slow", "refuses", "fails"])
def test_what_the_chat_does_never_changes_the_result(tmp_path, monkeypatch, capsys, fault):
    monkeypatch.setattr(notify, "TIMEOUT", 0.3)
    kinds = {"slow": {"seconds": 30.0}, "refuses": {"secret": "x"}, "fails": {"status": 500}}
    with chat("dingtalk", **kinds.get(fault, {})) as robot:
        address = "http://127.0.0.1:9/robot/token-canary" if fault == "down" else robot.address
        run = run_with(tmp_path, {"CONTAINER_PIPELINE_WEBHOOK": address}, "notify: {format: dingtalk}\ncode: a-b\n")
        with notice.told(run):
            pass
        with pytest.raises(LockedError), notice.told(run):
            raise LockedError("held")
    told = capsys.readouterr().err
    assert told.count("warning: the notification failed: webhook at 127.0.0.1") == 2
    assert "canary" not in told


def test_a_signal_while_a_chat_waits_ends_it(tmp_path, monkeypatch):
    def terminated(*_given: object, **_more: object) -> None:
        raise Stopped("terminated", 143)

    monkeypatch.setattr(notify, "send", terminated)
    run = run_with(tmp_path, {"CONTAINER_PIPELINE_WEBHOOK": "http://127.0.0.1:9/"})
    with pytest.raises(Stopped), notice.told(run):
        pass


@pytest.mark.parametrize("error", [SettingsError("no server is set"), LockedError("held")])
def test_what_never_began_is_not_told(tmp_path, error):
    with chat() as robot:
        run = run_with(tmp_path, {"CONTAINER_PIPELINE_WEBHOOK": robot.address})
        with pytest.raises(type(error)), notice.told(run):
            raise error
        assert len(robot.told) == (0 if isinstance(error, SettingsError) else 1)


def reported(tmp_path: Path, robot, text: str, story: dict, environ: dict[str, str] | None = None) -> Run:
    """Run the library's command `report` with ``story`` in a project with this container-pipeline.yml."""
    (tmp_path / "results.json").write_text(json.dumps(story))
    given = {"CONTAINER_PIPELINE_WEBHOOK": robot.address, "BUILD_URL": URL, "CONTAINER_PIPELINE_START": "x"}
    run = run_with(tmp_path, {**given, **(environ or {})}, text)
    report(run, tmp_path / "results.json")
    return run


@pytest.mark.parametrize(
    ("on", "told"),
    [
        ("", ["failure", "fixed", "question"]),
        ("on: success", ["success"]),
        ("on: [failure, success]", ["failure", "success"]),
    ],
)
def test_on_decides_what_is_told(tmp_path, monkeypatch, on, told):
    monkeypatch.chdir(tmp_path)
    stories = {
        "failure": {"results": [BAD]},
        "fixed": {"results": [GOOD], "failed_before": True},
        "question": {"results": [GOOD], "question": "Go?"},
        "success": {"results": [GOOD]},
    }
    with chat() as robot:
        heard = []
        for event, story in stories.items():
            reported(tmp_path, robot, f"code: a-b\nnotify: {{{on}}}\n", story)
            heard += [event] * len(robot.told)
            robot.told.clear()
    assert heard == told


def test_a_question_writes_no_page_and_links_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "code: a-b\nnotify: {format: dingtalk, mention: 13800000000}\n"
    with chat("dingtalk", "SECx") as robot:
        story = {"results": [GOOD], "question": "Go?"}
        run = reported(tmp_path, robot, text, story, {"CONTAINER_PIPELINE_WEBHOOK_SECRET": "SECx"})
        assert robot.refused == 0
        (body,) = robot.told
    assert "files" not in run.result.as_dict()
    assert f"({URL}input/)" in body["markdown"]["text"]
    assert body["at"]["atMobiles"] == ["13800000000"]


def test_known_secrets_are_removed_from_every_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commits = [{"subject": "try reg-pass-1 and token-canary", "author": "Ann"}]
    environ = {"DOCKER_REGISTRY": "dev.example", "DOCKER_REGISTRY_USER": "u", "DOCKER_REGISTRY_PASS": "reg-pass-1"}
    with chat() as robot:
        reported(tmp_path, robot, "code: a-b\n", {"results": [{**BAD, "commits": commits}]}, environ)
        assert "try *** and ***" in robot.text


def repository(folder: Path) -> list[str]:
    """Make a repository with three commits, and return their revisions."""

    def run(*words: str) -> str:
        names = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        done = subprocess.run(["git", "-C", str(folder), *names, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    run("init", "-q")
    revisions = []
    for subject in ("one", "two\twith a tab", "use hunter-two-22"):
        (folder / "a").write_text(subject)
        run("add", "a")
        run("commit", "-qm", subject)
        revisions.append(run("rev-parse", "HEAD"))
    return revisions


def test_git_lists_the_commits_between_two_releases(tmp_path):
    first, _second, third = repository(tmp_path)
    found = git.commits(tmp_path, first, third)
    assert [(one["subject"], one["author"]) for one in found] == [
        ("use hunter-two-22", "Ann"),
        ("two\twith a tab", "Ann"),
    ]
    assert git.commits(tmp_path, third, first) == []
    assert len(git.commits(tmp_path, "", "HEAD")) == 3
    for since in ("--all", "0" * 40, "HEAD"):
        assert git.commits(tmp_path, since, third) == []


def test_values_of_the_service_are_secrets_in_commits(tmp_path):
    first, _second, third = repository(tmp_path)
    (tmp_path / ".env").write_text("DB_PASSWORD=hunter-two-22\nENV=prod\n")
    run = run_with(tmp_path, {"CONTAINER_PIPELINE_WEBHOOK": "http://127.0.0.1:9/"})

    notice.add_commits(run, [Answer(Target("web-1"), facts={"former_commit": first})], third)
    assert run.result.as_dict()["commits"][0]["subject"] == "use ***"


@table(
    ("text", "sentence"),
    [
        ("{mention: bob}", "notify.mention .* cannot be 'bob'|notify .*mention cannot be 'bob'"),
        ("{format: teams}", "format is 'teams'"),
        ("{on: always}", "on is 'always'"),
        ("{channel: x}", "unknown key 'channel'"),
    ],
)
def test_bad_values_of_notify_are_refused(tmp_path, text, sentence):
    (tmp_path / "container-pipeline.yml").write_text(f"code: a-b\nnotify: {text}\n")
    with pytest.raises(SettingsError, match=sentence):
        load(tmp_path, {}, "", {})


def test_sources_of_notify_add_up(tmp_path):
    environ = {
        "CONTAINER_PIPELINE_DEFAULT_NOTIFY": '{"format": "feishu"}',
        "CONTAINER_PIPELINE_NOTIFY": '{"credentials": "hook", "mention": [13800000000]}',
    }
    (tmp_path / "container-pipeline.yml").write_text("code: a-b\nnotify: {on: failure}\n")
    assert load(tmp_path, {}, "", environ).values.notify == {
        "format": "feishu",
        "on": ("failure",),
        "credentials": "hook",
        "mention": ("13800000000",),
    }
