"""One run at a time per code and server; no crash leaves the lock held."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from container_pipeline.model import local_time
from real.site import Site


@contextmanager
def held(site: Site) -> Iterator[None]:
    """Another run holds the lock, as the program for servers does: all servers of the lab share this machine's kernel."""
    with (site.servers[0].folder / "compose" / site.code / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        print("ann@ci|2026-11-24T09:30:15Z|20261124093015", file=lock, flush=True)
        yield


def test_runs_end_or_wait_for_a_held_lock(site: Site):
    # Without --wait a run ends with 5, and names the other.
    version = site.deployed()
    assert site.lock_is_free(), "the service has inherited the lock"
    site.sh("echo >>.env")
    assert ".env was edited" in site("status").out
    with held(site):
        # While a run changes the files, `status` reports no difference.
        told = site("status", "--json").result["servers"][0]
        assert (told["lock"].partition("|")[0], told["differs"]) == ("ann@ci", [])
        told = site("status").out
        assert ("a run is changing it: ann@ci has held it since" in told, "edited" in told) == (True, False), told
        done = site("deploy", "--version", version)
    assert done.code == 5
    assert f"ann@ci has held it since {local_time('2026-11-24T09:30:15Z')}, for version 20261124093015" in done.err
    # BusyBox's timeout leaves a watcher behind that has the lock for a second after its command has ended.
    with ExitStack() as stack:
        stack.enter_context(held(site))
        release = threading.Timer(1.2, stack.close)
        release.start()
        done = site("deploy", "--version", version)
        release.join()
    assert done.code == 0, done.err
    # A run whose agent dies while it waits changes nothing.
    before = site.files(), site.container()
    with held(site):
        run = site.start("deploy", "--version", site.publish(), "--wait", "60")
        assert run.stderr
        assert any("waiting for the lock: ann@ci" in line for line in run.stderr)
        run.kill()
        run.communicate()
        site.left_over()
    assert site.left_over(patience=30) == ""
    assert (site.files(), site.container()) == before
    # With --wait, two deploys wait until the lock is released, and then both succeed, one after the other.
    runs = []
    with held(site):
        for version in (site.publish(), site.publish()):
            runs.append(site.start("deploy", "--version", version, "--wait", "60"))
        for run in runs:
            assert run.stderr
            assert any("waiting for the lock: ann@ci" in line for line in run.stderr)
    told = [run.communicate(timeout=90)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], told
    last = site.sh("head -n 1 releases/.current").strip()
    assert site.running() == last
    assert f"VERSION={last}" in site.files()[".env"]
