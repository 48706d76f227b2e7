"""What BuildKit attaches to an image: left out of a promotion on request, and refused registries are told in one sentence."""

from __future__ import annotations

import json
import os

import pytest

from lab import ask, images
from lab.faultproxy import Fault
from real.cosign import Tools

VERSION = "20261124093015"
NEWEST = "application/vnd.docker.attestation.manifest.v1+json"


def put_attested(one, code, *, platforms=1, newest=False):
    """Put an index as BuildKit makes it; ``newest``: as of 0.32, whose attestations refer to the image. Return its parts."""
    entries, platform_images, attestations = [], [], []
    for number in range(platforms):
        image = images.put_image(one, code, "", 1000, media_type=images.OCI)
        made = images.put_referrer(one, code, image, NEWEST) if newest else None
        made = made or images.put_image(one, code, "", 300, media_type=images.OCI)
        platform_images.append(image)
        attestations.append(made)
        entries.append(image.descriptor(platform={"os": "linux", "architecture": ("amd64", "arm64")[number]}))
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest}
        entries.append(made.descriptor(platform={"os": "unknown", "architecture": "unknown"}, annotations=notes))
    index = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": entries}
    return images.put_manifest(one, code, VERSION, index), platform_images, attestations


@pytest.mark.parametrize("newest", [False, True], ids=["old", "newest"])
def test_attestations_are_left_out_of_a_promotion(agent, production, referrers_factory, code, newest):
    source = referrers_factory()
    agent.use("DOCKER_REGISTRY", source)
    index, (image,), (attestation,) = put_attested(source, code, newest=newest)
    sbom = images.put_referrer(source, code, image)
    words = ("promote", "--version", VERSION, "--without-attestations")

    planned = agent(*words, "--dry-run", "--json").result
    outcome = agent(*words, "--json")

    assert outcome.code == 0, outcome.err
    assert f"production gets {image.digest}, not {index.digest} as in development" in outcome.err
    assert outcome.result["digest"] == planned["digest"] == image.digest
    assert [one["digest"] for one in planned["carried"]] == [sbom.digest]
    assert ask.digest(production, code, VERSION) == ask.digest(production, code, "latest") == image.digest
    assert ask.digest(production, code, sbom.digest) == sbom.digest
    for left_out in (index, attestation):
        assert ask.digest(production, code, left_out.digest) is None
    assert "is already in production" in agent(*words).err
    refused = agent("promote", "--version", VERSION).err
    assert "a version never changes" in refused
    assert "do so again with --without-attestations" in refused


def test_a_deploy_gets_the_digest_that_production_has(agent, development, production, code, monkeypatch):
    """In the folder of the build, which knows the digest that development has."""
    index, (image,), _attestations = put_attested(development, code)
    record = {"image": code, "version": VERSION, "digest": index.digest}
    agent.folder.joinpath(".docker_build.json").write_text(json.dumps(record))
    agent.folder.joinpath(".docker_build_image").write_text(f"{code}\n")
    agent.folder.joinpath(".docker_build_version").write_text(f"{VERSION}\n")
    agent.folder.joinpath("docker-compose.yml").write_text(f"services: {{{code}: {{image: x}}}}\n")
    monkeypatch.setenv("CONTAINER_PIPELINE_SERVERS", "server.invalid")
    assert agent("promote", "--without-attestations").code == 0

    planned = agent("deploy", "--dry-run", "--json")

    assert planned.code == 0, planned.err
    assert planned.result["digest"] == image.digest
    assert "is already in production" in agent("promote", "--without-attestations").err


def test_several_platforms_become_a_new_index(agent, development, production, code):
    index, platforms, attestations = put_attested(development, code, platforms=2)

    outcome = agent("promote", "--version", VERSION, "--without-attestations", "--json")

    assert outcome.code == 0, outcome.err
    stored = ask.registry(production, "GET", f"/v2/{code}/manifests/{VERSION}")
    assert outcome.result["digest"] == images.digest_of(stored.body)
    entries = stored.json()["manifests"]
    assert [one["digest"] for one in entries] == [one.digest for one in platforms]
    assert [one["platform"]["architecture"] for one in entries] == ["amd64", "arm64"]
    assert [ask.digest(production, code, one.digest) for one in attestations] == [None, None]
    assert ask.registry(development, "DELETE", f"/v2/{code}/manifests/{index.digest}").status == 202
    assert "is already in production" in agent("promote", "--version", VERSION, "--without-attestations").err


