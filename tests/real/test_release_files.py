"""Files of a release on the server: unchanged ones stay mounted, changed ones are replaced as a whole."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest

from container_pipeline.remote import ssh, transfer
from real.site import Site

#: Blanks, quotes, patterns that match others beside them, dashes, backslashes, and what Compose or a shell would replace.
NAMES = [
    "notes[1]",
    "notes1",
    "a b ",
    'it\'s "so"',
    "*",
    "?",
    "back\\nslash",
    "$HOME",
    "-rf",
    "é",
    "pages/[id].html",
    "pages/i.html",
]
#: The folder on the server that a container has at /conf.
SOURCE = '{{range .Mounts}}{{if eq .Destination "/conf"}}{{.Source}}{{end}}{{end}}'
pytestmark = pytest.mark.slow


def write(site: Site, **files: str) -> None:
    for name, text in files.items():
        site.write(name, text)


def set_files(site: Site, *units: str) -> None:
    """Set ``files:`` in the project's file, where names may have commas and blanks."""
    quoted = ["'" + unit.replace("'", "''") + "'" for unit in units]
    site.write("container-pipeline.yml", f"files: [{', '.join(quoted)}]\n")


@pytest.fixture
def mounted(either: Site) -> Site:
    """A service with a companion, whose image stays the same; both mount a folder, one below it, and a file."""
    site = either
    companion = f"{site.registry.address}/{site.code}:{site.publish()}"
    volumes = "volumes: ['./conf:/conf', './conf/sub:/sub', './app.ini:/app.ini']"
    site.append("docker-compose.yml", f"    {volumes}\n  side:\n    image: {companion}\n    {volumes}\n")
    set_files(site, "conf", "app.ini")
    for name in ("conf/a", "conf/sub/b", "app.ini"):
        site.write(name, "one\n")
    site.deployed()
    return site


def seen(site: Site) -> dict[str, str]:
    """What each container of the project reads in what it mounts."""
    server = site.servers[0]
    ids = server.docker("ps", "-q", "--filter", f"label=com.docker.compose.project={site.code}").split()
    script = "cd / && for f in conf/* conf/*/* sub/* app.ini; do [ ! -f $f ] || echo $f=$(cat $f); done"
    found = [server.docker("exec", one, "sh", "-c", script) for one in ids]
    return {"containers": str(len(ids)), **{line: line for line in {*found}}}


def expected(containers: int, **texts: str) -> dict[str, str]:
    lines = "".join(f"{name}={texts[key]}\n" for name, key in (
        ("conf/a", "a"), ("conf/sub/b", "b"), ("sub/b", "b"), ("app.ini", "ini")))  # fmt: skip
    return {"containers": str(containers), lines: lines}


def starts(site: Site, service: str) -> str:
    server = site.servers[0]
    filters = ("--filter", f"label=com.docker.compose.project={site.code}")
    [one] = server.docker("ps", "-q", *filters, "--filter", f"label=com.docker.compose.service={service}").split()
    return server.docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", one)


def test_every_container_reads_files_of_the_running_release(mounted: Site):
    site, server = mounted, mounted.servers[0]
    side, own = starts(site, "side"), starts(site, site.code)
    first = server.docker("inspect", "-f", "{{.Config.Image}}", site.code).strip().rpartition(":")[2]
    # A container that no Compose file names, and that nothing restarts, has the folder mounted, too.
    stranger = f"{site.code}-stranger"
    folder = f"{server.docker('inspect', '-f', SOURCE, site.code).strip()}:/conf"
    image = server.docker("inspect", "-f", "{{.Image}}", site.code).strip()
    server.docker("run", "-d", "--name", stranger, "-v", folder, image, "sleep", "600")
    # Nothing changed: nothing is touched.
    assert site("deploy", "--version", first).code == 0
    assert seen(site) == expected(2, a="one", b="one", ini="one")
    assert (starts(site, "side"), starts(site, site.code)) == (side, own)
    # A new version alone: the companion is not touched.
    second = site.deployed()
    assert starts(site, "side") == side
    # A deploy that fails.
    write(site, **{"conf/a": "two\n", "app.ini": "two\n", "conf/new/c": "two\n"})
    (site.folder / "conf/sub/b").unlink()
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    assert seen(site) == expected(2, a="one", b="one", ini="one")
    # The same version with other files: Compose itself would see no difference.
    site.write("conf/sub/b", "one\n")
    assert site("deploy", "--version", second).code == 0
    assert server.docker("exec", stranger, "cat", "/conf/a", "/conf/sub/b", "/conf/new/c") == "two\none\ntwo\n"
    assert all("app.ini=two\n" in text for text in seen(site) if text != "containers")
    assert site("status", "--json").result["servers"][0]["differs"] == []
    # And back.
    assert site("rollback", "--version", first).code == 0
    assert seen(site) == expected(2, a="one", b="one", ini="one")
    assert server.docker("exec", stranger, "sh", "-c", "cat /conf/a /conf/sub/b; ls /conf") == "one\none\na\nsub\n"


