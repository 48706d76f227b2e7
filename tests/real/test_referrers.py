"""What refers to an image goes with it: signatures, SBOMs and attestations, between registries with and without the API."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from container_pipeline.clients.registry import RegistryClient
from lab import ask, images
from lab.faultproxy import Fault
from real.cosign import Tools

VERSION, NEXT = "20261124093015", "20261125093015"
SPDX, SIGNATURE = "application/spdx+json", "application/vnd.cncf.notary.signature"
INDEX = {"Content-Type": images.INDEX}
AGENT = Path(__file__).parents[2] / "agent"


@pytest.fixture(params=["old to new", "new to old", pytest.param("old to old", marks=pytest.mark.matrix)])
def both(request, agent, registry_factory, referrers_factory):
    """A development and a production registry, of which one or none has the referrers API."""
    made = [registry_factory() if part == "old" else referrers_factory() for part in request.param.split(" to ")]
    for prefix, one in zip(("DOCKER_REGISTRY", "DOCKER_REGISTRY_PROD"), made):
        agent.use(prefix, one)
    return made


@pytest.fixture
def tools(gotool, tmp_path, code):
    return Tools(gotool, tmp_path, code)


def attach(one, code, image, *kinds):
    """Put an artifact of each kind, listed by the API or by the fallback tag."""
    made = [images.put_referrer(one, code, image, kind) for kind in kinds]
    if not one.command:
        images.list_referrers(one, code, image, *made)
    return made


def test_promotion_carries_signatures_and_sboms_everywhere(agent, both, code, tools):
    source, target = both
    index, children = images.put_index(source, code, VERSION)
    tools.login(*both)
    tools.sign(source, index.digest)
    (tools.folder / "sbom").write_text('{"spdxVersion": "SPDX-2.3"}')
    tools("cosign", "attach", "sbom", "--sbom", "sbom", tools.name(source, children[0].digest))
    attached = attach(source, code, index, SPDX, SIGNATURE)
    nested = attach(source, code, attached[0], SIGNATURE)
    other = images.put_image(source, code, NEXT)
    tools.sign(source, other.digest)

    planned = agent("promote", "--version", VERSION, "--dry-run", "--json").result
    assert sorted(one["kind"] for one in planned["carried"]) == ["sbom", "sbom", "signature", "signature", "signature"]
    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert "copied 4 layers, 3 signatures, 2 SBOMs" in outcome.err
    tools.verify(target, index.digest)
    assert tools("cosign", "download", "sbom", tools.name(target, children[0].digest)) == '{"spdxVersion": "SPDX-2.3"}'
    assert tools.listed(target, index.digest) == {one.digest for one in attached}
    assert tools.listed(target, attached[0].digest) == {one.digest for one in nested}
    assert f"{other.digest.replace(':', '-')}.sig" not in ask.tags(target, code)


def test_a_second_promotion_carries_what_came_later(agent, both, code, tools):
    source, target = both
    image = images.put_image(source, code, VERSION)
    tools.login(*both)
    assert agent("promote", "--version", VERSION).code == 0
    tools.sign(source, image.digest)
    (sbom,) = attach(source, code, image, SPDX)

    assert (
        f"copy what refers to {source.address}/{code}:{VERSION}"
        in agent("promote", "--version", VERSION, "--dry-run").out
    )
    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert "copied 1 signature, 1 SBOM" in outcome.err
    tools.verify(target, image.digest)
    assert tools.listed(target, image.digest) == {sbom.digest}
    assert "is already in production" in agent("promote", "--version", VERSION).err


def test_signatures_of_both_sides_are_kept(agent, development, production, code, tools):
    tools.login(development, production)
    image = images.put_image(development, code, VERSION)
    tools.sign(development, image.digest)
    assert agent("promote", "--version", VERSION).code == 0
    tools.new_key("second")
    tools.sign(production, image.digest, "second")
    tools.new_key("third")
    tools.sign(development, image.digest, "third")

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    for key in ("cosign", "second", "third"):
        tools.verify(production, image.digest, key)


def test_a_list_in_production_is_extended(agent, development, production, code):
    image = images.put_image(development, code, VERSION)
    images.put_manifest(production, code, "there", images.put_image(production, code, "there").document)
    theirs = images.put_referrer(production, code, image, SIGNATURE)
    images.list_referrers(production, code, image, theirs)
    (ours,) = attach(development, code, image, SPDX)

    assert agent("promote", "--version", VERSION).code == 0

    stored = json.loads(ask.registry(production, "GET", f"/v2/{code}/manifests/{image.digest.replace(':', '-')}").body)
    assert [entry["digest"] for entry in stored["manifests"]] == [theirs.digest, ours.digest]
    assert stored["manifests"][1]["artifactType"] == SPDX


def test_many_referrers_are_carried_by_pages(agent, production, referrers_factory, code):
    source = referrers_factory(page=20)
    agent.use("DOCKER_REGISTRY", source)
    image = images.put_image(source, code, VERSION)
    first = images.put_referrer(source, code, image, SPDX).document
    made = {
        images.put_manifest(source, code, "", {**first, "annotations": {"number": str(number)}}).digest
        for number in range(99)
    }

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert "100 SBOMs" in outcome.err
    stored = json.loads(ask.registry(production, "GET", f"/v2/{code}/manifests/{image.digest.replace(':', '-')}").body)
    assert len(made) == 99
    assert made < {entry["digest"] for entry in stored["manifests"]}
    assert len(stored["manifests"]) == 100


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 404},
        {"status": 405},
        {"status": 400, "body": b'{"errors": [{"code": "UNSUPPORTED"}]}'},
        {"status": 501},
        {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>Sign in</html>"},
        {"status": 200, "headers": {"Content-Type": "application/json"}, "body": b"{}"},
    ],
    ids=lambda one: f"{one['status']} {one.get('headers', {}).get('Content-Type', '')}".strip(),
)
def test_the_fallback_tag_serves_without_the_api(agent, development, production, code, fault_proxy, answer):
    image = images.put_image(development, code, VERSION)
    (sbom,) = attach(development, code, image, SPDX)
    for prefix, one in (("DOCKER_REGISTRY", development), ("DOCKER_REGISTRY_PROD", production)):
        agent.use(prefix, one, fault_proxy(one.address, Fault("GET", "/referrers/", **answer)).address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert "1 SBOM" in outcome.err
    assert ask.digest(production, code, sbom.digest) == sbom.digest


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("GET", "/referrers/", status=500), "returned 500"),
        (
            Fault("GET", "/referrers/", status=200, headers=INDEX, body=b'{"manifests": [{"digest": "x"}]}'),
            "cannot be read",
        ),
        (Fault("GET", "/referrers/", status=200, headers=INDEX, body=b'{"manifests"'), "cannot be read"),
        (
            Fault("GET", "/manifests/sha256-[0-9a-f]*$", status=200, headers=INDEX, body=b'{"manifests": ["x"]}'),
            "cannot be read",
        ),
    ],
)
def test_an_unreadable_list_moves_no_tag(agent, development, production, code, fault_proxy, fault, sentence):
    images.put_image(development, code, VERSION)
    agent.use("DOCKER_REGISTRY", development, fault_proxy(development.address, fault).address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 1
    assert sentence in outcome.err
    assert ask.tags(production, code) == []


def test_a_list_that_is_wrong_carries_no_stranger(agent, development, production, code):
    image, other = images.put_image(development, code, VERSION), images.put_image(development, code, NEXT)
    stranger = images.put_referrer(development, code, other, SPDX)
    images.list_referrers(development, code, image, stranger)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert f"{stranger.digest} does not refer to it" in outcome.err
    assert ask.digest(production, code, stranger.digest) is None


@pytest.mark.parametrize(
    ("path", "fault"), [("/manifests/sha256-", {"status": 403}), ("/blobs/uploads/", {"cut_request_after": 3})]
)
def test_a_cut_promotion_is_resumed_with_its_referrers(agent, development, production, code, fault_proxy, path, fault):
    image = images.put_image(development, code, VERSION)
    made = attach(development, code, image, SPDX, SIGNATURE)
    listing = image.digest.replace(":", "-")
    proxy = fault_proxy(production.address, Fault("PUT", path, **fault))
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)
    assert agent("promote", "--version", VERSION).code == 1
    assert ask.tags(production, code) == []
    proxy.faults.clear()
    proxy.requests.clear()

    assert agent("promote", "--version", VERSION).code == 0

    puts = [path for method, path, _status in proxy.requests if method == "PUT" and "/manifests/" in path]
    assert [path.rpartition("/")[2] for path in puts][-3:] == [listing, VERSION, "latest"]
    stored = json.loads(ask.registry(production, "GET", f"/v2/{code}/manifests/{listing}").body)
    assert {entry["digest"] for entry in stored["manifests"]} == {one.digest for one in made}


def test_another_run_in_between_loses_nothing(agent, development, production, code, monkeypatch):
    """The other run's list replaces ours right after we wrote it, as a run on another machine can do."""
    image = images.put_image(development, code, VERSION)
    (ours,) = attach(development, code, image, SPDX)
    images.put_image(production, code, "there")
    theirs = images.put_referrer(production, code, image, SIGNATURE)
    put_tag, listing, written = RegistryClient.put_tag, image.digest.replace(":", "-"), []

    def overwritten(self, repository, tag, *rest):
        done = put_tag(self, repository, tag, *rest)
        if tag == listing and not written:
            written.append(images.list_referrers(production, code, image, theirs))
        return done

    monkeypatch.setattr(RegistryClient, "put_tag", overwritten)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    stored = json.loads(ask.registry(production, "GET", f"/v2/{code}/manifests/{listing}").body)
    assert {entry["digest"] for entry in stored["manifests"]} == {ours.digest, theirs.digest}


