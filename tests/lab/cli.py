"""`python3 -m lab up | status | down | install | run COMMAND`: on this machine, else in a container."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

from lab import container, install, place, up


def main(arguments: list[str] | None = None) -> int:
    """Return 0; 1 with one line on stderr if something is missing or failed; `status`: 3 if something is not up."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    try:
        if container.needed():
            return _in_container(options, given)
        return int(_COMMANDS[options.command](options) or 0)
    except (place.LabError, subprocess.SubprocessError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bring_up = commands.add_parser("up", help="bring up what is not up yet")
    bring_up.add_argument("--servers", type=int, default=2, metavar="N", help="how many servers (2)")
    bring_up.add_argument("--hudson", action="store_true", help="a Hudson too, to seed jobs into")
    commands.add_parser("status", help="what runs, and where")
    commands.add_parser("down", help="end all that was started and remove the lab's folder")
    needs = commands.add_parser("install", help="install what the lab (and with --tests, the tests) needs")
    needs.add_argument("--tests", action="store_true")
    command = commands.add_parser("run", help="run a command where the lab is: here, or in its container")
    command.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _in_container(options: argparse.Namespace, given: list[str]) -> int:
    if options.command in ("down", "status") and not container.exists():
        return 0 if options.command == "down" else _status(options)
    if options.command == "down":
        container.lab(given)
        container.down()
        return 0
    container.up()
    code = container.run(options.argv) if options.command == "run" else container.lab(given)
    if options.command == "up" and code == 0:
        print(f"it runs in a container: docker exec -it -w {place.REPOSITORY} {container.name()} bash")
    return code


def _up(options: argparse.Namespace) -> None:
    began = time.monotonic()
    up.bring_up(place.home(), servers=options.servers)
    if options.hudson:
        up.bring_up_hudson(place.home())
    _status(options)
    print(
        f"up in {time.monotonic() - began:.1f} s; `. {os.path.relpath(place.home() / 'env.sh')}` sets the environment"
    )


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


def _run(options: argparse.Namespace) -> int:
    return subprocess.run(options.argv).returncode


_COMMANDS = {"up": _up, "status": _status, "down": _down, "install": _install, "run": _run}
