"""The archived page, and the message to a webhook."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pytest
import responses

from container_pipeline.clients import notify
from container_pipeline.commands.library.report import report
from container_pipeline.console import Console
from container_pipeline.errors import PipelineError
from container_pipeline.execute import Run
from container_pipeline.model import Secret
from container_pipeline.plan.page import GREEN, RED
from container_pipeline.plan.report import LABELS, BuildOrigin, html
from container_pipeline.result import Result
from container_pipeline.settings import load

GOOD = {
    "command": "deploy",
    "ok": True,
    "code": "a-b",
    "version": "20261124093015",
    "digest": "sha256:" + "a" * 64,
    "steps": [{"name": "pull", "status": "ok", "seconds": 3.0}, {"name": "start", "status": "ok", "seconds": 1.5}],
    "servers": [
        {"name": "web-1", "status": "ok", "version": "20261124093015", "error": "", "former": "20261123080000"}
    ],
    "error": None,
    "revision": "abc123",
    "size": 12_345_678,
    "published": ["prod.example/a-b:20261124093015"],
}
BAD = {
    **GOOD,
    "ok": False,
    "steps": [{"name": "build <it>", "status": "failed", "seconds": 0.1}],
    "servers": [],
    "error": {"message": "it <broke>", "hint": "mend it", "details": ["line & one", "line two"]},
}
BUILD_URL = "https://jenkins.example/job/a/1/"
ORIGIN = BuildOrigin(BUILD_URL, "release/1", "ann", "2026-11-27 09:30:15 +0800")
HOOK = "https://oapi.dingtalk.com/robot/send?access_token=t0ken"


def plain(page: str) -> str:
    """What a person reads of a page."""
    return unescape(re.sub(r"<[^>]+>", "", page.replace("<wbr>", "")))


def test_page_shows_what_was_built_and_where_deployed():
    page = plain(html([GOOD], ORIGIN))
    for text in (
        "✔ a-b 20261124093015 runs on 已运行在 web-1",
        "Before 之前的版本20261123080000",
        "Who 触发者ann",
        "Branch 分支release/1",
        "When 时间2026-11-27 09:30:15 +0800",
        "How long 耗时4.5 s",
        "sha256:aaa",
        "abc123",
        "12.3 MB",
        "prod.example/a-b:20261124093015",
        "https://jenkins.example/job/a/1/",
        "deploy: pull",
    ):
        assert text in page
    assert '<a href="https://jenkins.example/job/a/1/">' in html([GOOD], ORIGIN)


def test_the_page_is_in_both_languages():
    page = html([GOOD], ORIGIN)
    assert "Version 版本" in page
    assert all(re.search("[\u4e00-\u9fff]", chinese) for chinese in LABELS.values())


def test_the_page_needs_nothing_that_jenkins_policy_refuses():
    page = html([GOOD, BAD], ORIGIN)
    assert not re.search(r"<script|<style|style=|onload|<img|<link|src=|javascript:", page)


def test_page_starts_with_the_verdict_and_its_colour():
    for results, colour, sentence in (
        ([GOOD], GREEN, "✔ a-b 20261124093015 runs on 已运行在 web-1"),
        ([{**GOOD, "servers": []}], GREEN, "✔ a-b 20261124093015 is done 已完成"),
        ([GOOD, BAD], RED, "✘ a-b 20261124093015: deploy failed 失败"),
    ):
        body = html(results, ORIGIN).partition("<body")[2]
        assert f'<td bgcolor="{colour}">' in body.partition("</table>")[0]
        assert plain(body).partition(">")[2].strip().startswith(sentence)


def test_failure_shows_error_hint_and_escaped_log():
    page = html([BAD], ORIGIN)
    assert "it &lt;broke&gt;" in page
    assert "mend it" in plain(page)
    assert "line &amp; one<br>\nline two" in page
    assert "build &lt;it&gt;" in page
    assert "javascript:" not in html([GOOD], BuildOrigin("javascript:alert(1)"))


def test_each_failed_server_shows_its_error_and_hint():
    servers = [
        {"name": "web-1", "status": "broken", "error": "web-1: the service is down", "hint": "look there"},
        {"name": "web-2", "status": "ok", "error": "", "hint": ""},
    ]
    page = plain(html([{**BAD, "servers": servers}], ORIGIN))
    assert "web-1: the service is down" in page
    assert "What to do 怎么办: look there" in page


def test_bars_show_step_duration_and_failures_in_red():
    page = html([GOOD, BAD], ORIGIN)
    widths = [
        int(width)
        for width in re.findall(r'<rect [^>]*width="(\d+)"|<rect width="(\d+)"', page)
        for width in width
        if width
    ]
    assert widths[0] == 2 * widths[1]
    assert f'fill="{RED}"' in page.rpartition("build")[2]


@pytest.mark.parametrize(
    "answer",
    [{"status": 500}, {"json": {"errcode": 310000}}, {"status": 302, "headers": {"Location": "https://evil.example"}}],
)
@responses.activate
def test_refused_message_error_does_not_show_the_address(answer):
    responses.post(HOOK, **answer)
    with pytest.raises(PipelineError) as caught:
        notify.send(Secret(HOOK), notify.ChatText("hi", "", "hi"))
    assert "oapi.dingtalk.com" in caught.value.message
    assert "t0ken" not in caught.value.message
    assert len(responses.calls) == 1


def test_page_redacts_a_secret_that_html_escapes(tmp_path: Path):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"results": [{**BAD, "error": {**BAD["error"], "details": ['it was p"w<s>']}}]}))
    run = Run(load(tmp_path, {"code": "a-b"}, "", {}), Console(), Result("report"))
    run.console.redact.add([Secret('p"w<s>')])
    report(run, results)
    assert "it was ***" in (tmp_path / "container-pipeline-a-b.html").read_text()


@responses.activate
def test_a_notification_that_fails_is_only_a_warning(tmp_path: Path, capsys, monkeypatch):
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"results": [GOOD]}))
    monkeypatch.setenv("CONTAINER_PIPELINE_WEBHOOK", HOOK)
    monkeypatch.setenv("CONTAINER_PIPELINE_NOTIFY", '{"on": ["success"]}')
    run = Run(load(tmp_path, {"code": "a-b"}), Console(), Result("report"))
    report(run, results)
    assert run.result.as_dict()["files"] == ["container-pipeline-a-b.html"]
    told = capsys.readouterr().err
    assert "the notification failed" in told
    assert "t0ken" not in told
