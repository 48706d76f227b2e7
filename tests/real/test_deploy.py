"""A deploy ends with the new version healthy, and with the files that an operator expects."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from real.site import Site


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[set[str]]:
    """Collect the modes that any `.env` below the folder has meanwhile."""
    modes: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            # Folders may be removed meanwhile.
            with contextlib.suppress(OSError):
                modes.update(oct(path.stat().st_mode & 0o777) for path in folder.rglob(".env*"))
            over.wait(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield modes
    finally:
        over.set()
        watcher.join()


def test_deploy_and_rollback_leave_what_operators_expect(either: Site):
    either.set("BUILD_URL", "https://jenkins.example/job/a/7/")
    folder = either.servers[0].folder / "compose" / either.code
    first = either.publish()
    # A dry run prints the plan, and changes nothing.
    done = either("deploy", "--version", first, "--dry-run")
    assert done.code == 0
    assert done.out.startswith(f"deploy {either.code} {first} (")
    assert not folder.exists()
    # A deploy runs the version, and its files name it. No .env is ever readable by others, not even for a moment.
    with watched(folder) as modes:
        done = either("deploy", "--version", first, "--json")
    assert (done.code, modes) == (0, {"0o600"}), done.err
    names = (".env", "docker-compose.yml", ".lock", f"releases/{first}", f"releases/{first}/.env")
    assert [oct(folder.joinpath(name).stat().st_mode & 0o777) for name in names] == [
        "0o600", "0o644", "0o644", "0o700", "0o600"]  # fmt: skip
    record = json.loads((folder / f"releases/{first}/release.json").read_text())
    assert (record["version"], record["digest"]) == (first, either.digest(first))
    assert (record["build"], "@" in record["by"]) == ("https://jenkins.example/job/a/7/", True)
    assert record["when"].endswith("Z")
    assert done.result["servers"][0]["status"] == "ok"
    assert (done.result["version"], done.result["digest"]) == (first, either.digest(first))
    assert either.servers[0].get(either.port).strip() == first
    files = {
        "docker-compose.yml": (either.folder / "docker-compose.yml").read_text(),
        ".env": f"ENV=test\nVERSION={first}\nDOCKER_REGISTRY={either.registry.address}\n",
    }
    assert either.files() == files
    assert either.left_over() == ""
    # An operator's own `up -d` leaves the container alone, and so does the same deploy once more.
    container = either.container()
    either.sh("docker compose up -d" if either.servers[0].compose == "v2" else "docker-compose up -d")
    assert either.container() == container
    done = either("deploy", "--version", first)
    assert (done.code, "pulling" in done.err, either.container()) == (0, False, container), done.err
    # `status` shows what runs, `history` each release.
    either.write(".env", "ENV=other\n")
    second = either.deployed()
    state = either("status", "--json").result["servers"][0]
    assert (state["version"], state["differs"]) == (second, [])
    assert [(one["service"], one["state"], one["health"]) for one in state["containers"]] == [
        (either.code, "running", "healthy")
    ]
    kept = either("history", "--json").result["servers"][0]["releases"]
    assert [record["version"] for record in kept] == [second, first]
    # A rollback brings back the previous release, byte for byte.
    done = either("rollback", "--json")
    assert done.code == 0, done.err
    assert (done.result["version"], either.files()) == (first, files)
    assert either.servers[0].get(either.port).strip() == first
