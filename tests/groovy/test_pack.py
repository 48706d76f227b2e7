"""The packed agent: reproducible, sent once, and never run from a folder that others can change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import threading
import time
import uuid
from pathlib import Path

import pytest
from tools import growth, pack

from groovy.conftest import NO_REGISTRY, SMALL

RESOURCES = pack.ROOT / "resources" / "container-pipeline"
FILES = (pack.OWN, pack.LIBRARIES)
#: Where this machine has others than the one that runs the tests.
PYTHONS = [
    python
    for python in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    if tuple(map(int, python.parts[-3].split(".")[:2])) >= (3, 9)
]
# It needs the agent, and fails at once: there is no registry.
PROMOTE = "containerPromote(code: 'a-b', version: '20261124093015')"


@pytest.fixture(scope="module")
def bundle(resources):
    return resources[0] / "container-pipeline"


class Launcher:
    """Runs launch.sh with the variables, and sends what is missing, as containerAgent.groovy does."""

    def __init__(self, bundle, node):
        self.bundle, self.node = bundle, node
        self.beside = node.folder / "workspace@tmp" / "container-pipeline"
        self.sent = []

    def run(self, **more):
        variables = {
            **self.node.environment,
            "CONTAINER_PIPELINE_CALL": json.dumps({"argv": ["promote", "--version", "20261124093015"]}),
            "CONTAINER_PIPELINE_CODE": "a-b",
            "CONTAINER_PIPELINE_SHA256": (self.bundle / pack.DIGESTS).read_text().strip(),
            "CONTAINER_PIPELINE_START": (RESOURCES / "start.py").read_text(),
            "CONTAINER_PIPELINE_TMP": str(self.beside),
            **more,
        }
        command = ["/bin/sh", str(RESOURCES / "launch.sh")]
        return subprocess.run(command, env=variables, cwd=self.node.folder, capture_output=True, text=True)

    def __call__(self, files=None):
        """Return the agent's answer, or what was said on stderr where there is none."""
        done = self.run()
        names = json.loads(done.stdout).get("missing") if done.stdout.startswith("{") else None
        if names:
            folder = self.beside / "a-b" / str(uuid.uuid4())
            folder.mkdir(parents=True)
            for name in names:
                self.sent.append(name)
                (folder / name).write_bytes((files or {}).get(name) or (self.bundle / name).read_bytes())
            done = self.run(CONTAINER_PIPELINE_SENT=str(folder))
        return json.loads(done.stdout)["error"]["message"] if done.stdout else done.stderr

    def module(self, cache=None):
        """Return a file of the agent's own code in the cache."""
        (one,) = (cache or self.node.cache).glob("*/lib/container_pipeline/errors.py")
        return one


@pytest.fixture
def launch(small_bundle, cold_node):
    return Launcher(small_bundle, cold_node)


@pytest.fixture
def launch_whole(bundle, cold_node):
    """The agent itself."""
    return Launcher(bundle, cold_node)


