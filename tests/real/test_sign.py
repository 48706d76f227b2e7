"""What a push brings to a registry is signed with the project's key, by the real cosign."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from container_pipeline.clients.registry import connection
from container_pipeline.console import Console
from container_pipeline.execute import Run, signing
from container_pipeline.execute.registries import Registries
from container_pipeline.model import Digest
from container_pipeline.plan.image import Attach
from container_pipeline.result import Result
from container_pipeline.settings import load
from lab import ask, images
from lab.faultproxy import Fault
from lab.watcher import ArgvWatcher
from real.cosign import Tools

PASSWORD = "a-long-canary"
VERSION = "20261124093015"


class Signer:
    """The agent with a key in ``CONTAINER_PIPELINE_SIGN``, in a folder from which it builds."""

    def __init__(self, agent, tools, set_variable):
        self.agent, self.tools, self.set = agent, tools, set_variable
        self.key = tools.folder / "cosign.key"
        agent.folder.joinpath("Dockerfile").write_text(f"FROM scratch\nLABEL of={agent.code}\nCOPY Dockerfile /\n")
        set_variable("CONTAINER_PIPELINE_SIGN", str(self.key))
        set_variable("COSIGN_PASSWORD", PASSWORD)

    def __call__(self, *words):
        return self.agent(*words)

    @property
    def built(self) -> Path:
        return self.agent.folder / ".docker_build_version"

    def signatures(self, one, digest) -> int:
        name = f"/v2/{self.agent.code}/manifests/{digest.replace(':', '-')}.sig"
        found = ask.registry(one, "GET", name, Accept=images.OCI)
        return len(found.json()["layers"]) if found.status == 200 else 0


@pytest.fixture
def signer(gotool, tmp_path, code, agent, engine, development, production, monkeypatch, request):
    tools = Tools(gotool, tmp_path, code, getattr(request, "param", "cosign"), PASSWORD)
    tools.login(development, production)
    monkeypatch.setenv("PATH", f"{tools.path}:{os.environ['PATH']}")
    return Signer(agent, tools, monkeypatch.setenv)


@pytest.mark.parametrize("signer", ["cosign-3", pytest.param("cosign", marks=pytest.mark.matrix)], indirect=True)
def test_what_is_pushed_is_signed_by_digest(signer, development, production, code):
    signer.set("CONTAINER_PIPELINE_VERIFY", str(signer.key.with_suffix(".pub")))
    assert signer("build").code == 0
    with ArgvWatcher([PASSWORD]) as watcher:
        outcome = signer("push", "--latest", "--json", "-v")

    assert outcome.code == 0, outcome.err
    digest = outcome.result["digest"]
    assert [step["name"] for step in outcome.result["steps"]] == ["push", "sign", "tag", "move-tag"]
    assert f"signed {development.address}/{code}@{digest}" in outcome.err
    assert PASSWORD not in outcome.err + outcome.out
    assert watcher.seen == []
    signer.tools.verify(development, digest)

    again = signer("push")
    assert again.code == 0, again.err
    assert f"{code}@{digest} is signed" in again.err
    assert signer.signatures(development, digest) == 1
    assert signer("tag-prod").code == 0
    assert signer("push-prod").code == 0
    signer.tools.verify(production, digest)


def test_what_signing_needs_is_missed_before_the_build(signer, development, code, monkeypatch):
    def refused(word="build"):
        outcome = signer(word)
        assert outcome.code == 1
        assert not signer.built.exists()
        return outcome.err

    signer.set("COSIGN_PASSWORD", "wrong-canary")
    wrong = refused()
    assert f"sign: the password of {signer.key} is wrong" in wrong
    assert "in Jenkins by the credential `signPassword`" in wrong
    assert "canary" not in wrong
    assert f"✗ sign: the password of {signer.key} is wrong" in signer("doctor").out
    monkeypatch.delenv("COSIGN_PASSWORD")
    assert f"sign: {signer.key} needs a password" in refused("pipeline")
    signer.set("CONTAINER_PIPELINE_SIGN", str(signer.key.with_suffix(".pub")))
    assert "is not a private key that cosign can use: unsupported pem type: PUBLIC KEY" in refused()
    signer.set("CONTAINER_PIPELINE_SIGN", '{"key": "keys/none.key"}')
    assert "keys/none.key does not exist" in refused()

    signer.set("COSIGN_PASSWORD", PASSWORD)
    inside = signer.agent.folder / "keys" / "cosign.key"
    inside.parent.mkdir()
    inside.write_bytes(signer.key.read_bytes())
    signer.set("CONTAINER_PIPELINE_SIGN", "keys/cosign.key")
    assert "sign: keys/cosign.key is in the build context" in refused()
    signer.agent.folder.joinpath(".dockerignore").write_text("keys\n")
    # BuildKit reads this file instead.
    own = signer.agent.folder.joinpath("Dockerfile.dockerignore")
    own.write_text("*.log\n")
    assert "list it in Dockerfile.dockerignore, or keep it" in refused()
    own.unlink()
    assert "✓ what `sign` needs is here" in signer("doctor").out
    assert signer("build").code == 0
    signer.built.unlink()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "`sign` needs the program cosign" in refused()
    # A pull request is not pushed, so it gets no key, and needs none.
    monkeypatch.setenv("BRANCH_NAME", "PR-1")
    monkeypatch.setenv("CHANGE_ID", "1")
    assert signer("build").code == 0
    assert ask.tags(development, code) == []


def test_a_push_that_was_cut_is_signed_again(signer, development, code, fault_proxy):
    proxy = fault_proxy(development.address, Fault("PUT", r"/manifests/sha256-[0-9a-f]*\.sig", status=403))
    signer.agent.use("DOCKER_REGISTRY", development, proxy.address)
    signer.tools.login(development)
    assert signer("build").code == 0

    cut = signer("push", "--latest")
    assert cut.code == 1
    assert "could not be signed: " in cut.err
    assert "latest" not in ask.tags(development, code)
    proxy.faults.clear()

    outcome = signer("push", "--latest")

    assert outcome.code == 0, outcome.err
    digest = json.loads(signer.agent.folder.joinpath(".docker_build.json").read_text())["digest"]
    assert signer.signatures(development, digest) == 1
    assert ask.digest(development, code, "latest") == digest


def packages(text: str) -> set[str]:
    return {one["name"] for one in json.loads(text)["packages"]}


@pytest.mark.parametrize(
    "signed",
    [pytest.param(True, id="attested"), pytest.param(False, id="attached", marks=pytest.mark.matrix)],
)
def test_an_sbom_goes_with_what_is_pushed(signer, gotool, development, production, code, monkeypatch, signed):
    if not signed:
        monkeypatch.delenv("CONTAINER_PIPELINE_SIGN")
    signer.set("CONTAINER_PIPELINE_SBOM", "true")
    place = "/usr/lib/python3/dist-packages/flask-3.0.0.dist-info/METADATA"
    signer.agent.folder.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: flask\nVersion: 3.0.0\n")
    signer.agent.folder.joinpath("Dockerfile").write_text(f"FROM scratch\nLABEL of={code}\nCOPY METADATA {place}\n")
    outcome = signer("build")
    assert outcome.code == 1
    assert "`sbom` needs the program syft" in outcome.err
    assert not signer.built.exists()
    monkeypatch.setenv("PATH", f"{Path(gotool('syft')).parent}:{os.environ['PATH']}")

    assert signer("build").code == 0
    outcome = signer("push", "--json")

    assert outcome.code == 0, outcome.err
    assert [step["name"] for step in outcome.result["steps"]] == ["push", "sbom", *(["sign"] if signed else [])]
    again = signer("push")
    assert again.code == 0, again.err
    assert "attached an SBOM" not in again.err
    assert signer("tag-prod").code == 0
    assert signer("push-prod").code == 0
    for one in (development, production):
        name = signer.tools.name(one, outcome.result["digest"])
        if signed:
            signer.tools.verify(one, outcome.result["digest"])
            options = ("--insecure-ignore-tlog", "--private-infrastructure", "--type", "spdxjson")
            (found,) = signer.tools("cosign", "verify-attestation", "--key", "cosign.pub", *options, name).splitlines()
            text = json.dumps(json.loads(base64.b64decode(json.loads(found)["payload"]))["predicate"])
        else:
            text = signer.tools("cosign", "download", "sbom", name)
        assert "flask" in packages(text)
    (row,) = signer("images", "--prod", "--json").result["images"]
    assert (row["signed"], row["sbom"]) == (signed, True)


def test_a_private_ca_is_trusted_for_signing_too(signer, gotool, registry_factory, tmp_path, monkeypatch):
    """A CA in Docker's folder of certificates, and one in REQUESTS_CA_BUNDLE."""
    secured = registry_factory(tls=True)
    signer.agent.use("DOCKER_REGISTRY", secured)
    signer.set("CONTAINER_PIPELINE_VERIFY", str(signer.key.with_suffix(".pub")))
    folder = tmp_path / "certs.d" / secured.address
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(secured.certificate.read_bytes())
    monkeypatch.setattr(connection, "_CERTS", tmp_path / "certs.d")
    signer.set("CONTAINER_PIPELINE_SBOM", "true")
    signer.set("PATH", f"{Path(gotool('syft')).parent}:{os.environ['PATH']}")
    for words in (("build",), ("push",), ("promote",)):
        outcome = signer(*words)
        assert outcome.code == 0, outcome.err

    (folder / "ca.crt").unlink()
    assert signer("promote").code == 1
    signer.set("REQUESTS_CA_BUNDLE", str(secured.certificate))
    monkeypatch.setenv("CONTAINER_PIPELINE_SBOM", "false")
    outcome = signer("promote")
    assert outcome.code == 0, outcome.err


