"""doctor: check this machine, registries, servers and Jenkins in parallel, and show how to repair each problem."""

from __future__ import annotations

import getpass
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from container_pipeline.console import Console, unexpected
from container_pipeline.errors import ChecksFailed, PipelineError, SettingsError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.model import RegistryAccess, Target
from container_pipeline.outside import LARGEST_YAML, read_file
from container_pipeline.plan import doctor as plan
from container_pipeline.plan.doctor import Check
from container_pipeline.plan.packages import System
from container_pipeline.remote.fleet import Fleet, ServerTask
from container_pipeline.result import Checks
from container_pipeline.settings import Settings

#: Limits in seconds: all checks together, and an ssh connection.
DEADLINE = 10.0
CONNECT = 4


def run(run: Run) -> None:
    """Show all checks; raises ChecksFailed if one did not pass."""
    checks = _together(_groups(run), run.console)
    group = ""
    for check in checks:
        if check.group != group:
            group = check.group
            run.console.result(group)
        run.console.result(str(check))
    run.result.add(Checks(checks=[vars(check) for check in checks]))
    failed = sum(not check.ok for check in checks)
    if failed:
        raise ChecksFailed(
            _("{failed} of {all} checks failed", failed=failed, all=len(checks)),
            _("each arrow (→) says how to repair it"),
        )
    run.console.line(_("all {number} checks passed", number=len(checks)))


Examine = Callable[[], Iterable[Check]]


def _groups(run: Run) -> dict[str, Examine]:
    """Return title → group of checks."""
    settings = run.settings
    groups: dict[str, Examine] = {
        _("this machine"): partial(_machine, run),
        _("settings"): partial(_settings, settings),
    }
    for role, access, title in (
        ("development", settings.development, _("development registry")),
        ("production", settings.production, _("production registry")),
    ):
        title += f" {access.registry}" if access else ""
        groups[title] = partial(_registry, run, title, role, access)
    for target in settings.servers:
        groups[target.name] = partial(_server, run, target)
    if settings.jenkins:
        groups["Jenkins"] = partial(_jenkins, settings)
    return groups


def _together(groups: dict[str, Examine], console: Console) -> list[Check]:
    """Run all groups in parallel; report groups that exceed the time. Threads that still wait are abandoned."""
    found: dict[str, list[Check]] = {}

    def work(title: str, examine: Examine) -> None:
        try:
            found[title] = list(examine())
        except PipelineError as error:
            found[title] = [Check(title, False, error.message, error.hint)]
        except Exception as error:
            told = unexpected(error, console)
            found[title] = [Check(title, False, told.message, told.hint)]

    threads = [threading.Thread(target=work, args=group, daemon=True) for group in groups.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = _("no response within {seconds} s", seconds=round(DEADLINE))
    return [
        check
        for title in groups
        for check in found.get(title, [Check(title, False, late, _("check the network between here and there"))])
    ]


def _settings(settings: Settings) -> Iterable[Check]:
    title = _("settings")
    yield from plan.origins(title, settings.origins(), settings.overridden())
    yield from plan.publishing(title, settings)


def _machine(run: Run) -> Iterable[Check]:
    title, settings = _("this machine"), run.settings
    yield Check(title, True, f"Python {platform.python_version()}")
    yield from _engine(run, title)
    ssh = shutil.which("ssh")
    needed = bool(settings.servers)
    yield Check(
        title,
        bool(ssh) or not needed,
        _("ssh is installed") if ssh else _("ssh is missing"),
        "" if ssh or not needed else plan.install("ssh", _system()),
    )
    yield from _signing(settings, title)
    yield Check(
        title, True, _("git is installed") if shutil.which("git") else _("git is missing: images get no revision label")
    )


def _signing(settings: Settings, title: str) -> Iterable[Check]:
    """Check what `verify`, `sign` and `sbom` need of this machine, if one of them is set."""
    from container_pipeline.execute import signing, verification

    values = settings.values
    keys = [name for name in ("verify", "sign", "sbom") if getattr(values, name)]
    if not keys:
        return
    try:
        verification.check(settings)
        signing.check(settings)
    except SettingsError as error:
        yield Check(title, False, error.message, error.hint)
        return
    yield Check(title, True, _("what {keys} needs is here", keys=", ".join(f"`{name}`" for name in keys)))


def _engine(run: Run, title: str) -> Iterable[Check]:
    from container_pipeline.clients.buildkit import BuildKit
    from container_pipeline.clients.engine import Engine

    try:
        engine = Engine(run.console)
        told = engine.client.version()
    except PipelineError as error:
        denied = "permission denied" in error.message.lower()
        repair = f"sudo usermod -aG docker {getpass.getuser()}" if denied else "sudo systemctl start docker"
        yield Check(title, False, error.message, repair)
        return
    yield Check(title, True, _("Docker engine {version}", version=told.get("Version", "")))
    values = run.settings.values
    buildkit = BuildKit.find(run.console)
    wanted = bool(values.secrets or values.platforms) or values.builder == "buildkit"
    if buildkit:
        yield Check(title, True, _("builds with BuildKit"))
    else:
        text = _("no BuildKit: the engine's own builder is used")
        repair = plan.install("buildx", _system("Community" in str(told.get("Platform"))))
        yield Check(title, not wanted, text, repair if wanted else "")


def _system(community: bool = False) -> System:
    """Return this machine's distribution."""
    with suppress(OSError, ValueError):
        return System.read(read_file(Path("/etc/os-release"), LARGEST_YAML).decode(), community)
    return System()


def _registry(run: Run, title: str, role: str, access: RegistryAccess | None) -> Iterable[Check]:
    from container_pipeline.clients.registry import RegistryClient

    if access is None:
        text = _("not set: nothing is promoted") if role == "production" else _("DOCKER_REGISTRY is not set")
        repair = (
            ""
            if role == "production"
            else _("set {variable} in /etc/profile or as a Jenkins credential", variable="DOCKER_REGISTRY")
        )
        yield Check(title, role == "production", text, repair)
        return
    registry = RegistryClient(access)
    registry.ping()
    yield Check(
        title, True, _("reachable, and it accepts the login") if access.user else _("reachable without a login")
    )
    if role in run.settings.pulls:
        RegistryClient(run.settings.pulls[role]).ping()
        yield Check(title, True, _("it accepts the login that servers pull with"))
    try:
        repository = run.settings.repository
    except SettingsError:
        yield Check(title, True, _("push not tested: no project code is set"))
        return
    registry.try_push(repository)
    yield Check(title, True, _("it accepts a push to {repository}", repository=registry.path(repository)))


def _server(run: Run, target: Target) -> Iterable[Check]:
    values = replace(run.settings.values, code=run.settings.values.code or "doctor")
    fleet = Fleet(replace(run.settings, values=values), run.console, connect_timeout=CONNECT)
    answer = fleet.one(target, ServerTask(("doctor",), {"mode": values.mode}))
    if answer.error:
        return [Check(target.name, False, answer.error.message, answer.error.hint)]
    return plan.server(target, answer.facts, time.time(), values)


def _jenkins(settings: Settings) -> Iterable[Check]:
    from container_pipeline.commands.start import doctor_jenkins

    for one in doctor_jenkins.checks(settings):
        # What this account may not see is reported, but is not a failure of Jenkins.
        good = one.ok is not False
        yield Check("Jenkins", good, f"{one.name}: {one.message}", "" if good else one.hint)
