"""A deploy ends with the new version healthy, and with the files that an operator expects."""

from __future__ import annotations

import contextlib
import json
import threading

from real.site import Site, both_composes


@both_composes
def test_deploy_runs_the_version_and_leaves_its_files(either: Site):
    version = either.publish()
    done = either("deploy", "--version", version, "--json")
    assert done.code == 0, done.err
    assert done.result["servers"][0]["status"] == "ok"
    assert (done.result["version"], done.result["digest"]) == (version, either.digest(version))
    assert either.servers[0].get(either.port).strip() == version
    assert either.files() == {
        "docker-compose.yml": (either.folder / "docker-compose.yml").read_text(),
        ".env": f"ENV=test\nVERSION={version}\nDOCKER_REGISTRY={either.registry.address}\n",
    }
    assert either.left_over() == ""


def test_an_operators_own_up_gives_the_same_container(either: Site):
    either.deployed()
    before = either.servers[0].docker("inspect", "-f", "{{.Id}}", either.code)
    command = "docker compose" if either.servers[0].compose == "v2" else "docker-compose"
    # As /etc/profile may have it on a server that is a build node too.
    either.sh(f"{command} up -d")
    assert either.servers[0].docker("inspect", "-f", "{{.Id}}", either.code) == before


def test_a_second_deploy_of_the_same_changes_nothing(either: Site):
    version = either.deployed()
    before = either.servers[0].docker("inspect", "-f", "{{.Id}}", either.code)
    done = either("deploy", "--version", version)
    assert done.code == 0
    assert "pulling" not in done.err
    assert either.servers[0].docker("inspect", "-f", "{{.Id}}", either.code) == before


def test_deploy_makes_secret_files_readable_only_by_owner(site: Site):
    version = site.deployed()
    modes = site.sh(f"stat -c '%n %a' .env docker-compose.yml .lock releases/{version} releases/{version}/.env")
    assert dict(line.split() for line in modes.splitlines()) == {
        ".env": "600",
        "docker-compose.yml": "644",
        ".lock": "644",
        f"releases/{version}": "700",
        f"releases/{version}/.env": "600",
    }


def test_env_files_are_never_readable_by_others(site: Site):
    version = site.publish()
    folder = site.servers[0].folder / "compose" / site.code
    modes: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            # Folders may be removed meanwhile.
            with contextlib.suppress(OSError):
                modes.update(oct(path.stat().st_mode & 0o777) for path in folder.rglob(".env*"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert site("deploy", "--version", version).code == 0
    finally:
        over.set()
        watcher.join()
    assert modes == {"0o600"}


def test_release_record_holds_version_digest_build_user_time(site: Site):
    site.set("BUILD_URL", "https://jenkins.example/job/a/7/")
    version = site.deployed()
    record = json.loads(site.sh(f"cat releases/{version}/release.json"))
    assert record["version"] == version
    assert record["digest"] == site.digest(version)
    assert record["build"] == "https://jenkins.example/job/a/7/"
    assert "@" in record["by"]
    assert record["when"].endswith("Z")


def test_status_shows_running_version_and_history_lists_releases(either: Site):
    first = either.deployed()
    second = either.deployed()
    state = either("status", "--json").result["servers"][0]
    assert (state["version"], state["differs"]) == (second, [])
    assert [(one["service"], one["state"], one["health"]) for one in state["containers"]] == [
        (either.code, "running", "healthy")
    ]
    kept = either("history", "--json").result["servers"][0]["releases"]
    assert [record["version"] for record in kept] == [second, first]


def test_rollback_restores_the_previous_release_byte_for_byte(either: Site):
    first = either.deployed()
    files = either.files()
    either.write(".env", "ENV=other\n")
    either.deployed()
    done = either("rollback", "--json")
    assert done.code == 0, done.err
    assert done.result["version"] == first
    assert either.files() == files
    assert either.servers[0].get(either.port).strip() == first


def test_deploy_dry_run_prints_plan_without_server_changes(site: Site):
    version = site.publish()
    done = site("deploy", "--version", version, "--dry-run")
    assert done.code == 0
    assert done.out.startswith(f"deploy {site.code} {version} (")
    assert (
        site.servers[0]
        .run(f"ls /docker/compose/{site.code} 2>&1 || true")
        .strip()
        .endswith("No such file or directory")
    )
