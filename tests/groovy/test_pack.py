"""The agent as one file: the same bytes each time, nothing compiled, nothing that it runs without."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from tools import pack

UNPACK = pack.ROOT / "resources" / "container-pipeline" / "unpack.py"
#: Where this machine has others than the one that runs the tests.
PYTHONS = [
    python
    for python in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    if tuple(map(int, python.parts[-3].split(".")[:2])) >= (3, 9)
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    pack.build(folder)
    return folder


@pytest.fixture
def unpack(bundle, tmp_path):
    def unpack(*caches, digest=None, sent=None):
        copy = tmp_path / "sent.tar.bz2"
        copy.write_bytes((bundle / pack.BUNDLE).read_bytes() if sent is None else sent)
        given = digest or (bundle / pack.DIGEST).read_text().strip()
        command = [sys.executable, str(UNPACK), str(copy), given, *map(str, caches)]
        return subprocess.run(command, capture_output=True, text=True)

    return unpack


def test_the_same_sources_give_the_same_bytes(bundle, tmp_path):
    pack.build(tmp_path)
    assert (tmp_path / pack.BUNDLE).read_bytes() == (bundle / pack.BUNDLE).read_bytes()


def test_another_order_of_files_and_another_clock_change_nothing(bundle, tmp_path):
    copy = tmp_path / "agent"
    shutil.copytree(pack.ROOT / "agent", copy)
    for path in copy.rglob("*"):
        path.touch()
    pack.build(tmp_path, agent=copy)
    assert (tmp_path / pack.DIGEST).read_text() == (bundle / pack.DIGEST).read_text()


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: path.parts[-3])
def test_every_python_builds_the_same_bytes(bundle, tmp_path, python):
    subprocess.run(
        [str(python), "-m", "tools.pack", str(tmp_path)], cwd=pack.ROOT, check=True, stdout=subprocess.DEVNULL
    )
    assert (tmp_path / pack.DIGEST).read_text() == (bundle / pack.DIGEST).read_text()


def test_everything_in_it_is_pure_python_or_data(bundle):
    with tarfile.open(fileobj=io.BytesIO((bundle / pack.BUNDLE).read_bytes())) as tar:
        names = tar.getnames()
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc", ".exe"))]
    assert not [name for name in names if "setuptools" in name or "pygments" in name]
    assert names == sorted(names)
    assert {"run.py", "lib/container_pipeline/__main__.py"} <= set(names)


def test_it_stays_small(bundle):
    assert (bundle / pack.BUNDLE).stat().st_size < 1_500_000


def test_a_damaged_bundle_is_refused_and_nothing_unpacked(unpack, tmp_path):
    done = unpack(tmp_path / "cache", sent=b"half of it")
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_to_gives_way_to_the_next(unpack, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = unpack(blocked / "cache", tmp_path / "other")
    assert Path(done.stdout.strip()).parent == tmp_path / "other"


def test_no_cache_at_all_is_one_sentence(unpack, tmp_path):
    (tmp_path / "file").write_text("")
    done = unpack(tmp_path / "file" / "cache")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_whoever_comes_second_finds_the_first_ones(unpack, tmp_path):
    first, second = unpack(tmp_path / "cache"), unpack(tmp_path / "cache")
    assert first.stdout == second.stdout
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_two_at_once_both_end_well(bundle, tmp_path):
    digest = hashlib.sha256((bundle / pack.BUNDLE).read_bytes()).hexdigest()
    running = []
    for number in range(4):
        copy = tmp_path / f"{number}.tar.bz2"
        shutil.copy(bundle / pack.BUNDLE, copy)
        command = [sys.executable, str(UNPACK), str(copy), digest, str(tmp_path / "cache")]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    told = {process.communicate()[0] for process in running}
    assert len(told) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [digest]


def test_agents_that_no_build_used_for_long_go_and_what_else_is_there_stays(unpack, tmp_path):
    unused, used = "0" * 64, "1" * 64
    for name, age in ((unused, 31), ("new-abc", 31), ("versions", 31), (used, 1)):
        (tmp_path / "cache" / name).mkdir(parents=True)
        then = time.time() - age * 86400
        os.utime(tmp_path / "cache" / name, (then, then))
    fresh = Path(unpack(tmp_path / "cache").stdout.strip())
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"versions", used, fresh.name}