def test_the_same_sources_give_the_same_bytes(bundle, tmp_path):
    pack.build(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (bundle / name).read_bytes()


def test_file_order_and_timestamps_do_not_change_digests(bundle, tmp_path):
    copy = tmp_path / "agent"
    shutil.copytree(pack.ROOT / "agent", copy)
    for path in copy.rglob("*"):
        path.touch()
    pack.build(tmp_path, agent=copy)
    assert (tmp_path / pack.DIGESTS).read_text() == (bundle / pack.DIGESTS).read_text()


@pytest.mark.parametrize(
    "python",
    [
        pytest.param(one, id=one.parts[-3], marks=[pytest.mark.matrix] * (not one.parts[-3].startswith("3.9.")))
        for one in PYTHONS
    ],
)
def test_every_python_builds_the_same_bytes(bundle, tmp_path, python):
    subprocess.run(
        [str(python), "-m", "tools.pack", str(tmp_path)], cwd=pack.ROOT, check=True, stdout=subprocess.DEVNULL
    )
    assert (tmp_path / pack.DIGESTS).read_text() == (bundle / pack.DIGESTS).read_text()


def test_everything_in_it_is_pure_python_or_data(bundle):
    with tarfile.open(bundle / pack.OWN, "r:") as own, tarfile.open(bundle / pack.LIBRARIES, "r:bz2") as libraries:
        files = {one: one.getnames() for one in (own, libraries)}
        assert {member.mtime for member in own.getmembers()} == {315532800}
        assert {(member.uid, member.gid) for member in own.getmembers()} == {(0, 0)}
    for names in files.values():
        assert names == sorted(names)
        assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", ".exe"))]
    assert "container_pipeline/__main__.py" in files[own]
    unused = {"rich", "pygments", "markdown_it", "mdurl", "setuptools"}
    assert not unused & {name.partition("/")[0] for name in files[libraries]}


def test_it_stays_small(bundle):
    assert sum((bundle / name).stat().st_size for name in FILES) < 2_500_000


def test_a_one_line_commit_barely_grows_a_clone():
    assert growth.growth(1) < 20_000


def test_a_node_gets_each_file_once(launch_whole):
    """It imports no module of the workspace, neither to unpack them nor to run."""
    for name in ("json", "hashlib", "tarfile", "contextlib", "click"):
        (launch_whole.node.folder / f"{name}.py").write_text("raise SystemExit('from the workspace')")
    for _ in range(2):
        assert NO_REGISTRY in launch_whole()
    assert launch_whole.sent == list(FILES)
    assert list((launch_whole.beside / "a-b").iterdir()) == []


def test_an_agent_change_sends_only_the_agents_code(build, cold_node, small_bundle, resources, tmp_path, monkeypatch):
    shutil.copytree(small_bundle.with_name("agent"), tmp_path / "agent")
    with (tmp_path / "agent" / "container_pipeline" / "errors.py").open("a") as file:
        file.write("# another version\n")
    monkeypatch.setattr(pack, "_others", lambda: iter([("click.py", b"")]))
    pack.build(tmp_path / "changed" / "container-pipeline", tmp_path / "agent")
    build(f"node {{ {PROMOTE} }}")
    run = build(f"node {{ {PROMOTE} }}", resources=[tmp_path / "changed", *resources])
    assert NO_REGISTRY in run.log
    assert run.calls.count("writeFile") == 1


def test_parallel_steps_on_a_cold_node_all_run(build, cold_node):
    branches = ", ".join(f"b{number}: {{ {PROMOTE} }}" for number in range(3))
    run = build(f"node {{ parallel({branches}) }}")
    assert run.log.count(f"container-pipeline: {NO_REGISTRY}") == 3, run.log


def test_any_number_at_once_unpack_to_one_place(launch):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(launch())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([answer for answer in answers if NO_REGISTRY in answer]) == 6, answers
    assert len(list(launch.node.cache.iterdir())) == 3


BAD = "raise SystemExit('not what was sent')\n"


def changed(module):
    module.write_text(BAD)


def changed_and_dated_back(module):
    before, size = module.stat(), module.stat().st_size
    module.write_text(BAD + "#" * (size - len(BAD)))
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(module):
    os.truncate(module, 10)


def gone(module):
    module.unlink()


def compiled_changed(module):
    for path in (module.parent / "__pycache__").glob("errors.*"):
        path.write_bytes(path.read_bytes()[:40])


def added(module):
    (module.parents[1] / "json.py").write_text(BAD)


def listing_cut(module):
    (module.parents[2] / "files.json").write_text("{}")


def a_file_instead(module):
    shutil.rmtree(module.parents[2])
    module.parents[2].write_text("")


def a_link_instead(module):
    aside = module.parents[4] / "aside"
    module.parents[2].rename(aside)
    module.parents[2].symlink_to(aside)


def somebody_elses(module):
    if os.geteuid():
        module.unlink()  # only root gives a file away
        return
    for path in (module.parents[2], *module.parents[2].rglob("*")):
        os.chown(path, 65534, 65534)


HARMS = (
    changed, changed_and_dated_back, cut, gone, compiled_changed, added, listing_cut, a_file_instead, a_link_instead, somebody_elses,
)  # fmt: skip


def test_damaged_or_foreign_cache_files_are_replaced(launch):
    launch()
    for number, harm in enumerate(HARMS, 1):
        module = launch.module()
        harm(module)
        assert NO_REGISTRY in launch(), harm.__name__
        assert launch.sent == [*FILES, *[pack.OWN] * number], harm.__name__
        assert module.read_text() == SMALL["errors.py"], harm.__name__
        assert module.stat().st_uid == os.geteuid(), harm.__name__
        assert not module.parents[2].is_symlink(), harm.__name__
        assert len(list(launch.node.cache.iterdir())) == 3, harm.__name__
    assert NO_REGISTRY in launch()
    assert launch.sent == [*FILES, *[pack.OWN] * len(HARMS)]


@pytest.mark.parametrize(
    ("where", "mode"),
    [
        ("home", 0o777),
        ("home", 0o775),
        ("home", None),
        ("home/.cache", 0o777),
        ("home/.cache/container-pipeline", 0o777),
        ("home/.cache/container-pipeline", None),
        ("xdg", 0o777),
    ],
)
def test_a_cache_others_can_write_is_not_used(launch, where, mode):
    """``None``: the folder belongs to another user."""
    if mode is None and os.geteuid():
        pytest.skip("only root gives a folder away")
    open_one = launch.node.folder / where
    open_one.mkdir(parents=True, exist_ok=True)
    if where.startswith("xdg"):
        launch.node.environment["XDG_CACHE_HOME"] = str(open_one / "deeper")
    if mode:
        open_one.chmod(mode)
    else:
        os.chown(open_one, 65534, 65534)
    for _ in range(2):
        assert NO_REGISTRY in launch()
    assert launch.sent == list(FILES)
    assert not list(open_one.rglob("errors.py"))
    cache = launch.module(launch.beside / f"cache-{os.geteuid()}").parents[3]
    assert cache.stat().st_mode & 0o777 == 0o700


def test_the_cache_ignores_links_to_world_writable_folders(launch):
    (launch.node.folder / "open").mkdir(mode=0o777)
    (launch.node.folder / "open").chmod(0o777)
    (launch.node.home / ".cache").symlink_to(launch.node.folder / "open")
    assert NO_REGISTRY in launch()
    assert list((launch.node.folder / "open").iterdir()) == []


def test_the_agent_avoids_a_world_writable_home(build, cold_node):
    cold_node.home.chmod(0o777)
    assert NO_REGISTRY in build(f"node {{ {PROMOTE} }}").log
    assert not list(cold_node.home.rglob("errors.py"))


def test_an_existing_cache_is_made_private(launch):
    launch.node.cache.mkdir(parents=True)
    launch.node.cache.chmod(0o755)
    assert NO_REGISTRY in launch()
    assert launch.node.cache.stat().st_mode & 0o777 == 0o700
    assert launch.module()


def test_a_damaged_file_is_not_unpacked(launch):
    assert "damaged" in launch({pack.OWN: b"half of it"})
    assert not launch.node.cache.exists()


def test_no_place_at_all_is_one_sentence(launch):
    launch.node.home.rmdir()
    launch.node.home.write_text("")
    launch.beside.mkdir(parents=True)
    (launch.beside / f"cache-{os.geteuid()}").write_text("")
    said = launch()
    assert "the agent cannot be unpacked" in said
    assert len(said.splitlines()) == 1


def test_only_long_unused_agents_are_removed(launch):
    unused, older, used = "0" * 64 + "-cpython-39", "2" * 64, "1" * 64 + "-cpython-39"
    for name, age in ((unused, 31), (older, 31), ("new-abc", 31), ("versions", 31), (used, 1)):
        (launch.node.cache / name).mkdir(parents=True)
        then = time.time() - age * 86400
        os.utime(launch.node.cache / name, (then, then))
    launch.node.cache.chmod(0o700)
    (launch.node.home / ".cache").chmod(0o700)
    launch()
    fresh = {path.parent.name for path in launch.node.cache.glob("*/lib")}
    assert len(fresh) == 2
    assert {path.name for path in launch.node.cache.iterdir()} == {"lock", "versions", used, *fresh}


def test_jenkins_passes_the_start_script_unchanged():
    text = (RESOURCES / "start.py").read_text(encoding="ascii")
    # Jenkins expands variables in withEnv; shells that some plugins go through change the others.
    assert not [sign for sign in "$`\\" if sign in text]
    assert len(text) < 100_000
