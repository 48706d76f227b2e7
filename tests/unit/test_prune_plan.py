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


def test_prune_keeps_newest_and_deletes_oldest_first():
    assert deleted(FIVE, keep=2) == [(DAY(1), "a"), (DAY(2), "b"), (DAY(3), "c")]


def test_prune_deletes_nothing_within_the_keep_limit():
    assert deleted(FIVE, keep=5) == []


def test_latest_is_kept_however_old():
    assert deleted({**FIVE, "latest": "a"}, keep=2) == [(DAY(2), "b"), (DAY(3), "c")]


def test_prune_keeps_versions_needed_for_rollback():
    assert deleted(FIVE, keep=2, in_use=(DAY(2),)) == [(DAY(1), "a"), (DAY(3), "c")]


def test_prune_keeps_a_version_pinned_by_digest():
    assert deleted(FIVE, keep=2, in_use=(str(digest("b")),)) == [(DAY(1), "a"), (DAY(3), "c")]


def test_prune_keeps_digest_shared_with_a_kept_version():
    assert deleted({**FIVE, DAY(1): "e"}, keep=2) == [(DAY(2), "b"), (DAY(3), "c")]


def test_prune_deletes_digest_of_two_versions_only_once():
    assert deleted({**FIVE, DAY(2): "a"}, keep=3) == [(DAY(1), "a")]


def test_prune_keeps_other_tags_and_their_digests():
    assert deleted({**FIVE, "stable": "b", "v1.2": "f", "20261": "d"}, keep=3) == [(DAY(1), "a")]


def test_prune_deletes_manifests_of_an_index_unless_needed():
    tags = {DAY(1): "a", DAY(2): "b", DAY(3): "c"}
    assert deleted(tags, keep=1, a="123", b="234", c="45") == [
        (DAY(1), "a"),
        (DAY(1), "1"),
        (DAY(1), "2"),
        (DAY(1), "3"),
        (DAY(2), "b"),
    ]


def test_prune_keeps_version_inside_a_kept_index():
    assert deleted({DAY(1): "a", DAY(2): "b"}, keep=1, b="a") == []
