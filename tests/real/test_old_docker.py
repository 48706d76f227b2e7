"""Servers with an old Docker: a client that refuses what 18.06 does not know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from container_pipeline.remote import transfer
from real.site import Site

#: `pull -q` came with 19.03, `State` in the format of `ps` with 20.10.
_SHIM = """\
#!/bin/sh
case " $* " in
*" pull -q "*) echo "unknown shorthand flag: 'q' in -q" >&2 && exit 125 ;;
*" ps "*"{{.State}}"*) echo "can't evaluate field State in type *formatter.containerContext" >&2 && exit 1 ;;
esac
PATH=${PATH#*:}
exec docker "$@"
"""


def test_deploys_work_with_a_docker_18_client(site: Site, monkeypatch: pytest.MonkeyPatch):
    site.on(site.lab.servers[1])
    place = f"/docker/old-{site.code}"
    site.servers[0].run(f"mkdir -p {place} && cat > {place}/docker <<'X'\n{_SHIM}X\nchmod 755 {place}/docker")
    genuine: Callable[..., str] = transfer.program
    monkeypatch.setattr(transfer, "program", lambda *given: f"PATH={place}:$PATH\n{genuine(*given)}")
    try:
        version = site.deployed()
        assert site("deploy", "--version", site.publish("exits")).code == 3
        assert site.running() == version
        assert site("status").code == 0
        assert site("down", "--yes").code == 0
    finally:
        site.servers[0].run(f"rm -rf {place}")
