"""The images of a release's other services: pulled where missing, pinned by digest, and the same again after a rollback."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from lab import ask, smallimage
from lab.registry import Registry
from real.site import PINNED, Site


class Cache:
    """A companion's image in the registry, whose tag can be moved."""

    def __init__(self, site: Site) -> None:
        self.site, self.repository = site, f"{site.code}-cache"
        self.name = f"{site.registry.address}/{self.repository}"
        self.image = f"{self.name}:7"
        self.turn = 0

    def move(self, tag: str = "7") -> str:
        """Push another image under the tag; return its digest."""
        self.turn += 1
        config = {"Cmd": ["sleep", "999"], "Labels": {"turn": f"{self.repository} {self.turn}"}}
        smallimage.push(self.site.lab, self.site.registry, self.repository, tag, config)
        return ask.digest(self.site.registry, self.repository, tag)

    def pull(self) -> str:
        """Let somebody else on the server take what the tag names; return the image's id."""
        server = self.site.servers[0]
        server.docker("--config", str(self.site.login()), "pull", "-q", self.image)
        return server.docker("image", "inspect", "-f", "{{.Id}}", self.image)


def add(site: Site, image: str, name: str = "side") -> None:
    site.append(
        "docker-compose.yml", f"  {name}: {{image: '{image}', command: [sleep, '999'], stop_grace_period: 0s}}\n"
    )


def runs(site: Site, service: str = "side") -> tuple[str, str]:
    """Return the container of a service, and its image by digest, or by id where it has none."""
    server, name = site.servers[0], "com.docker.compose"
    labels = ("--filter", f"label={name}.project={site.code}", "--filter", f"label={name}.service={service}")
    container = server.docker("ps", "-q", "--no-trunc", *labels).strip()
    image = server.docker("inspect", "-f", "{{.Image}}", container).strip()
    digests = json.loads(server.docker("image", "inspect", "-f", "{{json .RepoDigests}}", image))
    return container, digests[0].rpartition("@")[2] if digests else image


def up_by_hand(site: Site) -> None:
    site.sh(f"{'docker compose' if site.servers[0].compose == 'v2' else 'docker-compose'} up -d 2>&1")


def test_moved_tag_changes_no_companion_on_any_way(either: Site):
    cache, server = Cache(either), either.servers[0]
    first = cache.move()
    cache.move("8")
    add(either, cache.image)
    add(either, f"{cache.name}:8", "other")
    versions = [either.deployed("plain")]
    before, other = runs(either), runs(either, "other")
    second = cache.move()
    theirs = cache.pull()
    # One that is missing is pulled, and no other.
    cache.move("9")
    add(either, f"{cache.name}:9", "late")
    versions.append(either.deployed("plain"))
    up_by_hand(either)
    assert before == runs(either) == (before[0], first)
    # Only this takes the new one. A failure brings the former one back, and so does a rollback by two releases.
    either.set("CONTAINER_PIPELINE_PULL", "always")
    done = either("deploy", "--version", either.publish("unhealthy"))
    assert (done.code, runs(either)[1]) == (3, first), done.err
    versions.append(either.deployed("plain"))
    assert (runs(either)[1], runs(either, "other")) == (second, other)
    either.unset("CONTAINER_PIPELINE_PULL")
    shown = {one["service"]: one for one in either("status", "--json").result["servers"][0]["containers"]}
    assert (shown["side"]["image"], shown["side"]["digest"]) == (cache.image, second)
    assert shown[either.code]["digest"] == either.digest(versions[-1])
    assert second[7:19] in either("status").out
    assert "would change nothing" in either("diff", "--version", versions[-1]).out
    # Where the host has removed it, it is pulled by its digest.
    server.docker("rmi", f"{cache.name}@{first}")
    done = either("rollback", "--version", versions[0])
    assert (done.code, runs(either)[1]) == (0, first), done.err
    before = runs(either)
    up_by_hand(either)
    assert runs(either) == before
    assert server.docker("image", "inspect", "-f", "{{.Id}}", cache.image) == theirs


#: Compose v1 in `make test`: it has the pins from a file and a `.env` of its own kind.
@pytest.mark.parametrize(
    "either", [1, pytest.param(0, marks=pytest.mark.matrix)], ids=["compose-v1", "compose-v2"], indirect=True
)
def test_image_without_digest_is_pinned_by_its_id(either: Site):
    server, image = either.servers[0], f"{either.code}-tool:1"
    cache = Cache(either)
    cache.move()
    base = server.docker("create", "--name", f"{either.code}-base", cache.pull().strip()).strip()

    def build(text: str) -> str:
        return server.docker("commit", "-c", f"LABEL text={text}", base, image).strip()

    ids = [build("one")]
    for name in ("side", "other"):
        add(either, image, name)
    either.deployed("plain")
    assert (runs(either)[1], runs(either, "other")[1]) == (ids[0], ids[0])
    before = runs(either)
    ids.append(build("two"))
    up_by_hand(either)
    assert runs(either) == before
    either.deployed("plain")
    assert runs(either)[1] == ids[1]
    done = either("rollback")
    assert (done.code, runs(either)[1], runs(either, "other")[1]) == (0, ids[0], ids[0]), done.err


def test_release_without_pins_keeps_its_running_image(either: Site):
    cache = Cache(either)
    first = cache.move()
    add(either, cache.image)
    version = either.deployed("plain")
    # As an earlier agent left it.
    either.sh(
        f"rm -f {PINNED} releases/*/{PINNED} releases/*/.units && sed -i /^COMPOSE_FILE=/d .env releases/*/.env && "
        f'sed -i \'s/, "companions": "[^"]*"//; s/:{PINNED}//\' releases/*/release.json'
    )
    up_by_hand(either)
    cache.move()
    cache.pull()
    done = either("deploy", "--version", either.publish("unhealthy"))
    assert (done.code, runs(either)[1], PINNED in either.files()) == (3, first, False), done.err
    cache.pull()
    either.deployed("plain")
    assert (runs(either)[1], PINNED in either.files()) == (first, True)
    done = either("rollback")
    assert (done.code, either.running(), PINNED in either.files()) == (0, version, False), done.err


def test_keep_and_prune_leave_a_companions_image(
    site: Site, registry_factory: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
):
    registry = registry_factory()
    site.use(registry)
    site.set("CONTAINER_PIPELINE_KEEP", "2")
    compose = (site.folder / "docker-compose.yml").read_text()
    old = site.deployed("plain")
    add(site, f"{registry.address}/{site.code}:{old}")
    former = site.deployed("plain")
    site.write("docker-compose.yml", compose)
    site.deployed("plain")
    assert site.sh(f"ls -d releases/{old} {PINNED} 2>/dev/null || true") == ""
    done = site("prune")
    assert (done.code, bool(site.digest(old))) == (0, True), done.err
    # A rollback needs no registry, and pins cost it no process: one look at the engine finds all images.
    registry.stop()
    genuine: Callable[..., str] = transfer.program
    log = f"/docker/log-{site.code}"
    counted = f'dock() {{\necho "$*" >>{log}\n'
    monkeypatch.setattr(transfer, "program", lambda *given: genuine(*given).replace("dock() {\n", counted))
    done = site("rollback")
    assert (done.code, site.running()) == (0, former), done.err
    assert site.sh(f"grep -c 'image inspect' {log}; rm {log}").strip() == "1"
