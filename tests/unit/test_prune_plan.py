"""Versions that may be deleted from a registry."""

from __future__ import annotations

from container_pipeline.model import Digest, ImageRef, Registry, RegistryAccess, Repository
from container_pipeline.plan.prune import Delete, Held, plan

REGISTRY = Registry("registry.example")
ACCESS = RegistryAccess("development", REGISTRY)
IMAGE = ImageRef(REGISTRY, Repository("aglaia-web-re"), "latest")


def digest(letter: str) -> Digest:
    return Digest("sha256:" + letter * 64)


def deleted(tags: dict[str, str], keep: int, in_use: tuple[str, ...] = (), **parts: str) -> list[tuple[str, str]]:
    """Return (tag, digest's letter) of what goes; ``parts`` names an index's manifests by letters."""
    held = Held(
        {tag: digest(letter) for tag, letter in tags.items()},
        {digest(index): [digest(letter) for letter in letters] for index, letters in parts.items()},
    )
    steps = plan(IMAGE, ACCESS, held, keep, in_use)
    return [(step.image.tag, step.digest[-1]) for step in steps if isinstance(step, Delete)]


DAY = "202611{:02d}080000".format
FIVE = {DAY(day): "abcde"[day - 1] for day in range(1, 6)}


def test_the_newest_are_kept_and_the_oldest_go_first():
    assert deleted(FIVE, keep=2) == [(DAY(1), "a"), (DAY(2), "b"), (DAY(3), "c")]


def test_nothing_goes_where_there_are_no_more_than_are_kept():
    assert deleted(FIVE, keep=5) == []


def test_latest_is_kept_however_old():
    assert deleted({**FIVE, "latest": "a"}, keep=2) == [(DAY(2), "b"), (DAY(3), "c")]


def test_what_a_server_may_go_back_to_is_kept():
    assert deleted(FIVE, keep=2, in_use=(DAY(2),)) == [(DAY(1), "a"), (DAY(3), "c")]


def test_a_digest_that_a_kept_version_shares_is_not_deleted():
    assert deleted({**FIVE, DAY(1): "e"}, keep=2) == [(DAY(2), "b"), (DAY(3), "c")]


def test_two_old_versions_of_one_digest_are_one_deletion():
    assert deleted({**FIVE, DAY(2): "a"}, keep=3) == [(DAY(1), "a")]


def test_tags_that_are_no_versions_stay_and_hold_what_they_name():
    assert deleted({**FIVE, "stable": "b", "v1.2": "f", "20261": "d"}, keep=3) == [(DAY(1), "a")]


def test_an_index_goes_with_its_manifests_but_not_with_those_that_something_kept_needs():
    tags = {DAY(1): "a", DAY(2): "b", DAY(3): "c"}
    assert deleted(tags, keep=1, a="123", b="234", c="45") == [
        (DAY(1), "a"),
        (DAY(1), "1"),
        (DAY(1), "2"),
        (DAY(1), "3"),
        (DAY(2), "b"),
    ]


def test_a_version_that_is_part_of_a_kept_index_stays():
    assert deleted({DAY(1): "a", DAY(2): "b"}, keep=1, b="a") == []
