"""The program on the server is killed at any point, like a crash: the next run succeeds, or restores what ran before."""

from __future__ import annotations

import itertools
import shutil
import stat
import time
from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from real.killing import current, killed_before
from real.site import PINNED, Site, settled

pytestmark = pytest.mark.slow

#: Commands that change something; the program is killed just before the k-th of them.
CHANGING = ("mv", "cp", "ln", "rm", "mkdir", "touch", "tar", "chmod")
#: What each of two releases has in the folder that both services mount: path → mode and content; None for a folder.
FOLDERS: list[dict[str, tuple[int, str | None]]] = [
    {"conf": (0o755, None), "conf/app.ini": (0o644, "one"), "conf/sub": (0o755, None), "conf/sub/a": (0o644, "one")},
    {"conf": (0o750, None), "conf/app.ini": (0o640, "two"), "conf/sub": (0o644, "two"), "conf/new": (0o644, "two")},
]


def killed_anywhere(k: int, program: str) -> str:
    """The program for servers, killed before its k-th command that changes files or asks Docker."""
    counted = program.replace("dock() {\n", "dock() {\ntick\n").replace("compose() {\n", "compose() {\ntick\n")
    return killed_before(k, counted, CHANGING)


def begun_at(step: str, program: str) -> str:
    """Count the commands of a program, wrapped by ``killed_before``, from this line on."""
    assert program.count(step) == 1
    program = program.replace(step, f"{step}    ticking=yes\n")
    return "ticking=no\n" + program.replace("tick() { ", 'tick() { [ "$ticking" = yes ] || return 0; ')


def killed_at_a_rename(k: int, program: str) -> str:
    """The program for servers, killed before each second rename from its switch on: a fault shows at two in a row or more."""
    return begun_at("    step switch\n", killed_before(2 * k, program, ["mv"]))


def killed_in_release(k: int, program: str) -> str:
    """The program for servers, killed before its k-th command from the turn of the release command up to its success."""
    done = "    say released\n"
    assert program.count(done) == 1
    program = program.replace(done, f"{done}    ticking=no\n")
    return begun_at("release_early() {\n", killed_anywhere(k, program))


def write(site: Site, folder: dict[str, tuple[int, str | None]]) -> None:
    shutil.rmtree(site.folder / "conf", ignore_errors=True)
    for name, (mode, text) in folder.items():
        path = site.folder / name
        path.mkdir() if text is None else path.write_text(text)
        path.chmod(mode)


def mounted(site: Site) -> dict[str, tuple[int, str | None]]:
    """The live folder, in the form of FOLDERS."""
    live = site.servers[0].folder / "compose" / site.code
    found = [live / "conf", *(live / "conf").rglob("*")] if (live / "conf").exists() else []
    return {
        str(path.relative_to(live)): (stat.S_IMODE(path.stat().st_mode), None if path.is_dir() else path.read_text())
        for path in found
    }


def old_or_new(site: Site, composes: list[dict[str, str]]) -> None:
    """Each live file is that of one of both releases, whole."""
    for name, text in site.files().items():
        assert text in [each[name] for each in composes], name
    for name, (_mode, content) in mounted(site).items():
        assert content in [folder[name][1] for folder in FOLDERS if name in folder], name


def read_by_containers(site: Site) -> set[str]:
    """What the containers of the project, which are two, read in their folder."""
    server = site.servers[0]
    ids = server.docker("ps", "-q", "--filter", f"label=com.docker.compose.project={site.code}").split()
    assert len(ids) == 2
    return {server.docker("exec", one, "cat", "/conf/app.ini") for one in ids}


def image_of_side(site: Site) -> str:
    labels = (f"label=com.docker.compose.{name}" for name in (f"project={site.code}", "service=side"))
    filters = (word for label in labels for word in ("--filter", label))
    container = site.servers[0].docker("ps", "-q", *filters).strip()
    return site.servers[0].docker("inspect", "-f", "{{.Config.Image}}", container).strip()


def state(site: Site) -> tuple[object, ...]:
    """The live files, the release and the container."""
    return site.files(), mounted(site), current(site), site.container()


def login_is_gone(site: Site, patience: float = 20) -> None:
    """Wait until the server has deleted the killed run's login, which the next run would delete, too."""
    end = time.monotonic() + patience
    while site.sh(f"grep -ls auths /dev/shm/container-pipeline.{site.code}.*/login/config.json || true"):
        assert time.monotonic() < end, "the login of the killed run is still there"
        time.sleep(0.2)


