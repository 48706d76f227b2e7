"""Turns the words of a server into sentences that say what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from container_pipeline.errors import (
    HeldError,
    LockedError,
    NotRolledBackError,
    OutcomeUnknownError,
    OvertakenError,
    PipelineError,
    RolledBackError,
    ServerError,
)
from container_pipeline.i18n import _
from container_pipeline.model import Target, local_time
from container_pipeline.outside import short
from container_pipeline.plan.deploy import Holding, holder, mending, port_holder, port_is_taken, service_state


def step(name: str) -> str:
    """Return the name of a step for a progress line."""
    return {
        "check": _("checking"),
        "recover": _("repairing what an interrupted run left"),
        "pull": _("pulling the image"),
        "release": _("running the release command"),
        "switch": _("switching the files"),
        "start": _("starting"),
        "health": _("waiting for health"),
        "drain": _("draining the old container"),
        "retire": _("stopping the old container"),
        "keep": _("recording the release"),
        "back": _("rolling back to the previous release"),
        "takedown": _("taking it down"),
    }.get(name, name)


def waiting(text: str) -> str:
    """Return the sentence about what a server waits for."""
    kind, _blank, rest = text.partition(" ")
    if kind == "lock":
        return _("waiting for the lock: {holder}", holder=holder(rest))
    if kind == "release":
        return _("waiting for the release command on {server}", server=rest)
    if kind == "engine":
        return _("waiting for the Docker engine")
    return _("waiting: {what}", what=health(rest))


#: Kinds of lines that are shown at once, each as a sentence.
NEWS = ("wait", "ran", "released", "recovered", "found", "dropped")


def news(kind: str, text: str) -> str:
    """Return the sentence for one of ``NEWS``."""
    return {
        "wait": waiting(text),
        "ran": f"| {text}",
        "released": _("the release command has succeeded"),
        "recovered": _("an earlier deploy and its rollback failed; the previous files are restored")
        if text == "broken"
        else _("an earlier run was interrupted; its previous files are restored"),
        "found": _("the service that ran here before is kept as release {version}", version=text),
        "dropped": _("the release no longer has service {service}; its container is removed", service=text),
    }[kind]


def health(text: str) -> str:
    """Return the sentence for a service's state, such as ``web port 80``."""
    service, _blank, rest = text.partition(" ")
    timed_out = rest.endswith(" timeout")
    word, _blank, value = rest[: -len(" timeout")].partition(" ") if timed_out else rest.partition(" ")
    if rest.startswith("check "):
        return _response(service, rest)
    sentence = (
        {
            "starting": _("{service} is not healthy yet", service=service),
            "settling": _("{service} is up, watching that it stays up", service=service),
            "port": _("{service} does not listen on port {value}", service=service, value=value),
            "image": _("{service} runs another image", service=service),
            "updating": _("{service} is being updated", service=service),
            "created": _("{service} was created but not started", service=service),
        }.get(word)
        or service_state(word, service, value)
        or text
    )
    return _("{sentence} (timed out)", sentence=sentence) if timed_out else sentence


def _response(service: str, text: str) -> str:
    """Return the sentence for what came back to a check, such as ``check /health 500 no database``; status "-" for nothing."""
    _word, path, status, line = [*text.split(" ", 3), "", ""][:4]
    if status == "-":
        return _("{service} does not respond to GET {path}: {line}", service=service, path=path, line=line or "-")
    # The first line of a page in HTML says nothing.
    if not line or line.lstrip().startswith("<"):
        return _("{service} responds to GET {path} with {status}", service=service, path=path, status=status)
    return _(
        "{service} responds to GET {path} with {status}: {line}",
        service=service,
        path=path,
        status=status,
        line=line,
    )


def command_failure(text: str) -> str:
    """Return the sentence about why the release command failed."""
    word, _blank, rest = text.partition(" ")
    known = {
        "exited": _("the release command failed (exit code {value})", value=rest),
        "timeout": _("the release command did not end within {seconds} s and was killed", seconds=rest),
        "start": _("the release command could not be started: {text}", text=rest),
        "connection": _("the connection was lost while the release command ran, which was killed"),
        "companions": _("the services that the release command needs could not be started: {text}", text=rest),
        "companion": _("the release command needs a service that is not well: {text}", text=health(rest)),
    }
    return known.get(word, text)


