"""Missing parts are found before any change: one sentence, exit code 1, and the old container keeps running."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from container_pipeline.model import Digest
from container_pipeline.remote import transfer
from lab.registry import Registry
from real.site import Site


@pytest.fixture
def untouched(either: Site):
    """Deploy once; check at the end that files and container are unchanged."""
    either.deployed()
    before = either.files(), either.container()
    yield either
    assert (either.files(), either.container()) == before
    assert either.left_over() == ""
    assert either.lock_is_free()


def refused(site: Site, sentence: str, *options: str, password: str = "") -> None:
    with pytest.MonkeyPatch.context() as patch:
        if password:
            patch.setenv("DOCKER_REGISTRY_PASS", password)
        done = site("deploy", *options)
    assert done.code == 1, done.err
    assert sentence in done.err
    assert "switching" not in done.err


def test_deploy_refuses_missing_parts_without_changes(
    untouched: Site, registry_factory: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
):
    site = untouched
    refused(site, "is not in the registry", "--version", "20200101000000")
    # Another service's image.
    compose = (site.folder / "docker-compose.yml").read_text()
    site.append("docker-compose.yml", f"  other:\n    image: {site.registry.address}/{site.code}:nothing\n")
    refused(site, "is not in the registry", "--version", site.publish())
    site.write("docker-compose.yml", compose)
    # What the agent has found in the registry, and the server cannot pull: it has been deleted meanwhile, …
    digests = [Digest("sha256:" + "0" * 64), Digest(site.digest(site.publish()))]
    monkeypatch.setattr("container_pipeline.execute.release._resolve", lambda *_args: digests[-1])
    refused(site, "the login is missing or wrong", "--version", "20200101000000", password="another-one")
    digests.pop()
    refused(site, "is not in the registry", "--version", "20200101000000")
    # … or the registry has stopped.
    registry = registry_factory()
    site.use(registry)
    registry.stop()
    refused(site, f"{site.code}@{digests[-1]} cannot be pulled", "--version", "20200101000000")
    site.use(site.lab.development)
    # What Compose refuses, what the agent does, and a file that is nowhere.
    unworkable(site, CANNOT_BE_RIGHT[:3])


CANNOT_BE_RIGHT = [
    ("restart:", "restarts: always\n    restart:", "Compose refuses docker-compose.yml"),
    ("  CODE:\n", "  other:\n", "has no service named CODE"),
    ("ports:", 'volumes: ["./conf/x.yml:/x.yml"]\n    ports:', "mounts conf/x.yml, which is not uploaded"),
    ("${VERSION:-latest}", "1.0", "service CODE runs"),
    ("[.env]", "[.env, more.env]", "mounts more.env, which is not uploaded"),
    ("services:", "serwices:", "Compose refuses docker-compose.yml"),
    ("services:", "services: [", "Compose refuses docker-compose.yml"),
    ("restart:", "networks: [other]\n    restart:", "undefined network"),
    (
        "services:",
        "networks: {default: {name: nowhere, external: true}}\nservices:",
        "external network nowhere does not exist",
    ),
    ("restart:", "secrets: [key]\n    restart:", "mounts key.txt, which is not uploaded"),
    ("restart:", "scale: 0\n    restart:", "has no replicas"),
]


def unworkable(site: Site, changes: list[tuple[str, str, str]]) -> None:
    """Refuse the project's Compose file with each of these changes."""
    text = (site.folder / "docker-compose.yml").read_text()
    for before, after, sentence in changes:
        changed = text.replace(before.replace("CODE", site.code), after.replace("CODE", site.code), 1)
        if "scale" in after:
            changed = changed.replace('"3.5"', '"2.4"')
        if "secrets" in after:
            changed += "secrets: {key: {file: ./key.txt}}\n"
        site.write("docker-compose.yml", changed)
        refused(site, sentence.replace("CODE", site.code), "--version", "20200101000000")


