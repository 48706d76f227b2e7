"""Compose files from practice: those that Compose accepts are deployed, and those that cannot work are refused before any change."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab import smallimage
from real.site import Site

pytestmark = pytest.mark.slow

CASES = Path(__file__).parent / "cases"
UP, REFUSED, BACK = 0, 1, 3


@dataclass(frozen=True)
class Case:
    """One project: ``ends`` is the exit code on v2 and on v1, ``says`` what stands in the output, ``runs`` the services that run then."""

    name: str
    ends: tuple[int, int] = (UP, UP)
    says: str = ""
    runs: tuple[str, ...] = ("CODE",)
    behaviour: str = "healthy"
    files: tuple[str, ...] = ()
    before: str = ""
    changes: dict[str, str] = field(default_factory=dict)


TABLE = [
    Case("top-name", (UP, REFUSED), "'name' does not match any of the regexes"),
    Case("own-profile", (REFUSED, REFUSED), "CODE"),
    Case("include", (BACK, REFUSED), files=("parts",)),
    Case("extends", files=("common.yml",)),
    Case("bind-long", (REFUSED, REFUSED), "conf/app.ini"),
    Case("env-file-absolute", (REFUSED, REFUSED), "/etc/CODE.env, which is not on the server"),
    Case("env-file-absolute", before="echo A=b > /etc/CODE.env"),
    Case("env-file-variable"),
    Case("replicas-0"),
    Case("null-service", (REFUSED, REFUSED), "other"),
    Case("profile-on", (BACK, BACK), behaviour="exits"),
]


def prepare(site: Site, case: Case) -> None:
    """Put the case's files into the project."""
    folder = CASES / case.name
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text().replace("CODE", site.code).replace("PORT", str(site.port))
            site.write(path.relative_to(folder).as_posix(), text)
    site.set("CONTAINER_PIPELINE_FILES", ",".join(case.files))
    if case.before:
        site.servers[0].run(case.before.replace("CODE", site.code))


def running(site: Site) -> set[str]:
    """Return the services with running containers, of any project."""
    place = f"label=com.docker.compose.project.working_dir=/docker/compose/{site.code}"
    names = site.servers[0].docker("ps", "--filter", place, "--format", '{{.Label "com.docker.compose.service"}}')
    return set(names.split())


#: What variants of Compose files do not show: what stands in another file fails the deploy.
FAILING = [case for case in TABLE if BACK in case.ends]
OTHERS = [case for case in TABLE if BACK not in case.ends]


@pytest.fixture
def tools(either: Site) -> Site:
    """A second image for a companion."""
    smallimage.push(either.lab, either.registry, "tools", "1", {})
    return either


@pytest.mark.parametrize("table", [FAILING, pytest.param(OTHERS, marks=pytest.mark.matrix)], ids=["failing", "others"])
def test_deploy_accepts_valid_compose_files_and_refuses_others(tools: Site, table: list[Case]):
    site, wrong = tools, []
    generation = site.lab.servers.index(site.servers[0])
    compose, env = (site.folder / "docker-compose.yml").read_text(), "ENV=test\n"
    former = ""
    for case in table:
        site.write("docker-compose.yml", compose)
        site.write(".env", env)
        site.set("CONTAINER_PIPELINE_FILES", "")
        # After a refusal and after a rollback, the release before still runs.
        former = former or site.deployed()
        before = site.files(), site.container()
        prepare(site, case)
        version = site.publish(case.behaviour)
        done = site("deploy", "--version", version)
        ends, says = case.ends[generation], case.says.replace("CODE", site.code)
        runs = {service.replace("CODE", site.code) for service in (case.runs if ends == UP else ("CODE",))}
        label = f"{case.name} on {'v1' if generation else 'v2'}"
        if done.code != ends or (ends != UP and says not in done.err):
            wrong.append(f"{label}: exit {done.code}, not {ends}: {done.err}")
        if ends == REFUSED and (site.files(), site.container()) != before:
            wrong.append(f"{label}: something was touched")
        if running(site) != runs:
            wrong.append(f"{label}: {running(site)} run")
        got = site.servers[0].get(site.port).strip()
        if got != (version if ends == UP else former):
            wrong.append(f"{label}: {got} answers")
        if ends == UP:
            former = ""
        if case.before:
            site.servers[0].run(f"rm -f /etc/{site.code}.env")
    assert not wrong, "\n".join(wrong)
