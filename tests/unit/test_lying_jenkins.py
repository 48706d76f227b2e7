"""A Jenkins that lies, floods or nests costs one sentence."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Iterable

import pytest

from container_pipeline.clients import jenkins_facts, jenkins_wire
from container_pipeline.clients.jenkins import Controller
from container_pipeline.errors import JenkinsError
from container_pipeline.model import JenkinsAccess, Secret
from unit.table import table
from unit.test_lying_registry import BLANKS, DEEP, Late, answer, chunk, flood, liar

BOMB = Late(lambda: answer(base64.b64encode(zlib.compress(b"\0" * 50_000_000, 1))))
LIES: dict[str, Iterable[bytes]] = {
    "a flood": flood(chunk(b"x" * 65536)),
    "compressed although not asked": BLANKS,
    "deep json": answer(DEEP),
    "a list": answer("[]"),
    "null": answer("null"),
    "jobs are a number": answer('{"jobs":7,"plugins":7,"computer":7,"credentials":7}'),
    "jobs are numbers": answer('{"jobs":[7],"plugins":[7],"computer":[7],"credentials":[7]}'),
    "names are numbers": answer('{"jobs":[{"name":7}],"plugins":[{"shortName":7}],"computer":[{"displayName":7}]}'),
    "a number without end": answer('{"jobs":' + "9" * 100_000 + "}"),
    "not utf-8": answer(b'{"jobs":"\xff"}'),
    "a bomb": BOMB,
    "a wait that is none": answer(b"", "Retry-After: \xb2", status="503 x"),
    "a redirect to no address": answer(b"", "Location: http://[x", status="302 x"),
    "a crumb with a newline": answer('{"crumbRequestField":"A","crumb":"very\\nsecret"}'),
    "an error of a megabyte": answer("Caused by: x\x1b[2J" * 100_000, status="500 x"),
}


@table("name", LIES)
def test_a_lie_is_one_sentence_that_names_jenkins(name, monkeypatch):
    monkeypatch.setattr(jenkins_wire.time, "sleep", lambda _seconds: None)
    begun = time.monotonic()
    lie = LIES[name]
    with liar(lambda _method, _path: lie) as address:
        controller = Controller(JenkinsAccess(f"http://{address}", "user", Secret("token")))
        for ask in (
            lambda: controller.plugins(),
            lambda: controller.items("mark"),
            lambda: controller.config("x"),
            lambda: controller.write("x", "<a/>"),
            lambda: jenkins_facts.nodes(controller, ["docker"]),
            lambda: jenkins_facts.credentials(controller, ""),
        ):
            try:
                ask()
            except JenkinsError as error:
                assert "Jenkins" in error.message or address in error.message  # noqa: PT017
                assert len(error.message) < 700  # noqa: PT017
                assert "secret" not in error.message  # noqa: PT017
    assert time.monotonic() - begun < 60


def test_a_refused_connection_is_called_so(monkeypatch):
    monkeypatch.setattr(jenkins_wire.time, "sleep", lambda _seconds: None)
    with pytest.raises(JenkinsError, match=r"cannot be reached: Connection refused$"):
        Controller(JenkinsAccess("http://127.0.0.1:9", "user", Secret("token"))).plugins()
