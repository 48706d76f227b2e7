"""Judges facts about machines: each check passes, or comes with its repair."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, PROJECT_FILE, Values
from container_pipeline.model import Target
from container_pipeline.plan import branches, packages
from container_pipeline.plan.deploy import holder, mending
from container_pipeline.plan.packages import System
from container_pipeline.settings import Settings

#: Seconds by which clocks may differ, and kilobytes that should be free on a server, for an image and the previous one.
SKEW = 5
SPACE = 2_000_000
#: The oldest versions that a deploy works with.
OLDEST_DOCKER, OLDEST_COMPOSE = (18, 6), (1, 29)


@dataclass(frozen=True)
class Check:
    """``repair`` is a command or a sentence that helps; "" for a passed check."""

    group: str
    ok: bool
    text: str
    repair: str = ""

    def __str__(self) -> str:
        return f"  {'✓' if self.ok else '✗'} {self.text}" + (f"\n      → {self.repair}" if self.repair else "")


def origins(group: str, sources: Mapping[str, str], overridden: Sequence[tuple[str, str]]) -> list[Check]:
    """Report the sources of settings; a variable that overrides an environment's setting is wrong for all other environments."""
    told = ", ".join(f"{key} ({source})" for key, source in sources.items())
    return [
        Check(group, True, told or _("all are the defaults")),
        *(
            Check(
                group,
                False,
                _(
                    "{variable} overrides {key} of environment {environment}",
                    variable=BY_NAME[key].variable,
                    key=key,
                    environment=environment,
                ),
                _("rename it to {variable}", variable=BY_NAME[key].site_variable),
            )
            for environment, key in overridden
        ),
    ]


def publishing(group: str, settings: Settings) -> list[Check]:
    """Tell from which branches a multibranch job publishes, and which environments none of them reaches."""
    text = _(
        "a multibranch job publishes from {branches} (set `branches:`; '**' is every branch)",
        branches=branches.told(settings.values.branches),
    )
    repair = _("set `branches:` of the project or of that environment in {file}", file=PROJECT_FILE)
    return [
        Check(group, True, text),
        *(Check(group, False, problem, repair) for problem in branches.unreachable(settings)),
    ]


def server(target: Target, facts: Mapping[str, str], now: float, values: Values) -> list[Check]:
    """Judge a server's facts; ``now`` is this machine's clock at that moment in seconds, ``values`` are the settings."""
    root = target.remote_root or values.remote_root
    ssh = target.ssh
    system = System.read(facts.get("os", ""), "community" in facts)
    checks = [
        (True, _("reachable by SSH, host key known"), ""),
        _docker(facts, ssh, system, values.sudo),
        _manager(facts) if values.mode == "swarm" else _compose(facts, ssh, system),
        (
            "flock" in facts,
            _("flock is installed") if "flock" in facts else _("flock is missing"),
            install("flock", system, ssh),
        ),
        _folder(facts, ssh, root),
        _space(facts, ssh),
        _clock(facts, ssh, now),
        _lock(facts),
        _ended_well(target, facts),
        _shell(facts),
    ]
    return [Check(target.name, ok, text, "" if ok else repair) for ok, text, repair in checks]


def install(program: str, system: System, ssh: str = "", *, update: bool = False, first: str = "") -> str:
    """Return the command that installs a program of ``packages``, on the server of ``ssh`` if given, after the command ``first``."""
    command = packages.command(program, system, update=update)
    if not command:
        return _("install it as https://docs.docker.com/engine/install/ says")
    command = f"{first} && {command}" if first else command
    return f"{ssh} {shlex.quote(command) if '&&' in command else command}" if ssh else command


def _docker(facts: Mapping[str, str], ssh: str, system: System, sudo: bool) -> tuple[bool, str, str]:
    version = facts.get("docker", "")
    if version and () < _numbers(version) < OLDEST_DOCKER:
        text = _("Docker {version} is too old: the oldest that works is {oldest}", version=version, oldest="18.06")
        return False, text, install("docker", system, ssh, update=True)
    if version:
        return True, _("Docker {version}, and this user may use it", version=version), ""
    if "client" not in facts:
        return False, _("Docker is missing"), install("docker", system, ssh)
    if "frozen" in facts:
        return False, _("the Docker engine does not respond"), f"{ssh} sudo systemctl restart docker"
    refused = facts.get("refused", "")
    if re.search("client version .* is too (old|new)", refused):
        text = _("the docker command cannot talk to the engine: {text}", text=refused)
        return False, text, install("client" if "too old" in refused else "docker", system, ssh, update=True)
    if "permission denied" in refused.lower() or sudo:
        repair = f"{ssh} 'sudo usermod -aG docker $(id -un)'"
        return False, _("this user may not use Docker: {text}", text=refused), repair
    return False, _("Docker does not respond: {text}", text=refused), f"{ssh} sudo systemctl start docker"


