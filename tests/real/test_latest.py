"""`latest` of a registry moves forward, to the image that was built last, whichever run ends last."""

from __future__ import annotations

import itertools
import json
import random
import threading

import pytest

from container_pipeline.clients.registry import RegistryClient
from container_pipeline.commands.registry import promote
from container_pipeline.console import Console
from container_pipeline.execute import Run
from container_pipeline.model import CREATED
from container_pipeline.result import Result
from container_pipeline.settings import load
from lab import ask, images
from lab.faultproxy import Fault

#: Two builds of one night in October: clocks went back between them, so that the later one has the lower version.
EARLIER, LATER = ("20261025025500", "2026-10-25T00:55:00Z"), ("20261025020500", "2026-10-25T01:05:00Z")


def put(registry, code, build, *sizes):
    return images.put_image(registry, code, build[0], *sizes, labels={CREATED: build[1]} if build[1] else None)


def test_promotion_keeps_a_latest_that_was_built_later(agent, development, production, code):
    earlier, later = put(development, code, EARLIER), put(development, code, LATER)
    assert agent("promote", "--version", LATER[0]).code == 0
    done = agent("promote", "--version", EARLIER[0], "--json")
    assert done.code == 0, done.err
    assert f"`latest` in {production.address} stays: it names an image that was built later ({LATER[1]})" in done.err
    assert done.result["published"] == [f"{production.address}/{code}:{EARLIER[0]}"]
    assert ask.digest(production, code, EARLIER[0]) == earlier.digest
    assert ask.digest(production, code, "latest") == later.digest
    # The version is in production already: what is left is to move the tag, which stays, too.
    assert agent("promote", "--version", EARLIER[0]).code == 0
    assert ask.digest(production, code, "latest") == later.digest
    # A person may want it back, after a deploy that failed.
    assert agent("promote", "--version", EARLIER[0], "--force-latest").code == 0
    assert ask.digest(production, code, "latest") == earlier.digest


def test_promotion_never_writes_latest_where_it_is_off(agent, development, production, code, monkeypatch):
    monkeypatch.setenv("CONTAINER_PIPELINE_LATEST", "false")
    image = put(development, code, EARLIER)
    done = agent("promote", "--version", EARLIER[0], "--json")
    assert (done.code, done.result["published"]) == (0, [f"{production.address}/{code}:{EARLIER[0]}"]), done.err
    again = agent("promote", "--version", EARLIER[0])
    assert (again.code, f"{EARLIER[0]} is already in production\n" in again.err) == (0, True), again.err
    assert ask.tags(production, code) == [EARLIER[0]]
    assert ask.digest(production, code, EARLIER[0]) == image.digest
    refused = agent("promote", "--version", EARLIER[0], "--force-latest")
    assert (refused.code, "`latest: false` is set" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (412, "Failed to process request due to 'x:latest' configured as immutable."),
        (412, ""),
        (400, "The image tag already exists and cannot be overwritten because the repository is immutable."),
    ],
    ids=["Harbor", "bare", "ECR"],
)  # fmt: skip
def test_an_immutable_latest_is_one_sentence(agent, development, production, code, fault_proxy, status, said):
    put(development, code, EARLIER)
    body = json.dumps({"errors": [{"code": "DENIED", "message": said}]}).encode() if said else b""
    proxy = fault_proxy(production.address, Fault("PUT", "/manifests/latest", status=status, body=body))
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)
    done = agent("promote", "--version", EARLIER[0])
    assert done.code == 1
    assert f"does not let {code}:latest change: its tags are immutable" in done.err
    assert "set `latest: false`" in done.err
    # It is asked once, and the version is there.
    assert proxy.count("PUT", "/manifests/latest") == 1
    assert ask.tags(production, code) == [EARLIER[0]]


def test_a_promotion_in_order_moves_latest(agent, development, production, code):
    for build in (EARLIER, LATER):
        image = put(development, code, build)
        assert agent("promote", "--version", build[0]).code == 0
        assert ask.digest(production, code, "latest") == image.digest


@pytest.mark.parametrize("ages", [("", EARLIER[1]), (LATER[1], ""), ("soon", EARLIER[1]), (LATER[1], LATER[1])])
def test_unknown_or_equal_age_still_moves_latest(agent, development, production, code, ages):
    for version, age in zip(("1", "2"), ages):
        image = put(development, code, (version, age))
        assert agent("promote", "--version", version).code == 0
        assert ask.digest(production, code, "latest") == image.digest


