"""The program that `fleet` runs on a server, in each shell: what it reports, and how many processes that takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from container_pipeline.plan.fleet import read
from container_pipeline.remote import transfer
from lab.released import project

#: The shells of servers, and the programs beside them: those of this machine, or BusyBox's own.
SHELLS = pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])


def reported(tmp_path: Path, shell: str, roots: str, **values: object) -> tuple[list[tuple[str, str]], int]:
    """Run the program for servers here, with a docker that replays files. Return its lines, and how many processes it took."""
    tools = tmp_path / f"bin-{shell}"
    if not tools.exists():
        tools.mkdir()
        if shell == "busybox":
            subprocess.run(["busybox", "--install", "-s", tools], check=True)
        docker = tools / "docker"
        # A format begins with the mark of a sentence.
        docker.write_text(
            f'#!/bin/sh\n[ $1 != inspect ] || {{ mark=${{3%% *}} && shift 3 && echo "$@" >{tmp_path}/asked && set -- inspect; }}\n'
            f'sed "s/^/${{mark:+$mark }}/" {tmp_path}/docker.$1 2>/dev/null || true\n'
        )
        docker.chmod(0o755)
    given = {
        "word": "w",
        "code": "fleet",
        "folder": "/nonexistent/fleet",
        "sudo": False,
        "wait": 0,
        "who": "",
        "version": "",
    }
    given |= {
        "login": "",
        "roots": roots,
        "only": "",
        "disk": False,
        "oldest": "2026-11-20T00:00:00Z",
        "hours": "2026-11-27T11",
        **values,
    }
    program = transfer.program(("common", "fleet"), given)
    # In a namespace of its own, the id of a last process is the number of all.
    program_shell = "busybox sh" if shell == "busybox" else shell
    outer = f'{program_shell} -c "$0"; sh -c \'echo "processes $$"\''
    # Its end would mean that the agent is gone.
    read_end, write_end = os.pipe()
    try:
        done = subprocess.run(
            ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc", "/bin/sh", "-c", outer, program],
            stdin=read_end,
            capture_output=True,
            check=False,
            env={"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        )
    finally:
        os.close(write_end)
        os.close(read_end)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.decode(errors="replace").splitlines()
    assert lines[-1] == "::w end ok", (lines, done.stderr)
    return [tuple(line[4:].partition(" ")[::2]) for line in lines], int(last.removeprefix("processes "))  # type: ignore[misc]


@SHELLS
def test_processes_do_not_grow_with_the_codes(tmp_path: Path, shell: str):
    counts = {}
    for count in (2, 60):
        root = tmp_path / f"{count}"
        codes = [f"code-{number}" for number in range(count)]
        for code in codes:
            project(root, code)
        lines = [
            f"container running|0|0|-|always|2026-11-24T09:30:16Z|i-{code}|{code}|{code}|{root}/{code}"
            for code in codes
        ]
        ids = [f"{number:064x}" for number in range(count)]
        (tmp_path / "docker.ps").write_text("\n".join(["WARNING: no configuration", *ids, ""]))
        lines += [f"image i-{code}|r/{code}@sha256:{1:064} " for code in codes]
        (tmp_path / "docker.inspect").write_text("".join(f"{line}\n" for line in lines))
        told, counts[count] = reported(tmp_path, shell, str(root))
        found = read("web-1", told, "2026-11-24T10:00:00Z", asked=True).deployments
        assert [one.code for one in found] == sorted(codes)
        assert {one.status for one in found} == {"ok"}, found[0]
        images = [f"r/{code}@sha256:{1:064}" for code in codes]
        assert sorted((tmp_path / "asked").read_text().split()) == sorted([*ids, *images])
        assert all((one.since, len(one.deploys)) == ("2026-11-24T09:30:15Z", 1) for one in found)
    assert counts[60] - counts[2] < 10, counts


@SHELLS
def test_every_edit_of_a_release_is_seen(tmp_path: Path, shell: str):
    root = tmp_path / "compose"
    edits: dict[str, Callable[[Path], object]] = {
        "compose": lambda folder: (folder / "docker-compose.yml").write_text("services: {a: {}}\n"),
        "env-mode": lambda folder: (folder / ".env").chmod(0o666),
        "env-gone": lambda folder: (folder / ".env").unlink(),
        "page": lambda folder: (folder / "pages" / "a b.html").write_text("y"),
        "new-page": lambda folder: (folder / "pages" / "c\\n.html").write_text("y"),
        "no-pages": lambda folder: shutil.rmtree(folder / "pages"),
        "link": lambda folder: [(folder / ".env").unlink(), (folder / ".env").symlink_to("/dev/null")],
        "well": lambda _folder: None,
    }  # fmt: skip
    for code, edit in edits.items():
        edit(project(root, code))
    for name in ("backup", "$(touch x)", "*", "-rf", "a\nb", "\x1b[2J"):
        (root / name).mkdir()
    (root / "cut").mkdir()
    (root / "cut" / "compose.yaml").write_text("")
    (root / "file").write_text("")
    told, _count = reported(tmp_path, shell, f"{root}\n{tmp_path}/nowhere\n{tmp_path}/empty")
    found = read("web-1", told, "", asked=True)
    edited = {one.code: list(one.edited) for one in found.deployments}
    assert edited == {
        "compose": ["docker-compose.yml"], "env-mode": [".env"], "env-gone": [".env"], "page": ["pages"],
        "new-page": ["pages"], "no-pages": ["pages"], "link": [".env"], "well": [], "cut": [],
    }  # fmt: skip
    assert len(found.others) == 6
    assert found.absent == [f"{tmp_path}/nowhere", f"{tmp_path}/empty"]
    assert not (tmp_path / "x").exists()


@SHELLS
def test_odd_files_of_a_project_harm_nothing(tmp_path: Path, shell: str):
    root = tmp_path / "compose"
    (project(root, "long") / "releases" / ".log").write_text("2026-11-24T|" + "x" * 1_000_000 + "\n")
    (project(root, "held") / ".hold").write_bytes(b"bob|2026-11-24T09:30:15Z|\x1b[2J\xff<b>" + b"y" * 1_000_000)
    folder = project(root, "current")
    (folder / "releases" / ".current").write_text("../../../etc\n")
    folder = project(root, "pipe")
    (folder / "releases" / ".log").unlink()
    os.mkfifo(folder / "releases" / ".log")
    told, _count = reported(tmp_path, shell, str(root))
    found = {one.code: one for one in read("web-1", told, "", asked=True).deployments}
    assert sorted(found) == ["current", "held", "long", "pipe"]
    assert (found["current"].version, found["pipe"].deploys) == ("", ())
    hold = found["held"].hold
    assert hold
    assert hold.by == "bob"
    assert len(hold.reason) < 400
    assert "\x1b" not in hold.reason


def test_hundreds_of_codes_pass_every_limit(tmp_path: Path):
    root, image = tmp_path / "compose", f"r/{'i' * 100}@sha256:{1:064}"
    first = project(root, "code-0000-" + "x" * 90)
    record = json.loads((first / "releases" / "20261124093015" / "release.json").read_text())
    (first / "releases" / "20261124093015" / "release.json").write_text(
        json.dumps({**record, "image": "r/" + "i" * 100}) + "\n"
    )
    for number in range(1, 300):
        shutil.copytree(first, root / first.name.replace("0000", f"{number:04}"), copy_function=os.link)
    for number in ("0000", "0299"):
        edited = root / first.name.replace("0000", number) / ".env"
        edited.unlink()
        edited.write_text("A=2\n")
    ids = [f"{number:064x}" for number in range(300)]
    (tmp_path / "docker.ps").write_text("\n".join(ids) + "\n")
    told, count = reported(tmp_path, "dash", str(root))
    found = read("web-1", told, "", asked=True).deployments
    assert len(found) == 300
    assert [one.code[:9] for one in found if one.edited] == ["code-0000", "code-0299"]
    assert (tmp_path / "asked").read_text().split() == [*[image] * 300, *ids]
    # Not one for each code, but one find, stat and sha256sum for each 100 kB of paths.
    assert count < 75