def put_platforms(one, code, *names):
    """Put an index of an image for each platform, in each of which a Python package is installed, and an attestation."""
    entries = []
    for number, name in enumerate(names):
        raw = io.BytesIO()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            entry = tarfile.TarInfo(f"usr/lib/python3/dist-packages/{name}-1.0.dist-info/METADATA")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        layer = gzip.compress(raw.getvalue())
        diff = {"type": "layers", "diff_ids": [images.digest_of(raw.getvalue())]}
        architecture = ("amd64", "arm64")[number]
        config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": diff}).encode()
        kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
        described = [
            {"mediaType": kind, "size": len(data), "digest": images.put_blob(one, code, data)}
            for kind, data in zip(kinds, (config, layer))
        ]
        document = {"schemaVersion": 2, "mediaType": images.OCI, "config": described[0], "layers": described[1:]}
        image = images.put_manifest(one, code, "", document)
        entries.append(image.descriptor(platform={"os": "linux", "architecture": architecture}))
        notes = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image.digest}
        nowhere = {"os": "unknown", "architecture": "unknown"}
        attestation = images.put_image(one, code, "", 100, media_type=images.OCI)
        entries.append(attestation.descriptor(platform=nowhere, annotations=notes))
    index = {"schemaVersion": 2, "mediaType": images.INDEX, "manifests": entries}
    return images.put_manifest(one, code, VERSION, index), [one["digest"] for one in entries]


def test_each_platform_gets_an_sbom_of_its_own(gotool, tmp_path, agent, development, code, monkeypatch):
    """An engine that builds for several platforms at once cannot be had everywhere: the index is put there, the step is ours."""
    tools = Tools(gotool, tmp_path, code)
    tools.login(development)
    monkeypatch.setenv("PATH", f"{tools.path}:{Path(gotool('syft')).parent}:{os.environ['PATH']}")
    index, (first, attestation, second, _attestation) = put_platforms(development, code, "flask", "django")
    settings = load(agent.folder, {"code": code, "sbom": True})
    access = settings.access("development")
    run = Run(settings, Console(verbosity=0), Result("push"))

    signing.attach(Registries(run), Attach(settings.image(access, VERSION), access), Digest(index.digest))

    for digest, name in ((first, "flask"), (second, "django")):
        assert name in packages(tools("cosign", "download", "sbom", tools.name(development, digest)))
    tags = [tag for tag in ask.tags(development, code) if tag.endswith(".sbom")]
    assert sorted(tags) == sorted(f"{digest.replace(':', '-')}.sbom" for digest in (first, second))
    assert attestation.replace(":", "-") not in str(tags)
    (row,) = agent("images", "--json").result["images"]
    assert row["sbom"]
