"""What a server answers in a word, as a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from container_pipeline.errors import (
    LockedError,
    NotRolledBackError,
    OutcomeUnknownError,
    PipelineError,
    RolledBackError,
    ServerError,
)
from container_pipeline.i18n import _
from container_pipeline.model import Target
from container_pipeline.plan.deploy import holder, mending


def step(name: str) -> str:
    """Return what is being done, for a line of progress."""
    return {
        "check": _("checking"),
        "recover": _("recovering"),
        "pull": _("pulling the image"),
        "switch": _("switching the files"),
        "start": _("starting"),
        "health": _("waiting for health"),
        "retire": _("stopping the old container"),
        "keep": _("keeping the release"),
        "back": _("going back to the former release"),
    }.get(name, name)


def waiting(text: str) -> str:
    """Return what a server waits for."""
    kind, _blank, rest = text.partition(" ")
    if kind == "lock":
        return _("waiting for the lock: {holder}", holder=holder(rest))
    if kind == "engine":
        return _("waiting for the Docker engine")
    return _("waiting: {what}", what=health(rest))


#: Lines of a server that are shown as they come, each a sentence.
NEWS = ("wait", "recovered", "found", "dropped")


def news(kind: str, text: str) -> str:
    """Return what one of ``NEWS`` says."""
    return {
        "wait": waiting(text),
        "recovered": _("a run before this one was cut short; its former files are put back"),
        "found": _("what ran here before is kept as release {version}", version=text),
        "dropped": _("the release has no service {service} any more: its container is removed", service=text),
    }[kind]


def health(text: str) -> str:
    """Return a state of a service, such as ``web port 80``, as words."""
    service, _blank, rest = text.partition(" ")
    timed_out = rest.endswith(" timeout")
    word, _blank, value = rest[: -len(" timeout")].partition(" ") if timed_out else rest.partition(" ")
    sentence = {
        "unhealthy": _("{service} is unhealthy", service=service),
        "starting": _("{service} is not healthy yet", service=service),
        "settling": _("{service} is settling", service=service),
        "port": _("{service} does not listen on port {value}", service=service, value=value),
        "exited": _("{service} exited with {value}", service=service, value=value),
        "restarting": _("{service} restarts again and again, with {value}", service=service, value=value),
        "missing": _("{service} has no container", service=service),
        "image": _("{service} runs another image", service=service),
        "updating": _("{service} is being updated", service=service),
        "replicas": _("{service} has {value} of its tasks running", service=service, value=value),
        "paused": _("Swarm has stopped the update of {service}", service=service),
        "created": _("{service} is created, not started", service=service),
    }.get(word, text)
    return _("{sentence} when the time was over", sentence=sentence) if timed_out else sentence


def failure(text: str) -> str:
    """Return why a new release did not come to run."""
    word, _blank, rest = text.partition(" ")
    known = {
        "start": _("Compose could not start it: {text}", text=rest),
        "switch": _("its files could not be put in place: {text}", text=rest),
        "keep": _("the release could not be written down: {text}", text=rest),
        "down": _("Compose could not take it down: {text}", text=rest),
        "connection": _("the connection was lost"),
        "docker": _("Docker does not answer"),
    }
    return known.get(word) or health(text)


def explain(
    target: Target,
    status: str,
    rest: str,
    facts: Mapping[str, str],
    errors: Sequence[str],
    details: Sequence[str],
) -> PipelineError | None:
    """Return the error that a server's last word means; None where all went well."""
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
            _("try again when it has ended, or wait for it with --wait SECONDS"),
        )
    if status in ("rolled-back", "broken", "taken-down"):
        return _failed(target, status, rest, details)
    if status == "stopped" and reason == "unfinished":
        return ServerError(
            _("the run was ended there while it changed the release"),
            _("run `container-pipeline deploy` or `rollback`: they repair it first"),
        )
    if status == "stopped":
        return ServerError(_("the connection was lost before anything was changed"), _("run it again"))
    message, hint = _refusal(reason, text)
    return ServerError(message, hint, details=details)


