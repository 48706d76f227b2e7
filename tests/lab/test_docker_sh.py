"""The fifteen commands end as docker.sh ended: tags, images behind them, state files, exit code.

The table below is the convention's. Where DOCKER_SH names the original script, it runs beside ours and must agree
with the table, too.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from container_pipeline.__main__ import main
from lab import ask
from lab.handle import Lab
from lab.registry import Registry

V = "20201124093015"
SCRIPT = os.environ.get("DOCKER_SH", "")
SIDES = ["ours", *(["docker.sh"] if SCRIPT else [])]

#: Word → the settings that it needs, in the order in which docker.sh asked for them.
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
    """What was there before: where names of the engine and of the registries point to."""

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
    """Return what the convention's table says; independent of the agent's planner."""
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
    """Do to ``world`` what one word does; False where docker.sh failed."""
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


class Bench:
    """One side's engine names, registries (a repository of its own in each) and project."""

    def __init__(self, lab: Lab, engine: docker.APIClient, code: str, folder: Path, namespace: str) -> None:
        self.lab, self.engine, self.folder = lab, engine, folder
        self.code = code
        self.repository = f"{namespace}/{code}" if namespace else code
        self.places = {"dev": lab.development, "prod": lab.production}
        self.environment = {"PATH": lab.environment()["PATH"], "HOME": str(folder.parent), "LC_ALL": "C.UTF-8"}
        self.environment.update({n: v for n, v in lab.environment().items() if n.startswith("DOCKER_")})
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text(f'FROM {lab.small_image}\nADD marker /\nCMD ["true"]\n')
        (folder / "marker").write_text(code)
        self.ids: dict[str, str] = {}

    def name(self, key: str) -> str:
        place, _colon, tag = key.partition(":")
        return f"{self.places[place].address}/{self.repository}:{V if tag == 'V' else tag}"

    def prepare(self, given: Given) -> None:
        """Make what is there before the command."""
        for kind, names in (("built", given.engine), ("old", given.old)):
            if names:
                self.ids[kind] = self.make(kind)
                for key in names:
                    self.engine.tag(self.ids[kind], *self.name(key).rsplit(":", 1))
        for key in given.pushed:
            place = self.places[key.partition(":")[0]]
            login = {"username": place.user, "password": place.password}
            pushed = self.engine.push(*self.name(key).rsplit(":", 1), auth_config=login)
            assert "errorDetail" not in pushed
        if given.built:
            (self.folder / ".docker_build_image").write_text(self.repository + "\n")
            (self.folder / ".docker_build_version").write_text(V + "\n")

    def make(self, kind: str) -> str:
        """Make an image as fast as can be; return its id."""
        text = f'FROM {self.lab.small_image}\nLABEL kind="{self.code} {kind}"\nCMD ["true"]\n'
        events = list(self.engine.build(fileobj=io.BytesIO(text.encode()), rm=True, decode=True))
        assert "error" not in events[-1], events[-1]
        return next(str(event["aux"]["ID"]) for event in events if "aux" in event)

    def world(self, exit_code: int) -> World:
        """Look at what is there now."""
        version = self.version()
        tags = {V: "given" if version not in ("", V) else "V", version: "V", "latest": "latest"}
        engine, registries = {}, {}
        for key, place in self.places.items():
            for image in self.engine.images(f"{place.address}/{self.repository}"):
                for name in image["RepoTags"]:
                    if name.startswith(f"{place.address}/"):
                        engine[f"{key}:{tags[name.rpartition(':')[2]]}"] = self.kind(image["Id"])
            for tag in ask.tags(place, self.repository):
                registries[f"{key}:{tags[tag]}"] = self.kind(self.config(place, tag))
        known = {"": "", V: "given"}
        return World(engine, registries, known.get(version, "new"), exit_code)

    def version(self) -> str:
        path = self.folder / ".docker_build_version"
        if not path.exists():
            return ""
        assert (self.folder / ".docker_build_image").read_text() == self.repository + "\n"
        return path.read_text().removesuffix("\n")

    def kind(self, image: str) -> str:
        return next((kind for kind, known in self.ids.items() if known == image), "new")

    def config(self, place: Registry, tag: str) -> str:
        manifest = json.loads(ask.registry(place, "GET", f"/v2/{self.repository}/manifests/{tag}").body)
        return str(manifest["config"]["digest"])

    def clean(self) -> None:
        for place in self.places.values():
            for image in self.engine.images(f"{place.address}/{self.repository}"):
                for name in image["RepoTags"] or ():
                    if self.repository in name:
                        self.engine.remove_image(name, force=True)


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Iterator[docker.APIClient]:
    client = docker.APIClient(lab.docker_host, version="auto")
    yield client
    client.close()


