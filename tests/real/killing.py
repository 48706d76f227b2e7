"""Kills the program on a server at a chosen point, like a crash."""

from __future__ import annotations

from collections.abc import Sequence

from real.site import Site

COUNT = 'tick() { ticks=$((ticks + 1)); [ "$ticks" -ne {k} ] || kill -9 $$; }; ticks=0\n'


def killed_before(k: int, program: str, commands: Sequence[str]) -> str:
    """The program for servers, killed before the k-th of these commands."""
    wrapped = "".join(f'{name}() {{ tick; command {name} "$@"; }}\n' for name in commands)
    return COUNT.replace("{k}", str(k)) + wrapped + program


def current(site: Site) -> str:
    return (site.servers[0].folder / "compose" / site.code / "releases" / ".current").read_text().splitlines()[0]
