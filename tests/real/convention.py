"""The convention's table of docker.sh's commands: what each needs, and the state afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Command → required settings, in the order in which docker.sh checked them.
DEV = ("DOCKER_REGISTRY",)
DEV_LOGIN = (*DEV, "DOCKER_REGISTRY_USER", "DOCKER_REGISTRY_PASS")
PROD = (*DEV, "DOCKER_REGISTRY_PROD")
PROD_LOGIN = (*PROD, "DOCKER_REGISTRY_PROD_USER", "DOCKER_REGISTRY_PROD_PASS")
NEEDS = {
    "build": DEV,
    "run": DEV,
    "push": DEV_LOGIN,
    "tag-latest": DEV,
    "push-latest": DEV_LOGIN,
    "tag-prod": PROD,
    "push-prod": PROD_LOGIN,
    "tag-prod-latest": PROD,
    "push-prod-latest": PROD_LOGIN,
}
TO_DEV = ("push", "tag-latest", "push-latest")
TO_PROD = ("tag-prod", "push-prod", "tag-prod-latest", "push-prod-latest")
PIPELINES = {
    "pipeline": TO_DEV,
    "pipeline-prod": TO_PROD,
    "pipeline-all": (*TO_DEV, *TO_PROD),
}
ALL = [*NEEDS, *PIPELINES, *(f"{name}-rebuild" for name in PIPELINES)]


def needs(command: str) -> tuple[str, ...]:
    """Return all settings that a command needs, each once."""
    words = PIPELINES.get(command.replace("-rebuild", ""), (command,))
    return tuple(dict.fromkeys(name for word in words for name in NEEDS[word]))


@dataclass
class World:
    """What engine and registries hold: "dev:V" → "built", "old" or "new", the image behind it."""

    engine: dict[str, str] = field(default_factory=dict)
    registries: dict[str, str] = field(default_factory=dict)
    version: str = ""  # "given": the one that was there before; "new"
    exit_code: int = 0


@dataclass(frozen=True)
class Given:
    """The state before: the images of names in engine and registries."""

    built: bool
    engine: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    pushed: tuple[str, ...] = ()


NOTHING = Given(False)
BUILT = Given(True, ("dev:V",))
TAGGED = Given(True, ("dev:V", "dev:latest", "prod:V", "prod:latest"))
PUSHED = Given(True, TAGGED.engine, pushed=("dev:V",))
PROMOTED = Given(True, TAGGED.engine, pushed=("dev:V", "prod:V"))
BEHIND = Given(True, ("dev:V", "prod:V"), old=("dev:latest", "prod:latest"), pushed=("dev:V", "prod:V"))
GONE = Given(True)
GIVEN = {
    "nothing": NOTHING,
    "built": BUILT,
    "tagged": TAGGED,
    "pushed": PUSHED,
    "promoted": PROMOTED,
    "behind": BEHIND,
    "gone": GONE,
}


def expected(command: str, given: Given, missing: str = "") -> World:
    """Return the expected state from the convention's table, independent of the agent's planner."""
    world = World(version="given" if given.built else "")
    world.engine = {**dict.fromkeys(given.engine, "built"), **dict.fromkeys(given.old, "old")}
    world.registries = dict.fromkeys(given.pushed, "built")
    for word in words_of(command, given):
        if missing in NEEDS[word] or not step(word, world):
            world.exit_code = 1
            break
    return world


def words_of(command: str, given: Given) -> tuple[str, ...]:
    if command in NEEDS:
        return (command,)
    words = PIPELINES[command.replace("-rebuild", "")]
    return words if given.built and not command.endswith("-rebuild") else ("build", *words)


def step(word: str, world: World) -> bool:
    """Apply one command to ``world``; return False if docker.sh failed."""
    registry = "prod" if "prod" in word else "dev"
    tag = "latest" if "latest" in word else "V"
    if word == "build":
        for place in (world.engine, world.registries):
            for name in [name for name in place if name.endswith(":V")]:
                place[f"{name[:-1]}given"] = place.pop(name)
        world.engine["dev:V"] = world.version = "new"
    elif not world.version:
        return False
    elif word == "run":
        return "dev:V" in world.engine or "dev:V" in world.registries
    elif word.startswith("tag"):
        if "dev:V" not in world.engine:
            return False
        world.engine[f"{registry}:{tag}"] = world.engine["dev:V"]
    else:
        if f"{registry}:{tag}" not in world.engine:
            return False
        world.registries[f"{registry}:{tag}"] = world.engine[f"{registry}:{tag}"]
    return True