def failure(text: str) -> str:
    """Return the sentence about why a new release failed."""
    return known_failure(text) or health(text)


def known_failure(text: str) -> str:
    """Return the sentence about a failure of Docker, Compose or a command; "" for one of the service itself."""
    word, _blank, rest = text.partition(" ")
    return {
        "start": _("Compose could not start the service: {text}", text=rest),
        "switch": _("the release's files could not be put in place: {text}", text=rest),
        "keep": _("the release could not be recorded: {text}", text=rest),
        "down": _("Compose could not stop the service: {text}", text=rest),
        "drain": _("the drain command failed: {text}", text=rest or "-"),
        "release": command_failure(rest),
        "connection": _("the connection was lost"),
        "docker": _("Docker does not respond"),
    }.get(word, "")


def explain(
    target: Target,
    status: str,
    rest: str,
    facts: Mapping[str, str],
    errors: Sequence[str],
    details: Sequence[str],
) -> PipelineError | None:
    """Return the error for a server's last sentence; None for success."""
    if status == "ok":
        return None
    return _error(target, status, rest, facts, errors, details).at(target.name)


def _error(
    target: Target,
    status: str,
    rest: str,
    facts: Mapping[str, str],
    errors: Sequence[str],
    details: Sequence[str],
) -> PipelineError:
    if status == "unreachable":
        return _unreachable(target, errors)
    if status == "shell":
        return _login_shell(rest, errors)
    if status in ("lost", "unknown", "died", "unproven", "killed"):
        return _unfinished(status, rest, facts, errors)
    reason, _blank, text = rest.partition(" ")
    if status == "locked":
        return LockedError(
            _("another run holds the lock: {holder}", holder=holder(text)),
            _("try again once it has ended, or wait for it with --wait SECONDS"),
        )
    if status == "held":
        hold = Holding.parse(text) or Holding("", "", "")
        return HeldError(
            _("{hold}; nothing was changed", hold=hold.told()),
            _(
                "run `container-pipeline resume` once it is over, or pass --override REASON; `rollback` is never stopped"
            ),
        )
    if status == "overtaken":
        return OvertakenError(
            _(
                "release {version} runs there, which was built later ({time}); nothing was changed",
                version=reason,
                time=local_time(text),
            ),
            _("to replace it by an older one, run `container-pipeline deploy --version V` without --keep-newer"),
        )
    if status in ("rolled-back", "broken", "taken-down"):
        return _failed(target, status, rest, details, rollback=facts.get("action") == "rollback")
    if status == "stopped":
        return _stopped(reason)
    message, hint = _refusal(reason, text)
    if port_is_taken(text):
        hint = _("{look}, then run it again", look=port_holder(target))
    return ServerError(message, hint, details=details)


def _stopped(reason: str) -> ServerError:
    """Return the error for a run that ended because nobody listened any more."""
    if reason == "unfinished":
        return ServerError(
            _("the run was terminated there while it changed the release"),
            _("run `container-pipeline deploy` or `rollback`: they repair it first"),
        )
    if reason == "release":
        return ServerError(
            command_failure("connection"),
            _("every server still runs what it ran; check the database, then deploy again"),
        )
    return ServerError(_("the connection was lost before anything was changed"), _("run it again"))


