"""Judges facts about machines: each check passes, or comes with its repair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from container_pipeline.i18n import _
from container_pipeline.keys import BY_NAME, PROJECT_FILE, Values
from container_pipeline.model import Target
from container_pipeline.plan import branches
from container_pipeline.plan.deploy import holder, mending
from container_pipeline.settings import Settings

#: Seconds by which clocks may differ, and kilobytes that should be free on a server, for an image and the previous one.
SKEW = 5
SPACE = 2_000_000


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
    checks = [
        (True, _("reachable by SSH, host key known"), ""),
        _docker(facts, ssh, values.sudo),
        _manager(facts) if values.mode == "swarm" else _compose(facts, ssh),
        (
            "flock" in facts,
            _("flock is installed") if "flock" in facts else _("flock is missing"),
            f"{ssh} sudo apt-get install util-linux",
        ),
        _folder(facts, ssh, root),
        _space(facts, ssh),
        _clock(facts, ssh, now),
        _lock(facts),
        _ended_well(target, facts),
        _shell(facts),
    ]
    return [Check(target.name, ok, text, "" if ok else repair) for ok, text, repair in checks]


def _docker(facts: Mapping[str, str], ssh: str, sudo: bool) -> tuple[bool, str, str]:
    if facts.get("docker"):
        return True, _("Docker {version}, and this user may use it", version=facts["docker"]), ""
    if "client" not in facts:
        return False, _("Docker is missing"), f"{ssh} sudo apt-get install docker.io"
    if "frozen" in facts:
        return False, _("the Docker engine does not respond"), f"{ssh} sudo systemctl restart docker"
    refused = facts.get("refused", "")
    if "permission denied" in refused.lower() or sudo:
        repair = f"{ssh} 'sudo usermod -aG docker $(id -un)'"
        return False, _("this user may not use Docker: {text}", text=refused), repair
    return False, _("Docker does not respond: {text}", text=refused), f"{ssh} sudo systemctl start docker"


def _compose(facts: Mapping[str, str], ssh: str) -> tuple[bool, str, str]:
    found = facts.get("compose", "")
    if found:
        return True, _("Compose {version}", version=found), ""
    return False, _("Compose is missing"), f"{ssh} sudo apt-get install docker-compose-plugin"


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
