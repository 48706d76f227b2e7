"""Plans of a promotion, for all states of two registries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from container_pipeline.errors import RegistryError
from container_pipeline.model import Digest, Version
from container_pipeline.plan.promote import PromotionFacts, plan
from container_pipeline.settings import load
from unit.table import table

BUILT, OTHER = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
VERSION = Version("20261124093015")
ENVIRONMENT = {"DOCKER_REGISTRY": "dev.example/team", "DOCKER_REGISTRY_PROD": "prod.example"}


def steps(**named: Any) -> list[str]:
    settings = load(Path("/"), {"code": "aglaia-web-re", "namespace": "aglaia"}, environ=ENVIRONMENT)
    return [step.describe() for step in plan(settings, PromotionFacts(VERSION, **named))]


PROMOTE = f"promote dev.example/team/aglaia/aglaia-web-re:{VERSION} to prod.example/aglaia/aglaia-web-re:{VERSION}"
CARRY = PROMOTE.replace("promote", "copy what refers to", 1)
MOVE = f"point prod.example/aglaia/aglaia-web-re:latest at {VERSION}"


@table(
    ("named", "expected"),
    [
        ({"development": BUILT}, [PROMOTE]),
        ({"built": BUILT}, [PROMOTE]),
        ({"built": BUILT, "development": OTHER}, [PROMOTE]),
        ({"development": BUILT, "latest": OTHER}, [PROMOTE]),
        ({"development": BUILT, "production": BUILT}, [MOVE]),
        ({"development": BUILT, "production": BUILT, "latest": OTHER}, [MOVE]),
        ({"production": BUILT, "latest": OTHER}, [MOVE]),
        ({"development": BUILT, "production": BUILT, "latest": BUILT}, []),
        ({"built": BUILT, "development": OTHER, "production": BUILT, "latest": BUILT}, []),
        ({"development": BUILT, "production": BUILT, "lacks_referrers": True}, [CARRY, MOVE]),
    ],
)
def test_the_shortest_way_to_the_same_end(named, expected):
    assert steps(**named) == expected


def test_without_latest_only_the_version_is_promoted():
    settings = load(Path("/"), {"code": "a-b", "latest": False}, environ=ENVIRONMENT)
    (step,) = plan(settings, PromotionFacts(VERSION, development=BUILT))
    assert step.tags == (VERSION,)
    assert plan(settings, PromotionFacts(VERSION, development=BUILT, production=BUILT)) == []


def test_what_is_promoted_is_what_was_built():
    facts = PromotionFacts(VERSION, built=BUILT, development=OTHER)
    assert facts.digest == BUILT
    assert facts.moved


@table(
    ("named", "sentence"),
    [
        ({}, "is not in the registry"),
        ({"latest": OTHER}, "is not in the registry"),
        ({"development": BUILT, "production": OTHER}, "a version never changes"),
        ({"built": BUILT, "development": OTHER, "production": OTHER}, "a version never changes"),
    ],
)
def test_what_must_not_be_is_refused(named, sentence):
    with pytest.raises(RegistryError, match=sentence):
        steps(**named)