def untouched(site: Site, before: tuple[object, ...]) -> bool:
    """Return whether the killed run had not begun its switch: it left no journal and changed nothing."""
    journal = site.servers[0].folder / "compose" / site.code / "releases" / ".former"
    return not journal.exists() and state(site) == before


@pytest.mark.parametrize(
    ("either", "killed", "least"),
    [
        pytest.param(0, killed_at_a_rename, 4, id="renames"),
        pytest.param(0, killed_anywhere, 12, id="compose-v2", marks=pytest.mark.matrix),
        pytest.param(1, killed_anywhere, 12, id="compose-v1", marks=pytest.mark.matrix),
    ],
    indirect=["either"],
)
def test_next_deploy_repairs_or_restores_after_a_kill(
    either: Site, monkeypatch: pytest.MonkeyPatch, killed: Callable[[int, str], str], least: int
):
    site = either
    # Nobody aborts the agent here.
    monkeypatch.setattr("container_pipeline.clients.children._ABORT_GRACE", 0)
    sides = [f"{site.registry.address}/{site.code}:{site.publish()}" for _turn in (0, 1)]
    volumes = "    volumes: ['./conf:/conf']\n"
    site.append("docker-compose.yml", f"{volumes}  side:\n    image: {sides[0]}\n{volumes}")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    text = (site.folder / "docker-compose.yml").read_text()
    texts = [text, text.replace("    restart:", "    labels: {changed: 'two'}\n    restart:").replace(*sides)]
    versions, composes = list[str](), list[dict[str, str]]()
    for turn in (0, 1):
        site.write("docker-compose.yml", texts[turn])
        write(site, FOLDERS[turn])
        versions.append(site.deployed())
        composes.append(site.files())
    genuine: Callable[..., str] = transfer.program
    broken = site.publish("unhealthy")
    repaired = 0
    for k in itertools.count(1):
        wanted = 1 - versions.index(current(site))
        before = state(site)
        site.write("docker-compose.yml", texts[wanted])
        write(site, FOLDERS[wanted])
        monkeypatch.setattr(transfer, "program", lambda *given, k=k: killed(k, genuine(*given)))
        cut_short = site("deploy", "--version", versions[wanted])
        monkeypatch.setattr(transfer, "program", genuine)
        settled(site)
        login_is_gone(site)
        old_or_new(site, composes)
        if cut_short.code == 0:
            break
        assert cut_short.code == 1, (k, cut_short.err)
        if untouched(site, before):
            # The next run, which is killed too, finds what this one found, and what it left behind.
            continue
        repaired += 1
        if repaired % 2 and current(site) != versions[wanted]:
            # The next deploy fails, too: the release before both runs again.
            done = site("deploy", "--version", broken)
            assert done.code == 3, (k, done.err)
            wanted = 1 - wanted
        else:
            done = site("deploy", "--version", versions[wanted])
            assert done.code == 0, (k, done.err)
        assert (site.files(), site.running(), mounted(site)) == (composes[wanted], versions[wanted], FOLDERS[wanted]), k
        assert read_by_containers(site) == {FOLDERS[wanted]["conf/app.ini"][1]}, k
        assert f'"{image_of_side(site)}" # {sides[wanted]}\n' in composes[wanted][PINNED], k
    assert repaired >= least, "too few of its points were in the switch or after it"
    assert site.left_over(patience=20) == ""


@pytest.mark.matrix
def test_a_kill_in_the_release_leaves_nothing(either: Site, monkeypatch: pytest.MonkeyPatch):
    site = either
    monkeypatch.setattr("container_pipeline.clients.children._ABORT_GRACE", 0)
    site.deployed()
    site.set("CONTAINER_PIPELINE_RELEASE", "echo migrated")
    newer = site.publish()
    before = site.files(), site.container()
    genuine: Callable[..., str] = transfer.program
    for k in itertools.count(1):
        monkeypatch.setattr(transfer, "program", lambda *given, k=k: killed_in_release(k, genuine(*given)))
        cut_short = site("deploy", "--version", newer)
        settled(site)
        if cut_short.code == 0:
            break
        assert cut_short.code == 1, (k, cut_short.err)
        assert site.left_over(patience=60) == "", k
        assert (site.files(), site.container()) == before, k
        assert site.servers[0].docker("ps", "-aq", "--filter", f"name={site.code}-release") == "", k
    # What runs beside the program, in a shell of its own, counts from where that began.
    assert k >= 5, "too few of its points were in the release command"
    assert "the release command has succeeded" in cut_short.err
    assert site.running() == newer