@pytest.mark.matrix  # three above, the rest in unit tests of the resolved form and among the variants of Compose files
def test_deploy_refuses_unworkable_compose_files_without_changes(untouched: Site, monkeypatch: pytest.MonkeyPatch):
    digest = Digest(untouched.digest(untouched.publish()))
    monkeypatch.setattr("container_pipeline.execute.release._resolve", lambda *_args: digest)
    unworkable(untouched, CANNOT_BE_RIGHT[3:])


def test_deploy_refuses_external_reserved_and_empty_files(site: Site):
    (site.folder / "empty" / "folder").mkdir(parents=True)
    (site.folder / "conf").mkdir()
    (site.folder / "conf" / "link").symlink_to("/etc/hostname")
    site.set("CONTAINER_PIPELINE_SERVERS", "nowhere.invalid")
    for files in ("../secret", "/etc/passwd", ".env", "releases/x", ".", "-rf", "a,a/b", "empty"):
        site.set("CONTAINER_PIPELINE_FILES", files)
        refused(site, "files: ", "--version", "20200101000000")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    refused(site, "leads out of the project", "--version", "20200101000000")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ({"engine": "none"}, "Docker is not installed"),
        ({"engine": "server-1", "compose": "none"}, "Docker Compose is not installed"),
    ],
    ids=["no-docker", "no-compose"],
)
def test_a_server_without_docker_or_compose(site: Site, server_factory, kind, sentence):
    version = site.publish()
    server = server_factory(**kind)
    refused(site.on(server), sentence, "--version", version)
    assert server.run(f"find /docker/compose/{site.code} -type f 2>/dev/null || true").split() in (
        [],
        [f"/docker/compose/{site.code}/.lock"],
    )


def test_a_full_disk_changes_nothing(site: Site, server_factory, monkeypatch: pytest.MonkeyPatch):
    server = server_factory(engine="server-1", disk="1m")
    site.on(server)
    site.deployed("plain")
    state, fill = "cat docker-compose.yml .env; ls -A . releases", "dd if=/dev/zero of=/docker/filler bs=4k 2>/dev/null"
    before = site.sh(state)
    site.sh(f"{fill} || true")
    version = site.publish("plain")
    # Space for none of the files, for a few more of them each time, and at last for all.
    for _ in range(40):
        done = site("deploy", "--version", version)
        if done.code == 0:
            break
        assert (done.code, "the disk is full" in done.err) == (1, True), done.err
        assert site.sh(f"{state}; truncate -s -8192 /docker/filler") == before
    assert done.code == 0
    # A release that cannot be recorded is rolled back.
    site.sh("rm /docker/filler")
    kept, genuine = (
        "cat docker-compose.yml .env; head -n 1 releases/.current; ls . releases releases/.current*",
        transfer.program,
    )
    before = site.sh(kept)
    recording = "    step keep\n"
    monkeypatch.setattr(
        transfer, "program", lambda *given: genuine(*given).replace(recording, f"{recording}    {fill}\n")
    )
    done = site("deploy", "--version", site.publish("plain"))
    assert done.code == 3, done.err
    assert "the release could not be recorded" in done.err
    monkeypatch.setattr(transfer, "program", genuine)
    site.sh("rm /docker/filler")
    assert (site.sh(kept), site.running()) == (before, version)
    # A folder that is read-only.
    server.run("mount -o remount,ro /docker")
    refused(site, "the folder cannot be written", "--version", site.publish())
    assert site.sh(kept) == before


def test_deploy_suggests_sudo_and_succeeds_with_it(site: Site):
    version = site.publish()
    server = site.servers[0]
    server.run(f"mkdir -p /docker/compose/{site.code} && chown deploy /docker/compose/{site.code}")
    site.set("CONTAINER_PIPELINE_SERVERS", f"deploy@{server.name}")
    refused(site, "set `sudo: true`", "--version", version)
    site.set("CONTAINER_PIPELINE_SUDO", "true")
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err
    assert site("rollback").code == 1
    assert server.get(site.port).strip() == version