def test_two_promotions_at_once_keep_both_lists(lab, development, production, registry_factory, code, fault_proxy):
    """Each from a development registry of its own; both read the list before either has written it."""
    other, again = registry_factory(), []
    image = images.put_image(development, code, VERSION)
    for layer in (image.document["config"], *image.document["layers"]):
        data = ask.registry(development, "GET", f"/v2/{code}/blobs/{layer['digest']}").body
        images.put_blob(other, code, data)
    images.put_manifest(other, code, VERSION, image.document)
    proxy = fault_proxy(production.address, Fault("PUT", "/manifests/sha256-", delay=0.3))

    def promote(one):
        (sbom,) = attach(one, code, image, SPDX)
        again.append(sbom.digest)
        logins = {}
        for prefix, place, address in (
            ("DOCKER_REGISTRY", one, one.address),
            ("DOCKER_REGISTRY_PROD", production, proxy.address),
        ):
            logins |= {prefix: address, f"{prefix}_USER": place.user, f"{prefix}_PASS": place.password}
        command = [sys.executable, "-m", "container_pipeline", "promote", "--version", VERSION, "--code", code]
        environ = lab.environment(PYTHONPATH=str(AGENT), **logins)
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(promote, (development, other)):
            assert done.returncode == 0, done.stderr

    stored = json.loads(ask.registry(production, "GET", f"/v2/{code}/manifests/{image.digest.replace(':', '-')}").body)
    assert {entry["digest"] for entry in stored["manifests"]} == set(again)
    assert len(again) == 2