def _unfinished(status: str, fault: str, facts: Mapping[str, str], errors: Sequence[str]) -> ServerError:
    """Return the error for a program whose last sentence is missing or contradicts the earlier ones."""
    doing = step(facts.get("step", "check"))
    look = _("once it can be reached again, `container-pipeline status` shows what runs there")
    if status == "killed":
        return ServerError(_("a signal ended ssh while it connected"), _("run it again"))
    if status == "unproven":
        return OutcomeUnknownError(
            _("it reported success, but not every step before that"),
            _("run `container-pipeline status` to see what runs there"),
        )
    if status == "died":
        return ServerError(
            _("the program there was terminated while {step}", step=doing),
            _("run `container-pipeline status`; the next deploy or rollback repairs what it left"),
            details=errors,
        )
    what = {
        "silence": _("the server stopped responding while {step}", step=doing),
        "flood": _("the server printed without end while {step}", step=doing),
    }.get(fault) or _("the connection was lost while {step}", step=doing)
    if status == "lost":
        return ServerError(what, _("run it again"), details=errors)
    return OutcomeUnknownError(_("{what}, and the outcome is unknown", what=what), look, details=errors)


def _failed(target: Target, status: str, rest: str, details: Sequence[str], *, rollback: bool = False) -> PipelineError:
    if status == "broken":
        return _broken(target, rest, details, rollback=rollback)
    first, _bar, second = rest.partition("|")
    why = failure(first)
    lines = _lines(target, first, details)
    if status == "rolled-back":
        message = (
            _("the rollback failed, and release {version} runs again: {why}", version=second or "-", why=why)
            if rollback
            else _("the deploy failed, and the previous release {version} runs again: {why}",
                   version=second or "-", why=why)
        )  # fmt: skip
        return RolledBackError(
            message,
            _("{lines}; nothing needs to be done on the server", lines=lines)
            if lines and not port_is_taken(first)
            else lines or _("nothing needs to be done on the server"),
            details=details,
        )
    return ServerError(_("the first deploy failed and was taken down: {why}", why=why), lines, details=details)


def _lines(target: Target, reason: str, details: Sequence[str]) -> str:
    """Return where to look for more about a failed release: at what holds its port, or at the lines above; "" if nowhere."""
    if port_is_taken(reason):
        return _("{look}, then run it again", look=port_holder(target))
    if known_failure(reason):
        return _("the output is above") if details else ""
    return _("the service's last lines are above") if details else _("the service wrote no log")


def _broken(target: Target, rest: str, details: Sequence[str], *, rollback: bool) -> NotRolledBackError:
    """Return the error for a failed rollback: whether the service runs, the reasons, and the commands that help."""
    runs, version, first, second = (rest.split("|", 3) + [""] * 3)[:4]
    head = {"down": _("the service is down"), "runs": _("the service runs, but not as it did before")}.get(
        runs, _("it is not known whether the service runs")
    )
    told, hint = both_failed(target, version, first, second, rollback=rollback)
    return NotRolledBackError(_("{head}: {told}", head=head, told=told), hint, details=details)


def both_failed(target: Target, version: str, first: str, second: str, *, rollback: bool = False) -> tuple[str, str]:
    """Return the sentence about a deploy and a rollback that failed for these reasons, and the commands that help.

    ``rollback``: what failed first was a rollback that somebody asked for, not a deploy.
    """
    why, back = failure(first), failure(second)
    if rollback:
        told = _("the rollback failed ({why}), and so did the return to what ran before: {back}", why=why, back=back)
    else:
        told = _("the deploy failed ({why}), and so did the rollback: {back}", why=why, back=back)
    return told, mending(target, version, f"{why} {back}")


def _unreachable(target: Target, errors: Sequence[str]) -> ServerError:
    said = next((line for line in reversed(errors) if line.strip()), "")
    text = "\n".join(errors)
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text:
        # ssh prints the command, with the file that has the old key and the name of its entry.
        command = next((line.strip() for line in errors if line.strip().startswith("ssh-keygen -f")), "")
        return ServerError(
            _("its host key has changed"),
            _(
                "find out why first; if the server was reinstalled, remove its old key with `{command}`",
                command=command or f"ssh-keygen -R {target.host}",
            ),
        )
    if "Host key verification failed" in text:
        return ServerError(
            _("its host key is not known"),
            _("add its key to known_hosts (`ssh-keyscan`, then compare), or pass --accept-new-host-key once"),
        )
    if "Permission denied" in text:
        return ServerError(
            _("the SSH login was refused: {said}", said=said),
            _("check the user and the key; `ssh -v` shows which keys are offered"),
        )
    return ServerError(
        _("it cannot be reached by SSH: {said}", said=said or "-"),
        _("check the name, the port and the network; `ssh` must reach it from here"),
    )