def test_without_attestations_production_is_still_verified(
    agent, gotool, tmp_path, development, production, code, monkeypatch
):
    tools = Tools(gotool, tmp_path, code)
    tools.login(development, production)
    monkeypatch.setenv("PATH", f"{tools.path}:{os.environ['PATH']}")
    monkeypatch.setenv("CONTAINER_PIPELINE_VERIFY", str(tools.folder / "cosign.pub"))
    index, (image,), _attestations = put_attested(development, code)
    tools.sign(development, index.digest)
    words = ("promote", "--version", VERSION, "--without-attestations")

    refused = agent(*words)
    assert refused.code == 1
    assert f"{code}@{image.digest} is not verified: cosign.pub: " in refused.err
    assert "sign it, too, with `cosign sign --recursive`" in refused.err
    assert ask.tags(production, code) == []
    tools.sign(development, image.digest)
    assert agent(*words).code == 0
    tools.verify(production, image.digest)

    other = f"{VERSION[:-1]}6"
    again, _platforms, _more = put_attested(development, code, platforms=2)
    images.put_manifest(development, code, other, again.document)
    tools.sign(development, again.digest)
    refused = agent("promote", "--version", other, "--without-attestations")
    assert refused.code == 1
    assert f"without its attestations, {other} is a new index, which nobody signed" in refused.err
    assert other not in ask.tags(production, code)


def refusal(status, code, message):
    """How a registry refuses a kind of manifest."""
    return {"status": status, "body": json.dumps({"errors": [{"code": code, "message": message}]}).encode()}


ALIYUN = refusal(403, "DENIED", "unknown manifest class for application/vnd.oci.empty.v1+json")
HARBOR = refusal(400, "MANIFEST_INVALID", "manifest invalid")
GITLAB = refusal(400, "MANIFEST_BLOB_UNKNOWN", f"blob unknown to registry - sha256:{'a' * 64}")


@pytest.mark.parametrize("answer", [ALIYUN, HARBOR, GITLAB], ids=["aliyun", "harbor", "gitlab"])
def test_a_refused_attestation_names_the_setting(agent, development, production, code, fault_proxy, answer):
    _index, (image,), (attestation,) = put_attested(development, code, newest=True)
    proxy = fault_proxy(production.address, Fault("PUT", f"/manifests/{attestation.digest}", **answer))
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 1
    said = json.loads(answer["body"])["errors"][0]["message"]
    assert (
        f"registry {proxy.address} does not take the kind of manifest that {code}@{attestation.digest} is: "
        in outcome.err
    )
    assert said[:40] in outcome.err
    assert "set `attest: false`, and build again; or promote with --without-attestations" in outcome.err
    assert ask.tags(production, code) == []
    assert agent("promote", "--version", VERSION, "--without-attestations").code == 0
    assert ask.digest(production, code, VERSION) == image.digest


def test_a_refused_artifact_does_not_blame_the_build(agent, development, production, code, fault_proxy):
    image = images.put_image(development, code, VERSION)
    sbom = images.put_referrer(development, code, image)
    images.list_referrers(development, code, image, sbom)
    proxy = fault_proxy(production.address, Fault("PUT", f"/manifests/{sbom.digest}", **ALIYUN))
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 1
    assert "attach it in the older form, as `sign` and `sbom` do" in outcome.err
    assert "attest" not in outcome.err


@pytest.mark.parametrize("answer", [ALIYUN, HARBOR, GITLAB], ids=["aliyun", "harbor", "gitlab"])
def test_a_push_that_is_refused_names_the_setting(agent, engine, development, code, fault_proxy, answer):
    proxy = fault_proxy(development.address, Fault("PUT", "/manifests/", **answer))
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    agent.folder.joinpath("Dockerfile").write_text(f"FROM scratch\nLABEL of={code}\nCOPY Dockerfile /\n")
    assert agent("build").code == 0

    outcome = agent("push")

    assert outcome.code == 1
    assert "if BuildKit attached attestations to the image" in outcome.err
    assert "DOCKER_REGISTRY_PASS" not in outcome.err