def test_age_comparison_uses_time_zones_and_index_age(agent, development, production, code):
    """01:05 in Greenwich is 02:05 in Berlin's winter."""
    first, second = "2026-10-25T02:05:00.25+01:00", "2026-10-25T01:04:59Z"
    index, _children = images.put_index(development, code, "1", labels={CREATED: first})
    put(development, code, ("2", second))
    for version in ("1", "2"):
        assert agent("promote", "--version", version).code == 0
    assert ask.digest(production, code, "latest") == index.digest


def test_a_latest_that_cannot_be_read_is_replaced(agent, development, production, code, fault_proxy):
    old, new = put(development, code, LATER), put(development, code, EARLIER)
    assert agent("promote", "--version", LATER[0]).code == 0
    proxy = fault_proxy(production.address, Fault("GET", f"/blobs/{old.document['config']['digest']}", status=404))
    agent.use("DOCKER_REGISTRY_PROD", production, proxy.address)
    assert agent("promote", "--version", EARLIER[0]).code == 0
    assert ask.digest(production, code, "latest") == new.digest


@pytest.mark.parametrize("between", [EARLIER, LATER], ids=["an older one", "a newer one"])
def test_latest_is_corrected_after_a_concurrent_run(agent, development, production, code, monkeypatch, between):
    """Another machine's run writes right after ours: what it leaves is looked at again."""
    ours = ("1", "2026-10-25T01:00:00Z")
    mine, theirs = put(development, code, ours), put(production, code, between)
    genuine = RegistryClient._put
    came: list[str] = []

    def put_and_be_overtaken(self, repository, reference, manifest):
        genuine(self, repository, reference, manifest)
        if reference == "latest" and not came:
            came.append(images.put_manifest(production, code, "latest", theirs.document).digest)

    monkeypatch.setattr(RegistryClient, "_put", put_and_be_overtaken)
    done = agent("promote", "--version", ours[0])
    assert done.code == 0, done.err
    assert came == [theirs.digest]
    assert ask.digest(production, code, "latest") == (theirs if between == LATER else mine).digest


def test_others_who_never_let_go_are_told(agent, development, production, code, monkeypatch):
    put(development, code, LATER)
    theirs = itertools.cycle([put(production, code, ("1", EARLIER[1])), put(production, code, ("2", EARLIER[1]))])
    genuine = RegistryClient._put

    def put_and_be_overtaken(self, repository, reference, manifest):
        genuine(self, repository, reference, manifest)
        if reference == "latest":
            images.put_manifest(production, code, "latest", next(theirs).document)

    monkeypatch.setattr(RegistryClient, "_put", put_and_be_overtaken)
    done = agent("promote", "--version", LATER[0])
    assert done.code == 1
    assert f"other runs move `latest` of {code} again and again" in done.err


@pytest.mark.slow
@pytest.mark.matrix
def test_concurrent_promotions_leave_latest_at_newest_build(development, production, code, tmp_path, agent):
    settings = load(tmp_path, {"code": code}, "")
    order = list(range(200))
    random.Random(20).shuffle(order)
    newest = -1
    failures: list[BaseException] = []

    def one(version: str) -> None:
        try:
            promote.run(Run(settings, Console(verbosity=-1), Result("promote")), version)
        except BaseException as error:
            failures.append(error)

    digests = {}
    for pair in zip(order[::2], order[1::2]):
        for number in pair:
            version = str(100 + number)
            age = f"2026-11-24T{number // 60:02}:{number % 60:02}:00Z"
            digests[number] = put(development, code, (version, age), 300).digest
        threads = [threading.Thread(target=one, args=(str(100 + number),)) for number in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        newest = max(newest, *pair)
        assert failures == []
        assert ask.digest(production, code, "latest") == digests[newest], pair


def test_promotions_on_one_machine_move_latest_in_turn(development, production, code, tmp_path, agent, monkeypatch):
    """Without that, the older one, which has seen no newer one, writes last, and nobody looks again."""
    put(development, code, EARLIER)
    later = put(development, code, LATER)
    settings, threads = load(tmp_path, {"code": code}, ""), list[threading.Thread]()
    genuine = RegistryClient._put

    def promoted(version: str) -> threading.Thread:
        run = Run(settings, Console(verbosity=-1), Result("promote"))
        threads.append(threading.Thread(target=promote.run, args=(run, version)))
        threads[-1].start()
        return threads[-1]

    def put_when_the_other_is_done(self, repository, reference, manifest):
        if reference == "latest" and len(threads) == 1:
            promoted(LATER[0]).join(3)
        genuine(self, repository, reference, manifest)

    monkeypatch.setattr(RegistryClient, "_put", put_when_the_other_is_done)
    promoted(EARLIER[0])
    for thread in threads:
        thread.join()
    assert ask.digest(production, code, "latest") == later.digest