def test_a_damaged_list_in_production_moves_no_tag(agent, development, production, code, fault_proxy):
    image = images.put_image(development, code, VERSION)
    attach(development, code, image, SPDX)
    damaged = Fault("GET", "/manifests/sha256-[0-9a-f]*$", status=200, headers=INDEX, body=b'{"manifests": ["x"]}')
    agent.use("DOCKER_REGISTRY_PROD", production, fault_proxy(production.address, damaged).address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 1
    assert "cannot be read" in outcome.err
    assert ask.tags(production, code) == []


def test_promotion_without_referrers_asks_once_and_together(agent, development, production, code, fault_proxy):
    image = images.put_image(development, code, VERSION)
    proxy = fault_proxy(development.address)
    agent.use("DOCKER_REGISTRY", development, proxy.address)

    assert agent("promote", "--version", VERSION).code == 0

    hexes = image.digest.replace(":", "-")
    about = sorted(path.rpartition("/")[2] for _method, path, _status in proxy.requests if image.digest[7:] in path)
    assert about == sorted([image.digest, hexes, f"{hexes}.sig", f"{hexes}.att", f"{hexes}.sbom"])


@pytest.fixture(params=["old", "new"])
def alone(request, agent, development, referrers_factory):
    """A development registry without, and one with the referrers API."""
    one = development if request.param == "old" else referrers_factory()
    agent.use("DOCKER_REGISTRY", one)
    return one


def sign(one, code, image):
    """Put a manifest where cosign puts a signature."""
    document = images.put_image(one, code, "", 10, media_type=images.OCI).document
    return images.put_manifest(one, code, f"{image.digest.replace(':', '-')}.sig", document)


def test_prune_deletes_what_refers_to_a_version(agent, alone, code):
    old, new = images.put_image(alone, code, VERSION), images.put_image(alone, code, NEXT)
    belongs = {image.digest: [sign(alone, code, image), *attach(alone, code, image, SPDX)] for image in (old, new)}
    nested = sign(alone, code, belongs[old.digest][1])

    planned = agent("prune", "--keep", "1", "--dry-run").out
    assert f"delete {belongs[old.digest][0].digest[7:19]}, which refers to {alone.address}/{code}:{VERSION}" in planned
    outcome = agent("prune", "--keep", "1")

    assert outcome.code == 0, outcome.err
    gone = [old, nested, *belongs[old.digest]]
    assert [ask.digest(alone, code, one.digest) for one in gone] == [None] * 4
    for one in (new, *belongs[new.digest]):
        assert ask.digest(alone, code, one.digest) == one.digest


def test_prune_deletes_no_stranger_of_a_wrong_list(agent, development, code):
    old, new = images.put_image(development, code, VERSION), images.put_image(development, code, NEXT)
    (stranger,) = attach(development, code, new, SPDX)
    images.list_referrers(development, code, old, stranger)

    assert agent("prune", "--keep", "1").code == 0

    assert ask.digest(development, code, old.digest) is None
    assert ask.digest(development, code, stranger.digest) == stranger.digest


def test_images_shows_signatures_and_sboms(agent, alone, code):
    plain, signed = images.put_image(alone, code, VERSION), images.put_image(alone, code, NEXT)
    sign(alone, code, signed)
    attach(alone, code, signed, SPDX)

    rows = agent("images", "--json").result["images"]

    assert [(row["version"], row["signed"], row["sbom"]) for row in rows] == [
        (NEXT, True, True),
        (VERSION, False, False),
    ]
    assert plain.digest[7:19] in (shown := agent("images").out)
    assert "signature, SBOM" in shown