def _login_shell(rest: str, errors: Sequence[str]) -> ServerError:
    """Return the error for a login shell that did not run the program."""
    kind, _blank, text = rest.partition(" ")
    hint = _("the login shell's start files there must not read input or start another shell, and must end at once")
    if kind == "taken":
        return ServerError(
            _("the login shell consumed the input, so the program could not start"),
            hint,
            details=errors,
        )
    if kind == "flood":
        return ServerError(_("the login shell printed without end, so the program could not start"), hint)
    if kind == "start":
        message = (
            _(
                "the login shell did not start the program in time; it printed: {text}",
                text=text,
            )
            if text
            else _("neither SSH nor the login shell started the program in time")
        )
        return ServerError(message, hint, details=errors)
    code, _blank, text = text.partition(" ")
    return ServerError(
        _("the login shell exited with code {code} and ran nothing; it printed: {text}",
          code=code, text=text or "-"),
        _("this user needs a login shell that runs commands, such as /bin/sh (`chsh`)"),
        details=errors,
    )  # fmt: skip


def _nothing(last: str) -> tuple[str, str]:
    """Return message and hint where no release is; ``last`` is the last line of the history, if there is one."""
    when, _by, _action, version, outcome = [*last.split("|", 4), "", "", "", "", ""][:5]
    if outcome.startswith("failed"):
        return (
            _(
                "nothing is deployed there: the deploy of {version} failed ({time})",
                version=short(version, 128), time=local_time(short(when, 40)),
            ),
            _("`container-pipeline history` shows why"),
        )  # fmt: skip
    return _("nothing is deployed there"), _("run `container-pipeline deploy`")


