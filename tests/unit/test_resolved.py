"""What a deploy concludes from the resolved form of a Compose file, as each generation prints it."""

from __future__ import annotations

import json

import pytest

from container_pipeline.errors import ServerError
from container_pipeline.model import Code, ImageRef, Registry, Repository
from container_pipeline.plan import resolved

IMAGE = ImageRef(Registry("r.example"), Repository("a-b"), "1")
OWN = {"image": "r.example/a-b:1"}


def form(own=None, **services) -> bytes:
    return json.dumps({"services": {"a-b": {**OWN, **(own or {})}, **services}}).encode()


def judge(text: bytes, generation: str = "v2", profiles=()) -> resolved.Verdict:
    read = resolved.read(text, generation, "/x/stage")
    return resolved.judge(read, Code("a-b"), IMAGE, profiles, start_first=False, file="f")


def test_a_service_without_replicas_does_not_start():
    verdict = judge(form(spare={"image": "x", "deploy": {"replicas": 0}}, other={"image": "y", "scale": 0}))
    assert (verdict.services, verdict.images) == (("a-b",), ())


def test_services_of_profiles_start_where_they_are_enabled():
    text = form(side={"image": "x", "profiles": ["web"]})
    assert judge(text, profiles=["web"]).services == ("a-b", "side")
    assert judge(text).services == ("a-b",)


def test_paths_of_the_release_are_relative_and_what_docker_creates_is_not_asked_for():
    volumes = [
        {"type": "bind", "source": "/x/stage/conf", "target": "/a"},
        {"type": "bind", "source": "/data", "target": "/b", "bind": {"create_host_path": True}},
        {"type": "volume", "source": "v", "target": "/c"},
    ]
    assert judge(form({"volumes": volumes})).paths == ("conf",)


def test_v1_prints_yaml_and_short_mounts():
    text = b"services:\n  a-b:\n    image: r.example/a-b:1\n    volumes: ['/x/stage/y:/y:rw', '/abs:/z:rw', 'data:/d:rw']\n"
    assert judge(text, "v1").paths == ("y",)


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"image": "other"}, "runs other"),
        ({"profiles": ["web"]}, "no enabled profile"),
        ({"scale": 0}, "no replicas"),
        ({"networks": {"n": None}}, "undefined network n"),
    ],
)
def test_what_cannot_work_is_refused(own, sentence):
    with pytest.raises(ServerError, match=sentence):
        judge(form(own))


@pytest.mark.parametrize(
    "text", [b"", b"[", b"[]", b'{"services": {"a-b": 1}}', b'{"services": {"a-b": {"scale": "x"}}}']
)
def test_a_form_that_is_none_is_refused_without_showing_it(text):
    with pytest.raises(ServerError):
        judge(text)
