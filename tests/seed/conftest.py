"""Fixtures for tests of seed: a real Hudson, the stand-in for what Hudson lacks, and the agent."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import pytest

from container_pipeline.__main__ import main
from container_pipeline.clients.jenkins import Controller
from container_pipeline.model import JenkinsAccess
from lab import place
from lab.hudson import Hudson
from lab.place import LabError, free_port
from seed.standin import Standin


@dataclass
class Answer:
    """The outcome of a command: ``out`` is its result, ``err`` its other output."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


@dataclass
class Administrator:
    """An administrator with a jobs file and a Jenkins, with unique codes and a unique name of the jobs file."""

    folder: Path
    url: str
    capsys: pytest.CaptureFixture[str]
    prefix: str = field(default_factory=lambda: f"t{secrets.token_hex(3)}")

    @property
    def jenkins(self) -> Controller:
        return Controller(JenkinsAccess(self.url))

    def write(self, text: str, name: str = "jobs.yml") -> None:
        """Write the jobs file; ``CODE`` in it is replaced with the unique prefix of the codes."""
        self.folder.joinpath(name).write_text(f"name: {self.prefix}\n" + text.replace("CODE", self.prefix))

    def seed(self, *arguments: str) -> Answer:
        self.capsys.readouterr()
        code = main(["seed", "--project", str(self.folder), *arguments])
        captured = self.capsys.readouterr()
        return Answer(code, *(text.replace(self.prefix, "CODE") for text in captured))

    def has(self, name: str) -> str | None:
        """Return the configuration of a job of ours."""
        return self.jenkins.config(name.replace("CODE", self.prefix))


@pytest.fixture(scope="session")
def hudson(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hudson]:
    """A real server. Tests only touch their own jobs, so they share it."""
    one = Hudson(tmp_path_factory.mktemp("hudson"), free_port())
    try:
        one.start()
        one.wait()
    except (LabError, OSError) as error:
        if os.environ.get("CI"):
            pytest.fail(f"no Hudson: {error}", pytrace=False)
        pytest.skip(f"no Hudson: {error}")
    yield one
    one.stop()


def missing(message: str) -> None:
    (pytest.fail if os.environ.get("CI") else pytest.skip)(message)


@pytest.fixture(scope="session")
def classpath() -> str:
    """Jenkins' Groovy and Job DSL's own jar, and what they need from Maven Central, fetched once."""
    parts = os.environ.get("JENKINS_PARTS")
    if not parts or not (Path(parts) / "job-dsl-core.jar").exists():
        pytest.skip(
            "not run: Job DSL. Let JENKINS_PARTS name a folder with job-dsl-core.jar of jenkinsci/job-dsl-plugin"
        )
    if not (shutil.which("java") and shutil.which("mvn")):
        missing("java and mvn are missing: apt-get install default-jdk-headless maven")
    pom = Path(__file__).with_name("job_dsl.xml")
    folder = place.cache() / f"job-dsl-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        fresh = folder.with_suffix(f".{os.getpid()}")
        maven = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
        subprocess.run(maven, check=True, stdout=subprocess.DEVNULL)
        fresh.rename(folder)
    return f"{folder}/*:{parts}/job-dsl-core.jar"


@pytest.fixture
def standin() -> Iterator[Callable[..., Standin]]:
    """standin(plugins=…, user=…, …) → a running stand-in of the test's own."""
    made: list[Standin] = []

    def make(**state: Any) -> Standin:
        made.append(Standin(**state))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def administrator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Administrator]:
    """administrator(url, user="", token="") → someone who seeds that Jenkins."""

    def make(url: str, user: str = "", token: str = "") -> Administrator:
        monkeypatch.setenv("JENKINS_URL", url)
        monkeypatch.setenv("JENKINS_USER", user)
        monkeypatch.setenv("JENKINS_TOKEN", token)
        folder = tmp_path / f"jobs-{secrets.token_hex(3)}"
        folder.mkdir()
        return Administrator(folder, url, capsys)

    return make
