"""Checks of a deploy on the resolved Compose file of each generation."""

from __future__ import annotations

import json

import pytest

from container_pipeline.errors import ServerError
from container_pipeline.model import Code, ImageRef, Registry, Repository
from container_pipeline.plan import resolved
from unit.table import table

IMAGE = ImageRef(Registry("r.example"), Repository("a-b"), "1")
OWN = {"image": "r.example/a-b:1"}


def form(own=None, **services) -> bytes:
    return json.dumps({"services": {"a-b": {**OWN, **(own or {})}, **services}}).encode()


def judge(text: bytes, generation: str = "v2", profiles=()) -> resolved.Verdict:
    read = resolved.read(text, generation, "/x/stage")
    return resolved.judge(read, Code("a-b"), IMAGE, profiles, {"SET"}, start_first=False, file="f")


def test_a_service_without_replicas_does_not_start():
    verdict = judge(form(spare={"image": "x", "deploy": {"replicas": 0}}, other={"image": "y", "scale": 0}))
    assert (verdict.services, verdict.images) == (("a-b",), ())


def test_services_of_profiles_start_where_they_are_enabled():
    text = form(side={"image": "x", "profiles": ["web"]})
    assert judge(text, profiles=["web"]).services == ("a-b", "side")
    assert judge(text).services == ("a-b",)
    assert judge(text, profiles=["*"]).services == ("a-b", "side")
    assert judge(text, "v1", ["*"]).services == ("a-b",)


def test_other_images_of_started_services_are_companions():
    same = {"image": OWN["image"]}
    verdict = judge(
        form(worker=same, cache={"image": "redis:7"}, other={"image": "redis:7"}, idle={"image": "x", "scale": 0})
    )
    assert verdict.companions == ("cache=redis:7", "other=redis:7")
    assert verdict.images == ("redis:7",)


def test_deploy_requires_release_paths_except_docker_created_ones():
    volumes = [
        {"type": "bind", "source": "/x/stage/conf", "target": "/a"},
        {"type": "bind", "source": "/data", "target": "/b", "bind": {"create_host_path": True}},
        {"type": "volume", "source": "v", "target": "/c"},
    ]
    assert judge(form({"volumes": volumes})).paths == ("conf",)


def test_folders_that_local_volumes_bind_must_exist():
    def paths(**volume):
        mounts = {"volumes": [{"type": "volume", "source": "v", "target": "/v"}]}
        return judge(json.dumps({"services": {"a-b": {**OWN, **mounts}}, "volumes": {"v": volume}}).encode()).paths

    options = {"type": "none", "o": "bind", "device": "/srv/data"}
    assert (
        paths(driver_opts=options) == paths(driver="local", driver_opts={**options, "o": "rw,bind"}) == ("/srv/data",)
    )
    assert paths(driver_opts={**options, "device": "/x/stage/data"}) == ("data",)
    assert paths() == paths(driver="other", driver_opts=options) == ()
    assert paths(driver_opts={"type": "nfs", "o": "addr=h", "device": ":/data"}) == ()


def test_v1_prints_yaml_and_short_mounts():
    text = b"services:\n  a-b:\n    image: r.example/a-b:1\n    volumes: ['/x/stage/y:/y:rw', '/abs:/z:rw', 'data:/d:rw']\n"
    assert judge(text, "v1").paths == ("y",)


@table(
    ("own", "sentence"),
    [
        ({"image": "other"}, "runs other"),
        ({"profiles": ["web"]}, "no enabled profile"),
        ({"scale": 0}, "no replicas"),
        ({"networks": {"n": None}}, "undefined network n"),
        ({"volumes": [{"type": "volume", "target": "v:/v"}]}, "to v:/v, which is not an absolute path"),
        ({"container_name": "ab", "scale": 2}, "container_name ab of service a-b"),
    ],
)
def test_what_cannot_work_is_refused(own, sentence):
    with pytest.raises(ServerError, match=sentence):
        judge(form(own))


@table(
    ("port", "fixed"),
    [
        ({"published": "8000", "target": 80}, "8000"),
        ({"published": 8000, "target": 80}, "8000"),
        ({"published": "8000-8005", "target": 80}, ""),
        ({"target": 80}, ""),
        ("8000:80/tcp", "8000"),
        ("127.0.0.1:8000:80", "8000"),
        ("[::1]:8000:80/udp", "8000"),
        ("8000-8005:80/tcp", ""),
        ("127.0.0.1:8000-8005:80", ""),
        ("8000-8001:80-81", "8000-8001"),
        ("80/tcp", ""),
    ],
)
def test_start_first_refuses_ports_for_one_container(port, fixed):
    for generation in ("v1", "v2"):
        read = resolved.read(form({"ports": [port]}), generation, "/x/stage")
        assert read.services[0].ports == ((fixed,) if fixed else ())
    if fixed:
        with pytest.raises(ServerError, match=f"publishes port {fixed}, which two containers cannot share"):
            resolved.judge(read, Code("a-b"), IMAGE, (), (), start_first=True, file="f")


