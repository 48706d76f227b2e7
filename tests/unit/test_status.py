"""What status makes of the lines that a server prints."""

from __future__ import annotations

import json

from container_pipeline.commands.server import status
from container_pipeline.model import Target
from container_pipeline.remote.fleet import Answer

DIGEST = "sha256:" + "a" * 64
PIN = "sha256:" + "b" * 64
RECORD = {
    "version": "1",
    "digest": DIGEST,
    "image": "r.example/web",
    "companions": f"cache=docker.io/redis:7=redis@{PIN} tool=tool:1=sha256:t",
}


def answer(*images: str, differs: str = "", **record: object) -> Answer:
    found = Answer(Target("h"), lines=[("release", json.dumps({**RECORD, **record}))])
    found.lines += [("container", f"s{number}|running|-|now|0|0|{image}") for number, image in enumerate(images)]
    return Answer(Target("h"), lines=[*found.lines, *([("differs", differs)] if differs else [])])


def images(found: Answer) -> list[tuple[str, str]]:
    return [(one["image"], one["digest"]) for one in status.containers(found)]


def test_status_names_image_and_digest_of_each_service():
    lines = (
        "r.example/web:1|sha256:w",
        "r.example/web:1|sha256:w",
        f"redis@{PIN}|sha256:r",
        "sha256:t|sha256:t",
        "x:1|sha256:x",
    )
    own = ("r.example/web:1", DIGEST)
    assert images(answer(*lines)) == [own, own, ("docker.io/redis:7", PIN), ("tool:1", ""), ("x:1", "")]


def test_digest_of_an_unexpected_image_is_unknown():
    assert images(answer("r.example/web:1|sha256:o", differs="image")) == [("r.example/web:1", "")]


def test_companions_that_cannot_be_read_are_left_out():
    assert images(answer("x:1|sha256:x", companions=["x"])) == [("x:1", "")]
