"""The program on the server killed at any point, as by a crash: the next run ends well, whatever it finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from container_pipeline.clients import remote
from real.site import Site, settled

pytestmark = pytest.mark.slow

#: Commands that change something; the program is killed just before the k-th of them.
CHANGING = ("mv", "cp", "ln", "rm", "mkdir", "touch", "tar")
COUNT = 'tick() { ticks=$((ticks + 1)); [ "$ticks" -ne {k} ] || kill -9 $$; }; ticks=0\n'


#: In a folder that the Compose file mounts.
MOUNTED = "conf/app.ini"


def killed_before(k: int, program: str, commands: Sequence[str]) -> str:
    """The program for servers, killed before the k-th of these commands."""
    wrapped = "".join(f'{name}() {{ tick; command {name} "$@"; }}\n' for name in commands)
    return COUNT.replace("{k}", str(k)) + wrapped + program


def killed_anywhere(k: int, program: str) -> str:
    """The program for servers, killed before its k-th command that changes files or asks Docker."""
    counted = program.replace("dock() {\n", "dock() {\ntick\n").replace("compose() {\n", "compose() {\ntick\n")
    return killed_before(k, counted, CHANGING)


def current(site: Site) -> str:
    return (site.servers[0].folder / "compose" / site.code / "releases" / ".current").read_text().splitlines()[0]


def files(site: Site) -> dict[str, str]:
    """The live files, the mounted one included."""
    folder = site.servers[0].folder / "compose" / site.code
    return {**site.files(), **({MOUNTED: (folder / MOUNTED).read_text()} if (folder / MOUNTED).exists() else {})}


def old_or_new(site: Site, old: dict[str, str], new: dict[str, str]) -> None:
    """Each live file is the old or the new one, whole; or, of what is mounted, not there yet."""
    for name, text in files(site).items():
        assert text in (old[name], new[name]), name


def test_the_server_program_killed_at_any_point_leaves_what_the_next_run_repairs(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    site.append("docker-compose.yml", "    volumes: ['./conf:/conf']\n")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    versions, contents = [], {}
    for turn in ("one", "two"):
        site.write(MOUNTED, turn)
        site.append("docker-compose.yml", f"    labels: {{changed: '{turn}'}}\n" if turn == "two" else "")
        versions.append(site.deployed())
        contents[versions[-1]] = files(site)
    genuine: Callable[..., str] = remote.program
    composes = {version: contents[version]["docker-compose.yml"] for version in versions}
    for k in itertools.count(1):
        former, wanted = versions[(k + 1) % 2], versions[k % 2]
        former, wanted = (former, wanted) if current(site) == former else (wanted, former)
        site.write("docker-compose.yml", composes[wanted])
        site.write(MOUNTED, contents[wanted][MOUNTED])
        monkeypatch.setattr(remote, "program", lambda *given, k=k: killed_anywhere(k, genuine(*given)))
        cut_short = site("deploy", "--version", wanted)
        monkeypatch.setattr(remote, "program", genuine)
        settled(site)
        old_or_new(site, contents[former], contents[wanted])
        if cut_short.code == 0:
            break
        assert cut_short.code == 1, (k, cut_short.err)
        done = site("deploy", "--version", wanted)
        assert done.code == 0, (k, done.err)
        assert (files(site), site.running()) == (contents[wanted], wanted), k
        assert site.servers[0].docker("ps", "-aq", "--filter", f"name={site.code}").count("\n") == 1, k
    assert k > 15, "it was killed at fewer points than there are"
    assert site.left_over(patience=20) == ""


def test_a_deploy_that_fails_after_one_that_was_killed_goes_back_to_the_release_before_both(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    site.write("docker-compose.yml", (site.folder / "docker-compose.yml").read_text().replace(
        "ports:", "volumes: ['./conf/app.ini:/app.ini']\n    ports:"))  # fmt: skip
    site.set("CONTAINER_PIPELINE_FILES", "conf/app.ini")
    site.write("conf/app.ini", "one\n")
    former = site.deployed()
    old = site.files()
    wanted, broken = site.publish(), site.publish("unhealthy")
    genuine: Callable[..., str] = remote.program
    for k in itertools.count(1):
        site.write("conf/app.ini", f"killed {k}\n")
        monkeypatch.setattr(remote, "program", lambda *given, k=k: killed_before(k, genuine(*given), ["mv"]))
        assert site("deploy", "--version", wanted).code in (0, 1)
        monkeypatch.setattr(remote, "program", genuine)
        settled(site)
        if current(site) == wanted:
            break
        site.write("conf/app.ini", f"broken {k}\n")
        assert site("deploy", "--version", broken).code == 3
        assert (site.files(), site.running(), site.sh("cat conf/app.ini")) == (old, former, "one\n"), k
    assert k > 3, "it was killed at fewer points than there are"
