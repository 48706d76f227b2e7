"""500 freestyle jobs on a real Hudson, beside Jenkins Job Builder with the same jobs on the same server.

Requests are counted in the server's access log, CPU seconds are those of the program itself. Both write eight at a
time. What has nothing to do is run in turn and its median is kept. Job Builder keeps a cache of what it wrote
and on a second run does not look at Jenkins, so it does not see a job that was changed by hand; with --ignore-cache it
writes all of them again.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.record import keep
from lab import place
from lab.hudson import Hudson
from lab.place import free_port

JOBS = 500
CHANGED = 10
ROUNDS = 3
PEER = "6.5.0"
AGENT = Path(__file__).parents[2] / "agent"


@pytest.fixture(scope="module")
def hudson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hudson]:
    one = Hudson(tmp_path_factory.mktemp("hudson"), free_port())
    one.start()
    one.wait()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def jenkins_jobs() -> Path:
    """Jenkins Job Builder, installed once."""
    folder = place.cache() / f"jenkins-job-builder-{PEER}"
    if not (folder / "bin" / "jenkins-jobs").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        wanted = [f"jenkins-job-builder=={PEER}", "setuptools<80"]
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *wanted], check=True)
    return folder / "bin" / "jenkins-jobs"


class Side:
    """One of the two: writes its file, runs, counts."""

    def __init__(self, hudson: Hudson, folder: Path) -> None:
        self.hudson, self.folder = hudson, folder
        self.environment = {**os.environ, "JENKINS_URL": hudson.url, "HOME": str(folder)}
        self.environment.pop("XDG_CACHE_HOME", None)

    def run(self, *command: str) -> dict[str, float]:
        before, spent, begin = self.requests(), cpu(), time.monotonic()
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, cwd=self.folder, timeout=300
        )
        seconds, spent = time.monotonic() - begin, cpu() - spent
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return {"seconds": round(seconds, 3), "cpu": round(spent, 3), "requests": self.requests() - before}

    def requests(self) -> int:
        time.sleep(0.2)  # the log's last lines
        return len(self.hudson.accesses.read_text().splitlines())


def cpu() -> float:
    """Return the CPU seconds of all programs that have been run and ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in runs) for key in runs[0]}


def commands(number: int, changed: bool) -> str:
    branch = "dev" if changed and number < CHANGED else "main"
    return f"git fetch -q --depth 1 git@git.example:team/p{number:03}.git {branch}"


class Ours(Side):
    def write(self, changed: bool) -> None:
        projects = "".join(
            f"- {{code: ours-{number:03}{', branch: dev' if changed and number < CHANGED else ''}}}\n"
            for number in range(JOBS)
        )
        text = "name: ours\ndefaults: {kind: freestyle, repository: 'git@git.example:team/{code}.git'}\nprojects:\n"
        (self.folder / "jobs.yml").write_text(text + projects)

    def seed(self) -> dict[str, float]:
        self.environment["PYTHONPATH"] = str(AGENT)
        return self.run(sys.executable, "-m", "container_pipeline", "seed", "-q")


class Peer(Side):
    program: Path

    def __init__(self, hudson: Hudson, folder: Path, program: Path) -> None:
        super().__init__(hudson, folder)
        self.program = program

    def write(self, changed: bool) -> None:
        jobs = "".join(
            f"- job:\n    name: peer-{number:03}\n    project-type: freestyle\n    description: by Job Builder\n"
            f"    builders:\n    - shell: |\n        #!/bin/sh -e\n        [ -d .git ] || git init -q\n"
            f"        {commands(number, changed)}\n        git checkout -q -f FETCH_HEAD\n"
            f"        export CONTAINER_PIPELINE_CODE=peer-{number:03}\n        exec container-pipeline ship\n"
            for number in range(JOBS)
        )
        (self.folder / "jobs.yaml").write_text(jobs)
        (self.folder / "jjb.ini").write_text(
            f"[jenkins]\nurl={self.hudson.url}\nquery_plugins_info=False\n[job_builder]\n"
        )

    def update(self, *options: str) -> dict[str, float]:
        given = ["--conf", "jjb.ini", *options, "update", "--workers", "8", "jobs.yaml"]
        return self.run(str(self.program), *given)


def test_seeding_five_hundred_unchanged_jobs_takes_few_requests(hudson, jenkins_jobs, tmp_path):
    folders = [tmp_path / name for name in ("ours", "peer")]
    for folder in folders:
        folder.mkdir()
    ours, peer = Ours(hudson, folders[0]), Peer(hudson, folders[1], jenkins_jobs)
    figures: dict[str, dict[str, float]] = {}
    for side in (ours, peer):
        side.write(changed=False)
    figures["seed, first run"] = ours.seed()
    figures["Job Builder, first run"] = peer.update()
    idle = [
        {"seed, nothing to do": ours.seed, "Job Builder, nothing to do by its cache": peer.update},
        {"Job Builder, nothing to do, --ignore-cache": lambda: peer.update("--ignore-cache")},  # which loses the cache
    ]
    for sides in idle:
        runs = [{name: run() for name, run in sides.items()} for _turn in range(ROUNDS)]
        figures |= {name: median([one[name] for one in runs]) for name in sides}
    for side in (ours, peer):
        side.write(changed=True)
    figures[f"seed, {CHANGED} changes"] = ours.seed()
    figures[f"Job Builder, {CHANGED} changes"] = peer.update()
    for name, one in figures.items():
        print(f"{JOBS} jobs: {name}: {one['seconds']} s, {one['cpu']} s of CPU, {one['requests']} requests")
    first, second = figures["seed, first run"], figures["seed, nothing to do"]
    ratio = round(second["seconds"] / first["seconds"], 3)
    print(f"{JOBS} jobs: seed with nothing to do takes {ratio} of its first run")
    keep(f"seed {JOBS} jobs on Hudson 2.2.1", {"rows": figures, "ratio": ratio})
    assert second["requests"] <= 0.1 * first["requests"]


def test_five_thousand_projects_load_within_a_second(tmp_path):
    """CPU seconds with PyYAML's compiled loader, and with the pure Python one of the library's agent."""
    text = "projects:\n" + "".join(
        f"- code: project-{number:04}-re\n  repository: git@git.example:team/project-{number:04}-re.git\n"
        for number in range(5000)
    )
    (tmp_path / "jobs.yml").write_text(text)
    program = (
        "import sys, time, yaml\n"
        "if sys.argv[2] == 'pure': del yaml.CSafeLoader\n"
        "from container_pipeline.commands import seed_file\n"
        "begin = time.process_time(); jobs, _ = seed_file.load([sys.argv[1]])\n"
        "print(len(jobs), time.process_time() - begin)"
    )
    figures = {}
    for loader in ("compiled", "pure"):
        command = [sys.executable, "-c", program, str(tmp_path / "jobs.yml"), loader]
        found = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(AGENT)}, capture_output=True, text=True, check=True
        )
        number, seconds = found.stdout.split()
        assert number == "5000"
        figures[loader] = {"seconds": round(float(seconds), 2)}
        print(f"5000 projects read and checked, {loader} loader: {figures[loader]['seconds']} s")
    keep("5000 projects of a jobs file read and checked", {"rows": figures})
    assert figures["compiled"]["seconds"] < 1