def _unfinished(status: str, fault: str, facts: Mapping[str, str], errors: Sequence[str]) -> ServerError:
    """Return the error for a program whose last sentence never came, or does not follow from what came before."""
    doing = step(facts.get("step", "check"))
    look = _("when it can be reached again, `container-pipeline status` shows what runs there")
    if status == "killed":
        return ServerError(_("ssh was ended by a signal while it connected"), _("run it again"))
    if status == "unproven":
        return OutcomeUnknownError(
            _("it reports success, but not every step that comes before it"),
            _("look with `container-pipeline status` at what runs there"),
        )
    if status == "died":
        return ServerError(
            _("the program there was ended while {step}", step=doing),
            _("look with `container-pipeline status`; the next deploy or rollback repairs what it has left"),
            details=errors,
        )
    what = {
        "silence": _("the server did not answer any more while {step}", step=doing),
        "flood": _("the server prints without end while {step}", step=doing),
    }.get(fault) or _("the connection was lost while {step}", step=doing)
    if status == "lost":
        return ServerError(what, _("run it again"), details=errors)
    return OutcomeUnknownError(_("{what}, and how it ended could not be learned", what=what), look, details=errors)


def _failed(target: Target, status: str, rest: str, details: Sequence[str]) -> PipelineError:
    if status == "broken":
        return _broken(target, rest, details)
    first, _bar, second = rest.partition("|")
    why = failure(first)
    if status == "rolled-back":
        return RolledBackError(
            _("the deploy failed, and the former release {version} runs again: {why}",
              version=second or "-", why=why),
            _("what the service said stands above; nothing needs to be done on the server"),
            details=details,
        )  # fmt: skip
    return ServerError(
        _("the first deploy failed and was taken down: {why}", why=why),
        _("what the service said stands above"),
        details=details,
    )


def _broken(target: Target, rest: str, details: Sequence[str]) -> NotRolledBackError:
    """Return the error of a deploy after which a person is needed: whether the service runs, why, and the commands that help."""
    runs, version, first, second = (rest.split("|", 3) + [""] * 3)[:4]
    head = {"down": _("the service is down"), "runs": _("the service runs, but not as it did before")}.get(
        runs, _("whether the service runs is not known")
    )
    why, back = failure(first), failure(second)
    return NotRolledBackError(
        _("{head}: the deploy failed ({why}), and so did going back: {back}", head=head, why=why, back=back),
        mending(target, version, full="no space left" in f"{why} {back}".lower()),
        details=details,
    )


def _unreachable(target: Target, errors: Sequence[str]) -> ServerError:
    said = next((line for line in reversed(errors) if line.strip()), "")
    text = "\n".join(errors)
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in text:
        # ssh says how: with the file that has the old key, and the name under which it stands there.
        command = next((line.strip() for line in errors if line.strip().startswith("ssh-keygen -f")), "")
        return ServerError(
            _("its host key has changed"),
            _(
                "find out why before anything else; if the server was set up anew, remove its old key with `{command}`",
                command=command or f"ssh-keygen -R {target.host}",
            ),
        )
    if "Host key verification failed" in text:
        return ServerError(
            _("its host key is not known"),
            _("add its key to known_hosts (`ssh-keyscan`, then compare), or say --accept-new-host-key once"),
        )
    if "Permission denied" in text:
        return ServerError(
            _("login by SSH was refused: {said}", said=said),
            _("check the user and the key; `ssh -v` to it says which keys are offered"),
        )
    return ServerError(
        _("it cannot be reached by SSH: {said}", said=said or "-"),
        _("check the name, the port and the network; `ssh` to it must work from here"),
    )


def _login_shell(rest: str, errors: Sequence[str]) -> ServerError:
    """Return the error for a login shell that did not come to run what it was asked to."""
    kind, _blank, text = rest.partition(" ")
    hint = _("the start files of the login shell there must read no input, start no other shell and end at once")
    if kind == "taken":
        return ServerError(
            _("the login shell reads our input, so that no program could start"),
            hint,
            details=errors,
        )
    if kind == "flood":
        return ServerError(_("the login shell prints without end, so that no program could start"), hint)
    if kind == "start":
        message = (
            _(
                "the login shell has not started our program in time; it printed: {text}",
                text=text,
            )
            if text
            else _("neither SSH nor the login shell has started our program in time")
        )
        return ServerError(message, hint, details=errors)
    code, _blank, text = text.partition(" ")
    return ServerError(
        _("the login shell ended with {code} and ran nothing; it printed: {text}",
          code=code, text=text or "-"),
        _("this user needs a login shell that runs commands, such as /bin/sh (`chsh`)"),
        details=errors,
    )  # fmt: skip