def _compose(facts: Mapping[str, str], ssh: str, system: System) -> tuple[bool, str, str]:
    version, plugin = facts.get("compose", ""), facts.get("plugin", "")
    # One that somebody has put there hides the package's.
    by_hand = f"sudo rm {plugin}" if plugin.startswith(("/root/", "/home/", "/usr/local/")) else ""
    repair = install("compose", system, ssh, update=bool(plugin) and not by_hand, first=by_hand)
    if not version:
        return False, _("Compose is missing"), repair
    if () < _numbers(version) < OLDEST_COMPOSE:
        text = _("Compose {version} is too old: the oldest that works is {oldest}", version=version, oldest="1.29")
        return False, text, repair
    if facts.get("docker") and facts.get("mute"):
        text = _(
            "Compose {version} cannot talk to Docker {docker}: {text}",
            version=version,
            docker=facts["docker"],
            text=facts["mute"],
        )
        return False, text, install("docker", system, ssh, update=True) if "too new" in facts["mute"] else repair
    return True, _("Compose {version}", version=version), ""


def _numbers(version: str) -> tuple[int, ...]:
    """Return major and minor number of a version; () if it has none."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else ()


def _manager(facts: Mapping[str, str]) -> tuple[bool, str, str]:
    if "manager" in facts:
        return True, _("it is a Docker Swarm manager"), ""
    if "quorum" in facts:
        lost = _("the Swarm has no leader: {text}", text=facts["quorum"])
        return False, lost, _("bring more than half of its managers back (`docker node ls` on one of them)")
    repair = _("use a manager, or run `docker swarm init` there; without a swarm remove `mode: swarm`")
    return False, _("it is not a Docker Swarm manager"), repair


def _folder(facts: Mapping[str, str], ssh: str, root: str) -> tuple[bool, str, str]:
    if "writable" in facts:
        return True, _("the project folder is writable"), ""
    return False, _("the project folder is not writable"), f"{ssh} 'sudo install -d -o $(id -un) {root}'"


def _space(facts: Mapping[str, str], ssh: str) -> tuple[bool, str, str]:
    left = facts.get("space", "")
    if not left.isdigit():
        return True, _("free space is unknown"), ""
    gigabytes = round(int(left) / 1_000_000, 1)
    return (
        int(left) >= SPACE,
        _("{size} GB are free", size=gigabytes),
        f"{ssh} 'docker builder prune -f; docker image prune -f'",
    )


def _clock(facts: Mapping[str, str], ssh: str, now: float) -> tuple[bool, str, str]:
    clock = facts.get("clock", "")
    skew = round(abs(now - int(clock))) if clock.isdigit() else 0
    repair = f"{ssh} sudo systemctl restart systemd-timesyncd"
    return skew <= SKEW, _("the clock differs by {seconds} s", seconds=skew), repair


def _lock(facts: Mapping[str, str]) -> tuple[bool, str, str]:
    if "lock" not in facts:
        return True, _("no run holds the lock"), ""
    return (
        False,
        _("a run is changing it: {holder}", holder=holder(facts["lock"])),
        _("wait until it has ended; its lock ends with it"),
    )


def _ended_well(target: Target, facts: Mapping[str, str]) -> tuple[bool, str, str]:
    if facts.get("unfinished", "").startswith("broken"):
        text = _("a deploy and its rollback failed there: manual repair is needed")
        return False, text, mending(target, facts.get("version", ""))
    if "unfinished" in facts:
        text = _("a deploy was interrupted there")
        return False, text, _("run `container-pipeline deploy` or `rollback`: they repair it first")
    return True, _("no deploy there was cut short"), ""


def _shell(facts: Mapping[str, str]) -> tuple[bool, str, str]:
    names = facts.get("by-hand", "")
    if not names:
        return True, _("no variable of the login shell overrides .env"), ""
    text = _(
        "the login shell sets {names}, which overrides .env when a person runs Compose there",
        names=", ".join(names.split()),
    )
    return False, text, _("remove it from the user's start files and /etc/environment there; deploys are not affected")
