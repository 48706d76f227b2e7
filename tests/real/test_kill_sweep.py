"""The program on the server killed at any point, as by a crash: the next run ends well, whatever it finds."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from real.killing import current, killed_before
from real.site import Site, settled

pytestmark = pytest.mark.slow

#: Commands that change something; the program is killed just before the k-th of them.
CHANGING = ("mv", "cp", "ln", "rm", "mkdir", "touch", "tar")
#: In a folder that the Compose file mounts.
MOUNTED = "conf/app.ini"


def killed_anywhere(k: int, program: str) -> str:
    """The program for servers, killed before its k-th command that changes files or asks Docker."""
    counted = program.replace("dock() {\n", "dock() {\ntick\n").replace("compose() {\n", "compose() {\ntick\n")
    return killed_before(k, counted, CHANGING)


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
    # Nobody aborts the agent here.
    monkeypatch.setattr("container_pipeline.clients.children._ABORT_GRACE", 0)
    site.append("docker-compose.yml", "    volumes: ['./conf:/conf']\n")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    versions, contents = [], {}
    for turn in ("one", "two"):
        site.write(MOUNTED, turn)
        site.append("docker-compose.yml", f"    labels: {{changed: '{turn}'}}\n" if turn == "two" else "")
        versions.append(site.deployed())
        contents[versions[-1]] = files(site)
    genuine: Callable[..., str] = transfer.program
    composes = {version: contents[version]["docker-compose.yml"] for version in versions}
    for k in itertools.count(1):
        former, wanted = versions[(k + 1) % 2], versions[k % 2]
        former, wanted = (former, wanted) if current(site) == former else (wanted, former)
        site.write("docker-compose.yml", composes[wanted])
        site.write(MOUNTED, contents[wanted][MOUNTED])
        monkeypatch.setattr(transfer, "program", lambda *given, k=k: killed_anywhere(k, genuine(*given)))
        cut_short = site("deploy", "--version", wanted)
        monkeypatch.setattr(transfer, "program", genuine)
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
