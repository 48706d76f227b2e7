"""Listing what two real registries hold."""

from __future__ import annotations

import time

from lab import ask, images
from lab.faultproxy import Fault

FIRST, SECOND, THIRD = "20261122080000", "20261123080000", "20261124080000"


def test_images_lists_newest_first_with_their_production_state(agent, development, production, code):
    for version in (FIRST, SECOND, THIRD):
        images.put_image(development, code, version, 2_500_000, created="2026-11-20T10:00:00.123456789Z")
    for version in (FIRST, SECOND):
        assert agent("promote", "--version", version).code == 0

    outcome = agent("images")

    assert outcome.code == 0, outcome.err
    table = [line.split() for line in outcome.out.splitlines()]
    assert table[0] == ["VERSION", "DIGEST", "SIZE", "CREATED", "AGE", "HERE", "DEVELOPMENT", "PRODUCTION"]
    assert [row[0] for row in table[1:]] == [THIRD, SECOND, FIRST]
    assert table[1][-3:] == ["yes", "not", "yet"]
    assert table[2][-2:] == ["yes", "latest"]
    assert table[3][-2:] == ["yes", "yes"]
    assert table[1][2:5] == ["2.5", "MB", "2026-11-20"]


def test_the_result_names_digests_sizes_and_dates(agent, development, code):
    image = images.put_image(development, code, FIRST, 1000)
    images.put_manifest(development, code, "latest", image.document)
    found = agent("images", "--json").result["images"]
    size = 1000 + image.document["config"]["size"]
    assert found == [
        {
            "version": FIRST,
            "digest": image.digest,
            "here": False,
            "size": size,
            "created": "2026-11-24T09:30:15+00:00",
            "signed": False,
            "sbom": False,
            "registries": {"development": image.digest},
            "latest": ["development"],
        }
    ]


def test_images_shows_a_different_image_in_production(agent, development, production, code):
    images.put_image(development, code, FIRST)
    other = images.put_image(production, code, FIRST)
    assert f"differs: {other.digest[7:19]}" in agent("images").out


def test_production_alone_where_it_is_asked_for(agent, development, production, code):
    images.put_image(development, code, FIRST)
    images.put_image(production, code, SECOND)
    out = agent("images", "--prod").out
    assert SECOND in out
    assert FIRST not in out
    assert "DEVELOPMENT" not in out


def test_an_index_counts_all_its_platforms(agent, development, code):
    _index, children = images.put_index(development, code, FIRST)
    entry = agent("images", "--json").result["images"][0]
    assert entry["size"] == 2 * 2000 + 2 * 500 + sum(child.document["config"]["size"] for child in children)
    assert entry["created"] == "2026-11-24T09:30:15+00:00"


def test_images_reads_a_long_tag_list_by_pages(agent, development, code, fault_proxy):
    image = images.put_image(development, code, FIRST)
    for version in (SECOND, THIRD):
        images.put_manifest(development, code, version, image.document)
    # distribution 2 has no pages; these are distribution 3's, whose Link is relative to the host.
    pages = [
        Fault("GET", f"last={SECOND}$", status=200, body=f'{{"tags": ["{THIRD}"]}}'.encode()),
        Fault(
            "GET",
            "/tags/list",
            status=200,
            headers={"Link": f'</v2/{code}/tags/list?n=2&last={SECOND}>; rel="next"'},
            body=f'{{"tags": ["{FIRST}", "{SECOND}"]}}'.encode(),
        ),
    ]
    agent.use("DOCKER_REGISTRY", development, fault_proxy(development.address, *pages).address)
    found = agent("images", "--json").result["images"]
    assert [entry["version"] for entry in found] == [THIRD, SECOND, FIRST]


def test_missing_repository_lists_no_images(agent):
    outcome = agent("images", "--json")
    assert outcome.code == 0
    assert outcome.result["images"] == []


def test_one_bad_entry_is_one_bad_row(agent, development, code, monkeypatch):
    """A missing child, Go's zero time seen from the west, and a time with an offset."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    _index, children = images.put_index(development, code, "bad-child")
    images.put_image(development, code, "no-date", created="0001-01-01T00:00:00Z")
    images.put_image(development, code, "offset", created="2026-11-20T10:00:00.5+08:00")
    images.put_image(development, code, "no-time", created="9999-12-31T23:59:59-23:59")
    assert ask.registry(development, "DELETE", f"/v2/{code}/manifests/{children[0].digest}").status == 202
    try:
        outcome = agent("images", "--json")
        table = agent("images")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert outcome.code == table.code == 0, outcome.err + table.err
    found = {entry["version"]: entry for entry in outcome.result["images"]}
    assert [found[name]["created"] for name in ("no-date", "no-time", "bad-child")] == ["", "", ""]
    assert found["offset"]["created"].startswith("2026-11-20T02:00:00")
    assert children[0].digest in found["bad-child"]["problem"]
    assert [name for name, entry in found.items() if "problem" in entry] == ["bad-child"]
    assert "bad-child: registry " in table.err


def test_images_fails_if_registry_fails_after_listing_tags(agent, development, code, fault_proxy):
    images.put_image(development, code, FIRST)
    proxy = fault_proxy(development.address, Fault("", "/manifests/", status=503))
    proxy.faults.append(Fault("GET", "/v2/$", status=503, skip=1))
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    assert agent("images").code == 1
