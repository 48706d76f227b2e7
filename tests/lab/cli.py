"""`python3 -m lab up | status | down | install`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from lab import install, place, up


def main(arguments: list[str] | None = None) -> int:
    """0; 1 with one line on stderr where something is missing or failed; `status`: 3 where something is not up."""
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    try:
        code = int(_COMMANDS[options.command](options) or 0)
    except (place.LabError, subprocess.SubprocessError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    if options.command == "up":
        print(
            f"up in {time.monotonic() - began:.1f} s; `. {os.path.relpath(place.home() / 'env.sh')}` sets the environment"
        )
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bring_up = commands.add_parser("up", help="bring up what is not up yet")
    bring_up.add_argument("--servers", type=int, default=2, metavar="N", help="how many servers (2)")
    commands.add_parser("status", help="what runs, and where")
    commands.add_parser("down", help="end all that was started and remove the lab's folder")
    needs = commands.add_parser("install", help="install what the lab (and with --tests, the tests) needs")
    needs.add_argument("--tests", action="store_true")
    return parser


def _up(options: argparse.Namespace) -> None:
    up.bring_up(place.home(), servers=options.servers)
    _status(options)


def _status(_: argparse.Namespace) -> int:
    rows = up.status(place.home())
    if not rows:
        print("no lab here; `make lab` brings one up")
        return 3
    for name, running, text in rows:
        print(f"{'up  ' if running else 'DOWN'}  {name:<12} {text}")
    return 0 if all(running for _, running, _ in rows) else 3


def _down(_: argparse.Namespace) -> None:
    up.take_down(place.home())


def _install(options: argparse.Namespace) -> None:
    install.install(sorted({*install.missing(install.LAB), *(install.missing(install.TESTS) if options.tests else ())}))


_COMMANDS = {"up": _up, "status": _status, "down": _down, "install": _install}