@pytest.fixture
def bench(lab, engine, tmp_path, request) -> Iterator[Bench]:
    namespace = getattr(request, "param", "")
    made = Bench(lab, engine, f"test-{secrets.token_hex(5)}-re", tmp_path / "project", namespace)
    yield made
    made.clean()


@contextmanager
def port_80() -> Iterator[None]:
    """One at a time: `run` publishes port 80."""
    with open("/tmp/container-pipeline-port-80.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def lacking(bench: Bench, *names: str) -> Iterator[None]:
    """Take settings away from the bench's environment for a while."""
    kept = dict(bench.environment)
    for name in names:
        del bench.environment[name]
    yield
    bench.environment.update(kept)


def call(side: str, bench: Bench, command: str, monkeypatch: pytest.MonkeyPatch, namespace: str = "") -> int:
    """Run one command with nothing but the bench's environment; return its exit code."""
    with port_80() if command == "run" else nullcontext():
        if side == "docker.sh":
            return docker_sh(bench, command, namespace)
        for name in list(os.environ):
            if name.startswith(("DOCKER_", "CONTAINER_PIPELINE_")):
                monkeypatch.delenv(name)
        for name, value in bench.environment.items():
            monkeypatch.setenv(name, value)
        options = ["--namespace", namespace] if namespace else []
        return main([command, bench.code, "--project", str(bench.folder), *options])


def docker_sh(bench: Bench, command: str, namespace: str) -> int:
    """Run a copy of the script in the project, which it is reached in without a blank: it breaks on those."""
    text = Path(SCRIPT).read_text(encoding="utf-8").replace('BUILD_NAMESPACE=""', f'BUILD_NAMESPACE="{namespace}"')
    script = bench.folder / "docker.sh"
    script.write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["bash", str(script), command, bench.code], env=bench.environment, capture_output=True, check=False, text=True
    )
    print(done.stdout, done.stderr)
    return done.returncode


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("command", "given"),
    [
        *((command, "nothing") for command in ALL),
        *((command, "built") for command in ALL),
        *((command, "tagged") for command in NEEDS if command.startswith("push")),
        *((command, "pushed") for command in ("push", "push-latest", "push-prod", "push-prod-latest")),
        *((command, "promoted") for command in ("push-prod", "push-prod-latest", "pipeline-all")),
        *((command, "behind") for command in ("push-latest", "push-prod-latest", "pipeline")),
        *((command, "gone") for command in NEEDS if command != "build"),
    ],
)
def test_a_command_ends_as_docker_sh_ended(bench, side, command, given, monkeypatch):
    bench.prepare(GIVEN[given])
    exit_code = call(side, bench, command, monkeypatch)
    assert bench.world(exit_code) == expected(command, GIVEN[given])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", [name for name in NEEDS if name != "build"])
def test_a_command_that_lacks_a_setting_changes_nothing(bench, side, command, monkeypatch, capsys):
    bench.prepare(TAGGED)
    for missing in NEEDS[command]:
        with lacking(bench, missing):
            exit_code = call(side, bench, command, monkeypatch)
        assert bench.world(exit_code) == expected(command, TAGGED, missing)
        assert exit_code == 1
        assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("build", "DOCKER_REGISTRY"),
        *((name, missing) for name in ALL if name.startswith("pipeline") for missing in needs(name)),
    ],
)
def test_a_pipeline_that_lacks_a_setting_stops_where_docker_sh_stopped(
    bench, side, command, missing, monkeypatch, capsys
):
    given = BUILT if command.endswith("-rebuild") else NOTHING
    bench.prepare(given)
    with lacking(bench, missing):
        exit_code = call(side, bench, command, monkeypatch)
    assert bench.world(exit_code) == expected(command, given, missing)
    assert exit_code == 1
    assert side != "ours" or f"{missing} is not set" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("command", ALL)
def test_a_setting_that_a_command_does_not_need_may_be_missing(bench, side, command, monkeypatch):
    given = NOTHING if command.startswith(("build", "pipeline")) else TAGGED
    bench.prepare(given)
    with lacking(bench, *(set(DEV_LOGIN + PROD_LOGIN) - set(needs(command)))):
        exit_code = call(side, bench, command, monkeypatch)
    assert bench.world(exit_code) == expected(command, given)
    assert exit_code == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("bench", ["team"], indirect=True)
def test_a_namespace_goes_before_the_image_argument(bench, side, monkeypatch):
    exit_code = call(side, bench, "pipeline-all", monkeypatch, "team")
    assert bench.world(exit_code) == expected("pipeline-all", NOTHING)


@pytest.mark.parametrize("side", SIDES)
def test_an_unknown_command_is_usage(bench, side, monkeypatch):
    assert call(side, bench, "publish", monkeypatch) == 2
    assert bench.world(2) == World(exit_code=2)
