"""One run at a time per code and server; no crash leaves the lock held."""

from __future__ import annotations

import threading
import time

from container_pipeline.model import local_time
from real.site import Site


def hold(site: Site, seconds: float) -> threading.Thread:
    """Another run holds the lock for a while, as the program for servers does."""
    script = f"cd /docker/compose/{site.code} && exec 9>>.lock && flock 9 && echo 'ann@ci|2026-11-24T09:30:15Z|20261124093015' > .lock && sleep {seconds}"
    thread = threading.Thread(target=site.servers[0].run, args=(script,))
    thread.start()
    while site.lock_is_free():
        time.sleep(0.05)
    return thread


def test_held_lock_exits_5_and_names_its_holder(site: Site):
    version = site.deployed()
    other = hold(site, 8)
    done = site("deploy", "--version", version)
    assert done.code == 5
    assert f"ann@ci has held it since {local_time('2026-11-24T09:30:15Z')}, for version 20261124093015" in done.err
    other.join()


def test_deploy_tolerates_a_lock_released_within_a_second(site: Site):
    # BusyBox's timeout leaves a watcher behind that has the lock for a second after its command has ended.
    version = site.deployed()
    other = hold(site, 1.2)
    done = site("deploy", "--version", version)
    assert done.code == 0, done.err
    other.join()


def test_deploy_waits_for_lock_up_to_wait_option(site: Site):
    version = site.deployed()
    other = hold(site, 3)
    done = site("deploy", "--version", version, "--wait", "30")
    assert done.code == 0
    assert "waiting for the lock: ann@ci" in done.err
    other.join()


def test_two_simultaneous_deploys_succeed_one_after_the_other(site: Site):
    # Slow to become healthy, so that each runs while the other waits for health.
    first, second = site.publish("slow"), site.publish("slow")
    runs = [site.start("deploy", "--version", version, "--wait", "60") for version in (first, second)]
    codes = [run.wait(90) for run in runs]
    for run in runs:
        run.communicate()
    assert codes == [0, 0]
    last = site.sh("head -n 1 releases/.current").strip()
    assert site.running() == last
    assert f"VERSION={last}" in site.files()[".env"]


def test_waiting_run_with_dead_agent_changes_nothing(site: Site):
    site.deployed()
    files, container = site.files(), site.container()
    other = hold(site, 4)
    run = site.start("deploy", "--version", site.publish(), "--wait", "60")
    assert run.stderr
    assert any("waiting for the lock" in line for line in run.stderr)
    run.kill()
    run.communicate()
    other.join()
    assert site.left_over(patience=30) == ""
    assert (site.files(), site.container()) == (files, container)


def test_the_service_does_not_inherit_the_lock(site: Site):
    site.deployed()
    assert site.lock_is_free()


def test_status_says_who_holds_the_lock(site: Site):
    site.deployed()
    site.sh("echo >>.env")
    assert ".env was edited" in site("status").out
    other = hold(site, 8)
    told = site("status", "--json").result["servers"][0]
    assert (told["lock"].partition("|")[0], told["differs"]) == ("ann@ci", [])
    told = site("status").out
    assert ("a run is changing it: ann@ci has held it since" in told, "edited" in told) == (True, False), told
    other.join()
