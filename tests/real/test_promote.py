"""Promotion between two real registries."""

from __future__ import annotations

import re

from container_pipeline.project import state
from lab import ask, images
from lab.faultproxy import Fault

VERSION = "20261124093015"
OLDER = "20261123080000"


def test_promotion_keeps_the_digest_and_moves_latest(agent, development, production, code, monkeypatch):
    monkeypatch.setenv("CONTAINER_PIPELINE_APPROVED_BY", "alice")
    image = images.put_image(development, code, VERSION, 3_000_000, 5000, 10)

    outcome = agent("promote", "--version", VERSION, "--json")

    assert outcome.code == 0, outcome.err
    assert outcome.result["digest"] == image.digest
    assert outcome.result["approved_by"] == "alice"
    assert ask.digest(production, code, VERSION) == image.digest
    assert ask.digest(production, code, "latest") == image.digest
    for layer in image.layers:
        stored = ask.registry(production, "GET", f"/v2/{code}/blobs/{layer}")
        assert images.digest_of(stored.body) == layer


def test_promote_uses_last_built_version_by_default(agent, development, production, code):
    image = images.put_image(development, code, VERSION)
    images.put_image(development, code, "20261124093016")
    state.write(agent.folder, state.Built(code, VERSION, digest=image.digest))

    assert agent("promote").code == 0
    assert sorted(ask.tags(production, code)) == [VERSION, "latest"]


def test_an_index_with_its_attestations_keeps_its_digest(agent, development, production, code):
    index, children = images.put_index(development, code, VERSION)

    assert agent("promote", "--version", VERSION).code == 0

    stored = ask.registry(production, "GET", f"/v2/{code}/manifests/{VERSION}")
    assert stored.body == index.body
    assert stored.headers["content-type"] == images.INDEX
    for child in children:
        assert ask.digest(production, code, child.digest) == child.digest


def test_promotion_does_not_request_foreign_layers(agent, development, production, code):
    image = images.put_image(development, code, VERSION, 1000, foreign=True)

    assert agent("promote", "--version", VERSION).code == 0
    assert ask.digest(production, code, VERSION) == image.digest


def test_promote_dry_run_shows_size_and_copies_nothing(agent, development, production, code):
    images.put_image(development, code, VERSION, 3_000_000)

    outcome = agent("promote", "--version", VERSION, "--dry-run")

    assert outcome.code == 0
    assert f"promote {development.address}/{code}:{VERSION} to {production.address}/{code}:{VERSION}" in outcome.out
    assert "3.0 MB would be copied" in outcome.out
    assert ask.tags(production, code) == []


def test_promoting_again_asks_no_blob_and_writes_nothing(agent, development, production, code, fault_proxy):
    images.put_image(development, code, VERSION, 1000)
    assert agent("promote", "--version", VERSION).code == 0
    proxy = fault_proxy(production.address)
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0
    assert f"{VERSION} is already in production" in outcome.err
    assert {method for method, _path, _status in proxy.requests} == {"GET", "HEAD"}
    assert proxy.count("HEAD", "/blobs/") == 0


def test_only_missing_layers_are_sent(agent, development, production, code, fault_proxy):
    first = images.put_image(development, code, OLDER, 2_000_000)
    assert agent("promote", "--version", OLDER).code == 0
    document = dict(first.document)
    new = images.put_blob(development, code, b"one line changed")
    document["layers"] = [*document["layers"], {**document["layers"][0], "size": 16, "digest": new}]
    images.put_manifest(development, code, VERSION, document)

    outcome = agent("promote", "--version", VERSION, "--dry-run", "--json")
    assert outcome.result["bytes"] == 16

    proxy = fault_proxy(production.address)
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)
    assert agent("promote", "--version", VERSION).code == 0
    assert proxy.count("PUT", "/blobs/uploads/") == 1


def test_promotion_refuses_to_replace_a_version_in_production(agent, development, production, code):
    there = images.put_image(production, code, VERSION)
    images.put_image(development, code, VERSION)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 1
    assert "a version never changes" in outcome.err
    assert ask.digest(production, code, VERSION) == there.digest
    assert ask.digest(production, code, "latest") is None


def test_promotion_uses_built_digest_even_if_tag_moved(agent, development, production, code):
    built = images.put_image(development, code, VERSION)
    state.write(agent.folder, state.Built(code, VERSION, digest=built.digest))
    other = images.put_image(development, code, VERSION)
    assert ask.digest(development, code, VERSION) == other.digest

    outcome = agent("promote")

    assert outcome.code == 0
    assert f"the image that was built is promoted: {built.digest}" in outcome.err
    assert ask.digest(production, code, VERSION) == built.digest


def test_promoting_an_existing_version_only_moves_latest(agent, development, production, code):
    old = images.put_image(development, code, OLDER)
    images.put_image(development, code, VERSION)
    for version in (OLDER, VERSION, OLDER):
        assert agent("promote", "--version", version).code == 0
    assert ask.digest(production, code, "latest") == old.digest


def test_missing_version_is_refused_with_the_listing_command(agent):
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert "is not in the registry" in outcome.err
    assert "container-pipeline images" in outcome.err


def test_tags_come_last_and_latest_after_the_version(agent, development, production, code, fault_proxy):
    _index, children = images.put_index(development, code, VERSION)
    proxy = fault_proxy(production.address)
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)

    assert agent("promote", "--version", VERSION).code == 0

    written = [path.rpartition("/")[2] for method, path, _status in proxy.requests if method == "PUT"]
    assert set(written[-6:-2]) == {child.digest for child in children}
    assert written[-2:] == [VERSION, "latest"]
    assert proxy.count("PUT", "/manifests/") == 6


def test_a_long_copy_says_how_far_it_is(agent, development, code, monkeypatch):
    monkeypatch.setattr("container_pipeline.console.LOG_INTERVAL", 0)
    images.put_image(development, code, VERSION, 5_000_000)
    err = agent("promote", "--version", VERSION).err
    assert re.search(r"copying: [0-9.]+ MB, [0-9.]+ .B/s, [0-9.]+ MB left, about [0-9]+ s", err)
    assert "copying: 5.0 MB" in err


def test_an_image_of_dockers_first_format_is_refused(agent, development, production, code, fault_proxy):
    body = b'{"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": []}'
    kind = {"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}
    digest = {"Docker-Content-Digest": images.digest_of(body)}
    old = Fault("", "/manifests/", status=200, headers={**kind, **digest}, body=body)
    agent.use("DOCKER_REGISTRY", development, fault_proxy(development.address, old).address)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert "old schema 1" in outcome.err
    assert ask.tags(production, code) == []