def test_files_of_secrets_and_v2_configs_must_exist():
    data = json.loads(form({"configs": [{"source": "c"}], "secrets": ["s"]}))
    data |= {"configs": {"c": {"file": "/x/stage/c.conf"}}, "secrets": {"s": {"file": "/etc/key"}}}
    text = json.dumps(data).encode()
    assert sorted(judge(text).paths) == ["/etc/key", "c.conf"]
    assert judge(text, "v1").paths == ("/etc/key",)


@pytest.mark.parametrize("kind", ["secrets", "configs"])
def test_variables_of_secrets_and_configs_must_be_set(kind):
    def text(variable):
        services = {"a-b": {**OWN, kind: [{"source": "s"}]}}
        return json.dumps(
            {"services": services, kind: {"s": {"environment": variable}, "t": {"environment": "N"}}}
        ).encode()

    assert judge(text("SET")).services == ("a-b",)
    with pytest.raises(ServerError, match="service a-b needs the variable NOPE, which"):
        judge(text("NOPE"))


def test_external_networks_and_volumes_use_their_real_names():
    data = json.loads(
        form({"volumes": [{"type": "volume", "source": "data", "target": "/d"}], "networks": {"n": None}})
    )
    data["volumes"] = {"data": {"external": True, "name": "shop_data"}, "unused": {"external": True}}
    data["networks"] = {"n": {"external": {"name": "shop"}}}
    verdict = judge(json.dumps(data).encode())
    assert (verdict.networks, verdict.volumes) == (("shop",), ("shop_data",))


def test_containers_of_others_must_exist():
    own = {"network_mode": "container:proxy", "pid": "host", "volumes_from": ["container:data:ro", "side:ro"]}
    assert judge(form(own, side={"image": "x"})).containers == ("proxy", "data")
    assert judge(form(own, side={"image": "x", "container_name": "proxy"})).containers == ("data",)


def test_dependency_needs_an_enabled_profile_but_no_replicas():
    assert judge(form({"depends_on": ["b"]}, b={"image": "x", "scale": 0})).services == ("a-b",)
    with pytest.raises(ServerError, match="needs b, which no enabled profile starts"):
        judge(form({"depends_on": {"b": {"required": True}}}, b={"image": "x", "profiles": ["p"]}))
    assert judge(form({"depends_on": {"b": {"required": False}}}, b={"image": "x", "profiles": ["p"]})).services == (
        "a-b",
    )


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"build": {"context": "."}}, "would be built on the server"),
        ({"image": "x; rm"}, "no valid image"),
        (None, "no valid image"),
    ],
)
def test_a_companion_that_cannot_start_is_refused(other, sentence):
    with pytest.raises(ServerError, match=sentence):
        judge(form(other=other))


def test_started_services_cannot_share_a_container_name():
    other = {"image": "x", "container_name": "ab"}
    with pytest.raises(ServerError, match="container_name ab of service side"):
        judge(form({"container_name": "ab"}, side=other))
    assert judge(form({"container_name": "ab"}, side={**other, "profiles": ["web"]})).services == ("a-b",)


@table("name", ["x", "-a", "a b", "${A}", "网站", "a/b"])
def test_a_container_name_that_docker_refuses_is_refused(name):
    with pytest.raises(ServerError, match="which Docker does not accept"):
        judge(form({"container_name": name}))


def test_external_secrets_and_relative_v1_mounts_are_refused():
    data = json.loads(form({"secrets": ["s"]})) | {"secrets": {"s": {"external": True}}}
    with pytest.raises(ServerError, match="uses s, which is external"):
        judge(json.dumps(data).encode())
    mount = form({"volumes": [{"type": "bind", "source": "conf", "target": "/c"}]})
    with pytest.raises(ServerError, match="which Compose v1 does not find"):
        judge(mount, "v1")


@table("text", [b"", b"[", b"[]", b'{"services": {"a-b": 1}}', b'{"services": {"a-b": {"scale": "x"}}}'])
def test_invalid_resolved_compose_file_is_refused(text):
    with pytest.raises(ServerError):
        judge(text)