def live(site: Site, *names: str) -> dict[str, str]:
    """Return mode and content of everything below ``names`` in the live folder."""
    top = site.servers[0].folder / "compose" / site.code
    paths = [path for name in names for path in (top / name, *sorted((top / name).rglob("*"))) if os.path.lexists(path)]
    return {
        path.relative_to(top).as_posix(): f"{path.stat().st_mode & 0o7777:o} "
        + ("folder" if path.is_dir() else path.read_text())
        for path in paths
    }


def as_file(site: Site) -> None:
    site.write("x", "file\n")
    set_files(site, "x")


def as_folder(site: Site) -> None:
    site.write("x/a", "in folder\n")
    site.write("x/b/c", "below\n")
    set_files(site, "x")


def as_part(site: Site) -> None:
    site.write("x/a", "part\n")
    set_files(site, "x/a")


SHAPES = {"file": as_file, "folder": as_folder, "part": as_part}


def shape(site: Site, make: Callable[[Site], None]) -> None:
    old = site.folder / "x"
    if old.is_dir():
        for path in sorted(old.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        old.rmdir()
    elif old.exists():
        old.unlink()
    make(site)


@pytest.mark.matrix  # the test below has two of these changes
def test_a_folder_becomes_a_file_and_comes_back(either: Site):
    site = either
    versions, contents = {}, {}
    for name in ("folder", "file", "part", "file", "folder", "part"):
        shape(site, SHAPES[name])
        if name in contents:
            # What failed had another shape; what ran before is there again, whole.
            before = live(site, "x")
            assert site("deploy", "--version", site.publish("unhealthy")).code == 3
            assert live(site, "x") == before
        versions[name] = site.deployed()
        found = live(site, "x")
        assert found["x"] == ("644 file\n" if name == "file" else "755 folder")
        contents[name] = found
    for name in ("file", "folder", "file", "part"):
        assert site("rollback", "--version", versions[name]).code == 0, name
        assert site.sh("cat x" if name == "file" else "cat x/a") == {
            "file": "file\n", "folder": "in folder\n", "part": "part\n"}[name]  # fmt: skip
    assert site.left_over() == ""


def test_file_that_cannot_be_restored_exits_4(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.append("docker-compose.yml", "    volumes: ['./conf:/conf']\n")
    site.set("CONTAINER_PIPELINE_FILES", "conf")
    site.write("conf/a", "one\n")
    former = site.deployed()
    genuine: Callable[..., str] = transfer.program
    broken = site.publish("unhealthy")
    site.write("conf/a", "two\n")
    (site.folder / "conf").chmod(0o700)

    def where_it_fails(command: str, pattern: str) -> None:
        fails = f"""{command}() {{
    case "$*" in *"{pattern}"*" ./"* | "{pattern}") echo "{command}: read-only file system" >&2; return 1 ;; esac
    command {command} "$@"
}}
"""
        monkeypatch.setattr(transfer, "program", lambda *given: fails + genuine(*given))

    where_it_fails("mv", "releases/.former/tree/")
    done = site("deploy", "--version", broken)
    assert done.code == 4, done.err
    assert "mv: read-only file system" in done.err
    # The journal stays: what was not put back is put back by the next run, or that refuses too, as where a mode stays wrong.
    where_it_fails("chmod", "755 ./conf")
    again = site("deploy", "--version", former)
    assert (again.code, "chmod: read-only file system" in again.err) == (1, True), again.err
    monkeypatch.setattr(transfer, "program", genuine)
    assert site("deploy", "--version", broken).code == 3
    assert (site.sh("cat conf/a"), site.sh("stat -c %a conf")) == ("one\n", "755\n")
    assert site.running() == former


class Web:
    """A folder with links, empty folders and modes."""

    ONE: ClassVar = {
        "web": "755 folder",
        "web/empty": "700 folder",
        "web/empty/er": "711 folder",
        "web/index.html": "644 page\n",
        "web/run": "750 #!/bin/sh\n",
        "web/same": "644 page\n",
        "web/secret": "600 hush\n",
        "web/theme": "755 folder",
        "web/theme/style.css": "644 style\n",
    }
    #: Modes alone have changed.
    TWO: ClassVar = {**ONE, "web/secret": "640 hush\n", "web/empty": "755 folder"}

    def __init__(self, site: Site) -> None:
        site.write("shared/style.css", "style\n")
        for name in ("index.html", "secret", "run"):
            site.write(f"web/{name}", self.ONE[f"web/{name}"].partition(" ")[2])
        self.folder = site.folder / "web"
        (self.folder / "theme").symlink_to("../shared")
        (self.folder / "same").symlink_to("index.html")
        (self.folder / "empty/er").mkdir(parents=True)

    def write(self, wanted: dict[str, str]) -> None:
        for name in ("secret", "run", "empty", "empty/er", "index.html"):
            (self.folder / name).chmod(int(wanted[f"web/{name}"].partition(" ")[0], 8))


@pytest.mark.parametrize(
    ("shell", "v"),
    [
        ("dash", 0),
        *(pytest.param(shell, 0, marks=pytest.mark.matrix) for shell in ("busybox ash", "bash --posix")),
        pytest.param("dash", 1, marks=pytest.mark.matrix),
    ],
)
def test_names_modes_links_and_shapes_of_files_arrive(site: Site, monkeypatch: pytest.MonkeyPatch, shell: str, v: int):
    site.on(site.lab.servers[v])
    monkeypatch.setattr(ssh, "BOOTSTRAP", ssh.BOOTSTRAP.replace("exec sh -c", f"exec {shell} -c"))
    site.set("CONTAINER_PIPELINE_KEEP", "2")
    # A name is only a name, alone and in a folder; and `x` is a file in one release, a folder in the other.
    units = [name for name in NAMES if name not in ("notes1", "-rf", "pages/[id].html", "pages/i.html")]
    web, top = Web(site), site.servers[0].folder / "compose" / site.code
    # What a pattern, a blank or a dash could mean.
    strangers = ("notes1", "a", "b", "it", "HOME", "releases/b ackup/x", "releases/b/release.txt", "-rf", "zzz")

    def wanted(text: str) -> None:
        for name in NAMES:
            site.write(f"folder of/{name}", text)
            if name in units:
                site.write(name, text)
        web.write(Web.ONE if text == "one\n" else Web.TWO)
        shape(site, as_file if text == "one\n" else as_folder)
        set_files(site, *units, "folder of", "web", "x")

    def is_live(text: str) -> None:
        for name in NAMES:
            assert (top / "folder of" / name).read_text() == text, name
        assert [(top / name).read_text() for name in units] == [text] * len(units)
        assert [(top / name).read_text() for name in strangers] == ["mine\n"] * len(strangers)
        assert live(site, "web") == (Web.ONE if text == "one\n" else Web.TWO)
        assert live(site, "x")["x"] == ("644 file\n" if text == "one\n" else "755 folder")

    wanted("one\n")
    version = site.deployed()
    for name in strangers:
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text("mine\n")
    is_live("one\n")
    wanted("two\n")
    assert site("deploy", "--version", site.publish("unhealthy")).code == 3
    is_live("one\n")
    newer = site.deployed()
    is_live("two\n")
    assert site("rollback", "--version", version).code == 0
    is_live("one\n")
    # Once more, which removes the release that was rolled back, and nothing beside it.
    site.deployed()
    is_live("two\n")
    assert site("status", "--json").result["servers"][0]["differs"] == []
    assert (site.left_over(), (top / "releases" / newer).exists()) == ("", False)


def refused(site: Site, *units: str) -> str:
    set_files(site, *units)
    done = site("deploy", "--version", "20200101000000")
    assert done.code == 1
    return done.err


def test_what_cannot_be_carried_is_refused_by_name(site: Site, tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_text("x")
    site.write("web/index.html", "page\n")
    web = site.folder / "web"

    def with_entry(name: str, make: Callable[[Path], object]) -> str:
        path = web / name
        make(path)
        try:
            return refused(site, "web")
        finally:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()

    assert "web/out leads out" in with_entry("out", lambda path: path.symlink_to(tmp_path / "outside"))
    assert "web/file leads out" in with_entry("file", lambda path: path.symlink_to(tmp_path / "outside/x"))
    assert "web/gone is a broken link" in with_entry("gone", lambda path: path.symlink_to("nowhere"))
    assert "web/loop is a link to a folder that contains it" in with_entry(
        "loop", lambda path: path.symlink_to("../web")
    )
    assert "web/pipe is a socket, pipe or device" in with_entry("pipe", lambda path: os.mkfifo(path))
    assert "web/socket is a socket" in with_entry("socket", lambda path: socket.socket(socket.AF_UNIX).bind(str(path)))
    assert "web/two\\nlines' has a control character" in with_entry("two\nlines", lambda path: path.write_text("x"))
    assert "has mode 4755" in with_entry("set-id", lambda path: (path.write_text("x"), path.chmod(0o4755)))
    assert "has mode 0500" in with_entry("closed", lambda path: path.mkdir(0o500))
    assert "is not a path inside the project" in refused(site, "-rf")
    (site.folder / "hollow/er").mkdir(parents=True)
    assert "contains no file" in refused(site, "hollow")