def _refusal(reason: str, text: str) -> tuple[str, str]:
    """Return message and hint for a refusal, before which nothing was changed."""
    table = {
        "temporary": (_("there is no space for temporary files"), _("free some in /dev/shm or /tmp")),
        "no-flock": (_("flock is not installed"), _("install util-linux")),
        "awk": (_("awk failed: {text}", text=text), _("install mawk, gawk or the awk of BusyBox")),
        "no-asker": (
            _("`check` needs curl, bash, nc or wget on the server, and none is there"),
            _("install one of them; nothing was changed"),
        ),
        "no-docker": (_("Docker is not installed"), _("install Docker, or put its command on the PATH of SSH logins")),
        "no-compose": (_("Docker Compose is not installed"), _("install the Compose plugin (v2) or docker-compose (v1)")),
        "no-manager": (
            _("it is not a Docker Swarm manager"),
            _("use a manager, or run `docker swarm init` there; without a swarm remove `mode: swarm`"),
        ),
        "no-quorum": (
            _("the Swarm has no leader: {text}", text=text),
            _("bring more than half of its managers back (`docker node ls` on one of them)"),
        ),
        "many-nodes": (
            _("services mount {paths} from `files:`, which only one node of the Swarm would have", paths=text),
            _("use `configs:` or `secrets:` with `file:`, which Swarm copies to every node"),
        ),
        "docker": (
            _("Docker cannot be used: {text}", text=text),
            _("start Docker, add the user to the group docker, or set `sudo: true`"),
        ),
        "engine": (
            _("Compose cannot talk to the Docker engine: {text}", text=text),
            _("run `container-pipeline doctor`, which prints the command that updates the older of the two"),
        ),
        "frozen": (
            _("the Docker engine does not respond"),
            _("run `systemctl status docker` there, and check whether its disk is full or hangs"),
        ),
        "folder": (_("the folder cannot be written: {text}", text=text), _("make the user who deploys the folder's owner")),
        "unreadable": (
            _("this user cannot read {text}", text=text),
            _("log in as the user who deploys there"),
        ),
        "disk": (_("the disk is full: {text}", text=text), _("free some space, then deploy again; nothing was changed")),
        "missing": (
            _("docker-compose.yml mounts {path}, which is not uploaded", path=text)
            if not text.startswith("/")
            else _("docker-compose.yml needs {path}, which is not on the server", path=text),
            _("add it to `files:`, or mount a named volume or an absolute path")
            if not text.startswith("/")
            else _("put it there first; nothing was changed"),
        ),
        "missing-network": (
            _("the external network {text} does not exist", text=text),
            _("create it with `docker network create {text}`; nothing was changed", text=text),
        ),
        "missing-overlay": (
            _("the Swarm has no network {text}", text=text),
            _("create it with `docker network create --driver overlay {text}`; nothing was changed", text=text),
        ),
        "missing-config": (
            _("the external config {text} does not exist", text=text),
            _("create it with `docker config create {text} FILE`; nothing was changed", text=text),
        ),
        "missing-secret": (
            _("the external secret {text} does not exist", text=text),
            _("create it with `docker secret create {text} FILE`; nothing was changed", text=text),
        ),
        "missing-volume": (
            _("the external volume {text} does not exist", text=text),
            _("create it with `docker volume create {text}`; nothing was changed", text=text),
        ),
        "missing-container": (
            _("the container {text}, which a service joins, does not exist", text=text),
            _("start it first; nothing was changed"),
        ),
        "found-file": (
            _("the service that runs in the folder was started from {text}, which a release cannot keep", text=text),
            _("a rollback could not restore it: start it from docker-compose.yml there, or stop it"),
        ),
        "stack-file": (
            _("`docker stack` refuses docker-compose.yml: {text}", text=text), _("correct the file; nothing was changed")
        ),
        "compose-file": (_("Compose refuses docker-compose.yml: {text}", text=text), _("correct the file; nothing was changed")),
        "pull-login": (
            _("the registry refuses {text}: the login is missing or wrong", text=text),
            _("check DOCKER_REGISTRY_USER and DOCKER_REGISTRY_PASS (…_PROD_… for production, …_PULL_… for the login of servers)"),
        ),
        "pull-missing": (
            _("{text} is not in the registry", text=text),
            _("push or promote it first (`container-pipeline images`); the image of a companion is copied there by hand (docs/services.md)"),
        ),
        "pull": (
            _("{image} cannot be pulled: {text}", image=text.partition(" ")[0], text=text.partition(" ")[2]),
            _("check that the server can reach the registry"),
        ),
        "no-former": (
            _("there is no previous release; kept: {text}", text=text or "-"),
            _("pass one of them with --version, or deploy"),
        ),
        "no-release": (
            _("release {version} is not kept; kept: {names}",
              version=text.partition(" ")[0], names=text.partition(" ")[2] or "-"),
            _("`container-pipeline history` shows how its deploys ended; `container-pipeline deploy --version {version}` deploys it again",
              version=text.partition(" ")[0]),
        ),
        "no-service": (
            _("it has no service {name}", name=text.partition(" ")[0]),
            _("its services are {names}", names=", ".join(text.split()[1:]) or "-"),
        ),
        "no-container": (
            _("no container of {name} runs there", name=text),
            _("see `container-pipeline status`"),
        ),
        "unsigned": (
            _("release {version} is not signed by any key of `verify`, so it does not run again", version=text),
            _("deploy a signed version; or pass `--no-verify` with the reason, which the history keeps"),
        ),
        "nothing": _nothing(text),
        "unfinished": (
            _("a deploy was interrupted there"),
            _("run `container-pipeline deploy` or `rollback`: they repair it first"),
        ),
        "release": (
            command_failure(text),
            _("its last lines are above; every server still runs what it ran, and --no-release skips the command"),
        ),
        "release-elsewhere": (
            _("the release command did not succeed on {server}, so nothing was changed here", server=text),
            _("see what {server} reports", server=text),
        ),
        "unwell": (health(text), _("see `container-pipeline logs`")),
        "command": (_("Compose failed: {text}", text=text), _("run Compose by hand in the folder to see more")),
    }  # fmt: skip
    return table.get(reason, (f"{reason} {text}", ""))