def _refusal(reason: str, text: str) -> tuple[str, str]:
    """Return message and hint for what was refused before anything was touched."""
    table = {
        "temporary": (_("there is no room for temporary files"), _("free some in /dev/shm or /tmp")),
        "no-flock": (_("flock is not there"), _("install util-linux")),
        "no-docker": (_("Docker is not there"), _("install Docker, or see whether its command is on PATH for SSH")),
        "no-compose": (_("Docker Compose is not there"), _("install the Compose plugin (v2) or docker-compose (v1)")),
        "no-manager": (
            _("it is not a manager of a Docker Swarm"),
            _("name a manager, or run `docker swarm init` there; without a swarm leave out `mode: swarm`"),
        ),
        "no-quorum": (
            _("the Swarm has no leader: {text}", text=text),
            _("bring more than half of its managers back (`docker node ls` on one of them)"),
        ),
        "many-nodes": (
            _("services mount {paths} of `files:`, which only one node of the Swarm would have", paths=text),
            _("use `configs:` or `secrets:` with `file:`, which Swarm takes to every node"),
        ),
        "docker": (
            _("Docker cannot be used: {text}", text=text),
            _("start it, put the user into the group docker, or set `sudo: true`"),
        ),
        "engine": (
            _("Compose cannot speak to the Docker engine: {text}", text=text),
            _("update the older of the two; `docker compose ps` in the folder shows the same"),
        ),
        "frozen": (
            _("the Docker engine does not answer"),
            _("look at it there: `systemctl status docker`, and whether its disk is full or hangs"),
        ),
        "folder": (_("its folder cannot be written: {text}", text=text), _("give the folder to the user who deploys")),
        "unreadable": (
            _("{text} cannot be read by this user", text=text),
            _("log in as the user who deploys there"),
        ),
        "disk": (_("the disk is full: {text}", text=text), _("make room, then deploy again; nothing was changed")),
        "missing": (
            _("docker-compose.yml mounts {path}, which nothing uploads", path=text)
            if not text.startswith("/")
            else _("docker-compose.yml needs {path}, which is not on the server", path=text),
            _("add it to `files:`, or mount a named volume or an absolute path")
            if not text.startswith("/")
            else _("put it there first; nothing was changed"),
        ),
        "missing-network": (
            _("the external network {text} is not there", text=text),
            _("create it with `docker network create {text}`; nothing was changed", text=text),
        ),
        "missing-volume": (
            _("the external volume {text} is not there", text=text),
            _("create it with `docker volume create {text}`; nothing was changed", text=text),
        ),
        "found-file": (
            _("a service runs in the folder that was started from {text}, which cannot be kept", text=text),
            _("it could not be brought back: start it from docker-compose.yml there, or stop it"),
        ),
        "stack-file": (
            _("`docker stack` refuses docker-compose.yml: {text}", text=text), _("correct it; nothing was changed")
        ),
        "compose-file": (_("Compose refuses docker-compose.yml: {text}", text=text), _("correct it; nothing was changed")),
        "pull-login": (
            _("the registry refuses {text}: the login is missing or wrong", text=text),
            _("check DOCKER_REGISTRY_USER and DOCKER_REGISTRY_PASS (…_PROD_… for production, …_PULL_… for the login of servers)"),
        ),
        "pull-missing": (
            _("{text} is not in the registry", text=text),
            _("push or promote it first; `container-pipeline images` lists what is there"),
        ),
        "pull": (
            _("{image} cannot be pulled: {text}", image=text.partition(" ")[0], text=text.partition(" ")[2]),
            _("check that the server reaches the registry"),
        ),
        "no-former": (
            _("there is no release before the current one; kept are: {text}", text=text or "-"),
            _("name one of them with --version, or deploy"),
        ),
        "no-release": (
            _("release {version} is not kept; kept are: {names}",
              version=text.partition(" ")[0], names=text.partition(" ")[2] or "-"),
            _("deploy it with `container-pipeline deploy --version {version}`", version=text.partition(" ")[0]),
        ),
        "nothing": (_("nothing is deployed there"), _("run `container-pipeline deploy`")),
        "unfinished": (
            _("a deploy was cut short there"),
            _("run `container-pipeline deploy` or `rollback`: they repair it first"),
        ),
        "unwell": (health(text), _("look at `container-pipeline logs`")),
        "command": (_("Compose failed: {text}", text=text), _("run it by hand in the folder to see more")),
    }  # fmt: skip
    return table.get(reason, (f"{reason} {text}", ""))
