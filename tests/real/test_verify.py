"""Only what one of the project's keys signed is promoted and deployed: checked by the real cosign."""

from __future__ import annotations

import os

import pytest

from lab import ask, images
from lab.registry import Registry
from real.cosign import Tools

VERSION, OTHER = "20261124093015", "20261123080000"


@pytest.fixture(params=[pytest.param("cosign", marks=pytest.mark.matrix), "cosign-3"])
def tools(request, gotool, tmp_path, code, agent, development, production, monkeypatch):
    made = Tools(gotool, tmp_path, code, request.param)
    made.login(development, production)
    monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
    monkeypatch.setenv("CONTAINER_PIPELINE_VERIFY", str(made.folder / "cosign.pub"))
    return made


def test_only_signed_images_are_promoted(agent, tools, development, production, code, monkeypatch):
    image = images.put_image(development, code, VERSION)
    tools.sign(development, image.digest)
    tools.new_key("other")
    monkeypatch.setenv("CONTAINER_PIPELINE_VERIFY", f"{tools.folder}/other.pub {tools.folder}/cosign.pub")

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert f"{code}@{image.digest} is signed" in outcome.err
    assert ask.digest(production, code, "latest") == image.digest
    assert agent("promote", "--version", VERSION).code == 0
    tools.sign(development, images.put_image(development, code, OTHER).digest)
    assert agent("promote", "--version", OTHER, "--force-latest").code == 0
    assert agent("promote", "--version", VERSION, "--force-latest").code == 0


def unsigned(tools: Tools, one: Registry, digest: str) -> None:
    """Nobody signed it."""


def signed_by_another_key(tools: Tools, one: Registry, digest: str) -> None:
    tools.sign(one, digest, "other")


def signed_for_another_image(tools: Tools, one: Registry, digest: str) -> None:
    """Somebody puts another image's signature where that of this one is looked for."""
    other = images.put_image(one, tools.code, OTHER)
    tools.sign(one, other.digest)
    tag = f"{other.digest.replace(':', '-')}.sig"
    if tag in ask.tags(one, tools.code):
        stolen = ask.registry(one, "GET", f"/v2/{tools.code}/manifests/{tag}", Accept=images.OCI).body
        path = f"/v2/{tools.code}/manifests/{digest.replace(':', '-')}.sig"
        assert ask.registry(one, "PUT", path, stolen, Content_Type=images.OCI).status == 201


def removed(tools: Tools, one: Registry, digest: str) -> None:
    tools.sign(one, digest)
    name = digest.replace(":", "-")
    for tag in (name, f"{name}.sig"):
        found = ask.digest(one, tools.code, tag)
        if found:
            assert ask.registry(one, "DELETE", f"/v2/{tools.code}/manifests/{found}").status == 202


@pytest.mark.parametrize("tools", ["cosign"], indirect=True)
def test_promote_and_deploy_refuse_what_no_key_signed(agent, tools, development, production, code, monkeypatch):
    """A deploy is refused before a server is touched: there is none."""
    agent.folder.joinpath("docker-compose.yml").write_text(f"services: {{{code}: {{image: x}}}}\n")
    monkeypatch.setenv("CONTAINER_PIPELINE_SERVERS", "server.invalid")
    monkeypatch.setenv("CONTAINER_PIPELINE_REGISTRY", "development")
    tools.new_key("other")
    for number, state in enumerate((unsigned, signed_by_another_key, signed_for_another_image, removed)):
        version, described = f"2026112409301{number}", state.__name__
        image = images.put_image(development, code, version)
        state(tools, development, image.digest)

        outcome = agent("promote", "--version", version)

        assert outcome.code == 1, described
        assert f"{code}@{image.digest} is not verified: cosign.pub: " in outcome.err, described
        assert ask.tags(production, code) == [], described

        outcome = agent("deploy", "--version", version)

        assert outcome.code == 1, described
        assert f"{development.address}/{code}@{image.digest} is not verified: cosign.pub: " in outcome.err, described
        assert "server.invalid" not in outcome.err, described


@pytest.mark.parametrize("tools", ["cosign"], indirect=True)
def test_what_verify_needs_is_missed_early(agent, tools, development, production, code, monkeypatch):
    images.put_image(development, code, VERSION)
    agent.folder.joinpath("Dockerfile").write_text("FROM scratch\n")
    monkeypatch.setenv("PATH", "/nowhere")
    for words in (("build",), ("promote", "--version", VERSION)):
        outcome = agent(*words)
        assert outcome.code == 1
        assert "`verify` needs the program cosign" in outcome.err
    monkeypatch.setenv("CONTAINER_PIPELINE_VERIFY", "nokey.pub")
    assert "nokey.pub does not exist" in agent("promote", "--version", VERSION).err
    assert ask.tags(production, code) == []


@pytest.mark.parametrize("tools", ["cosign"], indirect=True)
def test_no_command_of_docker_sh_passes_the_check(agent, tools, engine, development, production, code, monkeypatch):
    monkeypatch.setenv("PATH", f"{tools.path}:{os.environ['PATH']}")
    agent.folder.joinpath("Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    assert agent("build").code == 0
    assert agent("tag-prod").code == 0
    assert "would reach production without a check" in agent("push-prod").err
    assert agent("push").code == 0

    refused = agent("push-prod")

    assert refused.code == 1
    assert "is not verified: cosign.pub: " in refused.err
    assert ask.tags(production, code) == []
    tools.sign(
        development, ask.digest(development, code, agent.folder.joinpath(".docker_build_version").read_text().strip())
    )
    assert agent("push-prod").code == 0


def test_servers_run_only_signed_releases(site, gotool, tmp_path, registry_factory):
    site.use(registry_factory())
    tools = Tools(gotool, tmp_path, site.code)
    tools.login(site.registry)
    site.set("PATH", f"{tools.path}:{os.environ['PATH']}")
    old = site.deployed()
    new, newest = site.publish(), site.publish()
    tools.sign(site.registry, site.digest(new))
    tools.sign(site.registry, site.digest(newest))
    site.set("CONTAINER_PIPELINE_VERIFY", str(tools.folder / "cosign.pub"))

    refused = site("deploy", "--version", old)
    assert refused.code == 1
    assert "is not verified: cosign.pub: " in refused.err
    assert site("deploy", "--version", new).code == 0

    back = site("rollback")
    assert back.code == 1
    assert f"release {old} is not signed by any key of `verify`" in back.err
    assert site.running().endswith(new)
    assert site("deploy", "--version", newest).code == 0
    assert site("rollback").code == 0
    assert site.running().endswith(new)

    assert site("rollback", "--version", old, "--no-verify", "the new one\nloses orders").code == 2
    assert site("rollback", "--version", old, "--no-verify", "the new one loses orders").code == 0
    assert site.running().endswith(old)
    assert "without verification: the new one" in site("history").out


def test_plain_http_is_spoken_where_it_is_insecure(agent, tools, development, production, code, monkeypatch):
    """The registry itself is the proxy by which its other name is found. Cosign 3 finds its own new format by https alone."""
    image = images.put_image(development, code, VERSION)
    tools.sign(development, image.digest, old=True)
    agent.use("DOCKER_REGISTRY", development, "registry.example")
    monkeypatch.setenv("http_proxy", f"http://{development.address}")
    monkeypatch.setenv("CONTAINER_PIPELINE_INSECURE", "registry.example")

    outcome = agent("promote", "--version", VERSION)

    assert outcome.code == 0, outcome.err
    assert f"registry.example/{code}@{image.digest} is signed" in outcome.err
    assert ask.digest(production, code, VERSION) == image.digest
