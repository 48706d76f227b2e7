"""After a killed deploy and a failed one, the release before both runs again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from real.killing import current, killed_before
from real.site import Site, settled

pytestmark = pytest.mark.slow


@pytest.mark.matrix  # at every rename; the sweep of kills fails after each second of its kills
def test_failed_deploy_after_killed_one_restores_earlier_release(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.write("docker-compose.yml", (site.folder / "docker-compose.yml").read_text().replace(
        "ports:", "volumes: ['./conf/app.ini:/app.ini']\n    ports:"))  # fmt: skip
    site.set("CONTAINER_PIPELINE_FILES", "conf/app.ini")
    site.write("conf/app.ini", "one\n")
    former = site.deployed()
    old = site.files()
    wanted, broken = site.publish(), site.publish("unhealthy")
    genuine: Callable[..., str] = transfer.program
    for k in itertools.count(1):
        site.write("conf/app.ini", f"killed {k}\n")
        monkeypatch.setattr(transfer, "program", lambda *given, k=k: killed_before(k, genuine(*given), ["mv"]))
        assert site("deploy", "--version", wanted).code in (0, 1)
        monkeypatch.setattr(transfer, "program", genuine)
        settled(site)
        if current(site) == wanted:
            break
        site.write("conf/app.ini", f"broken {k}\n")
        assert site("deploy", "--version", broken).code == 3
        assert (site.files(), site.running(), site.sh("cat conf/app.ini")) == (old, former, "one\n"), k
    assert k > 3, "it was killed at fewer points than there are"
