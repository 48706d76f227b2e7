"""Runs a program on many servers: a connection and a result for each, one table and the worst exit code at the end."""

from __future__ import annotations

import base64
import os
import pwd
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from container_pipeline.clients import children
from container_pipeline.console import Console
from container_pipeline.errors import OvertakenError, PipelineError, ServerError, Stopped
from container_pipeline.i18n import _
from container_pipeline.model import Target
from container_pipeline.parallel import in_parallel
from container_pipeline.remote import reasons, transfer
from container_pipeline.remote.ssh import CONNECT_TIMEOUT, SILENCE, TAKEN, Access, Ending, Session
from container_pipeline.result import Result, ServerResult
from container_pipeline.settings import Settings

if TYPE_CHECKING:
    from container_pipeline.plan.resolved import Verdict
    from container_pipeline.remote.once import Once

#: Exit codes, worst first; a run on several servers exits with the worst one.
_WORST = (4, 7, 3, 1, 5, 6)
#: Seconds for asking a server how a run ended, besides the seconds that a rollback may wait for health; and between two tries.
LEARN_TIMEOUT = 60.0
LEARN_PAUSE = 2.0
#: Seconds before the same sentence about what a server waits for is shown again.
REPEAT = 30.0
#: Begins the payload of a program that changes something: proof that its `hello` was heard.
GO = b"go\n"


@dataclass
class Answer:
    """The response of one server: facts by name, other lines in order; ``reason`` is the word for a refusal."""

    target: Target
    status: str = ""
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    error: PipelineError | None = None
    #: What the server waits for → when that was last shown.
    waits: dict[str, float] = field(default_factory=dict, repr=False)
    #: The resolved Compose file while it arrives; and the error if it is refused.
    resolved: list[str] = field(default_factory=list, repr=False)
    refusal: PipelineError | None = None

    def all(self, kind: str) -> list[str]:
        return [text for found, text in self.lines if found == kind]


@dataclass(frozen=True)
class ServerTask:
    """One program for servers: its files in ``remote/programs/``, its values and its upload."""

    parts: tuple[str, ...]
    values: Mapping[str, object]
    payload: bytes = b""
    #: Whether it changes something there, so that its outcome must be known.
    changes: bool = False
    #: Steps that must be reported, in this order, before success is believed.
    must: tuple[str, ...] = ()
    #: Gets each line outside of the protocol, with its server; without it, such lines are details.
    raw: Callable[[Target, str], None] | None = None
    #: Judges the output of ``compose config``, given Compose's generation and the folder; returns what the server needs.
    judge: Callable[[str, str, bytes], Verdict] | None = None
    #: Decides which server runs the release command.
    once: Once | None = None
    #: Returns further values for one target; with it, the program is not about one code.
    each: Callable[[Target], Mapping[str, object]] | None = None


def parts(settings: Settings, *names: str) -> tuple[str, ...]:
    """Return the files of ``remote/programs/`` for a program: the functions of Compose or Swarm first, as ``mode`` says."""
    return ("swarm" if settings.values.mode == "swarm" else "health", *names)


def who() -> str:
    """Return user and machine of this run."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


class Fleet:
    """The servers in ``settings``; ``connect_timeout`` in seconds. Their progress goes to ``console``."""

    def __init__(
        self,
        settings: Settings,
        console: Console,
        *,
        accept_new: bool = False,
        connect_timeout: int = CONNECT_TIMEOUT,
    ) -> None:
        self.settings = settings
        self.console = console
        self.access = Access(settings.ssh_key, settings.ssh_config, settings.known_hosts, accept_new, connect_timeout)
        self.several = len(settings.servers) > 1
        self._sessions: list[Session] = []
        self._stopping = threading.Event()

    def ask(
        self,
        targets: Sequence[Target],
        task: ServerTask,
        at_once: int = 0,
        done: Callable[[], None] = lambda: None,
    ) -> list[Answer]:
        """Run ``task`` on all targets, ``at_once`` at a time (0: the setting). Never raises for the failure of a server.

        ``done`` is called when a target is through, from several threads.
        """

        def ask(target: Target) -> Answer:
            try:
                return self.one(target, task)
            finally:
                done()

        try:
            answers = in_parallel(ask, targets, at_once or self.settings.values.at_once, self._stop)
            self._end_with_the_build(answers)
        except (KeyboardInterrupt, Stopped) as error:
            if task.changes:
                raise _stopped(error) from error
            raise
        return answers

    def _stop(self) -> None:
        """End all programs that run; none begins from now on."""
        self._stopping.set()
        for session in self._sessions:
            session.stop()

    def _end_with_the_build(self, answers: Sequence[Answer]) -> None:
        """If a connection was lost, wait a moment: the signal that ended it may reach us too."""
        if any(answer.status in ("lost", "unknown", "killed", "died") for answer in answers):
            children.wait_for_abort()

    def one(self, target: Target, task: ServerTask) -> Answer:
        """Run ``task`` on one target, in this thread. Never raises for the server's failure."""
        answer = Answer(target)
        try:
            return self._run(answer, task)
        finally:
            if task.once:
                task.once.leave(target)

    def _run(self, answer: Answer, task: ServerTask) -> Answer:
        target = answer.target
        session = Session(target, self.access)
        if task.raw:
            session.max_output = float("inf")
        self._sessions.append(session)
        # Checked only now: a signal either finds the session in the list or is seen here.
        if self._stopping.is_set():
            return answer
        own = task.each(target) if task.each else self._of_code(target)
        program = transfer.program(("common", *task.parts), {**self._values(target), **own, **task.values})
        try:
            ending = session.run(
                program,
                task.payload,
                lambda text: self._hear(answer, text, task),
                lambda line: self._show(answer, line, task),
                silence=SILENCE if task.changes else SILENCE / 2,
            )
        except PipelineError as error:
            answer.error = error
            return answer
        asked = task.changes and ending.started and not ending.said and ending.cut
        learned = asked and self._learn(answer, session.word, ending)
        self._conclude(answer, ending, task, learned=learned)
        return answer

    def _values(self, target: Target) -> dict[str, object]:
        settings = self.settings
        return {
            "server": target.name,
            "sudo": settings.values.sudo,
            "wait": 0,
            "who": (settings.build_url or who()).replace("|", "%7C"),
            "version": "",
            "login": "",
        }

    def _of_code(self, target: Target) -> dict[str, object]:
        root = target.remote_root or self.settings.values.remote_root
        return {"code": self.settings.code, "folder": f"{root.rstrip('/')}/{self.settings.code}"}

    def _show(self, answer: Answer, line: str, task: ServerTask) -> None:
        """Show a line that is not part of the protocol."""
        if task.raw:
            task.raw(answer.target, line)
        else:
            self.tell(answer.target, line, detail=True)

    def _hear(self, answer: Answer, text: str, task: ServerTask) -> bytes | None:
        """Handle one sentence of the program; return the reply to send, if any."""
        kind, _blank, text = text.partition(" ")
        if kind == "fact":
            name, _blank, value = text.partition(" ")
            answer.facts[name] = value
        elif kind == "step":
            answer.facts["step"] = text
            answer.steps.append(text)
            self.tell(answer.target, reasons.step(text))
        elif kind in reasons.NEWS:
            if kind == "released" and task.once:
                task.once.finish(answer.target)
            if kind == "wait" and not _is_new(answer, text):
                return None
            self.tell(answer.target, reasons.news(kind, text))
        elif kind == "resolved":
            answer.resolved.append(text)
        elif kind == "turn" and task.once:
            return task.once.turn(answer.target)
        elif kind == "ask" and task.judge:
            return _judge(answer, text, task.judge)
        else:
            answer.lines.append((kind, text))
        return None

    def tell(self, target: Target, text: str, *, detail: bool = False) -> None:
        """Show one line of a server, with its name if there are several."""
        line = f"{target.name}: {text}" if self.several else text
        if detail:
            self.console.detail(line)
        else:
            self.console.line(line)

    def _learn(self, answer: Answer, word: str, ending: Ending) -> bool:
        """Ask the server how a run ended after a lost connection; return True if it responded in time, with ``said`` set."""
        target = answer.target
        self.tell(target, _("the connection was lost; asking the server how the run ended"))
        until = time.monotonic() + LEARN_TIMEOUT + self.settings.values.timeout
        while not self._stopping.wait(LEARN_PAUSE) and time.monotonic() < until:
            wait = int(until - time.monotonic())
            values = {**self._values(target), **self._of_code(target), "run": word, "wait": wait}
            session = Session(target, self.access)
            self._sessions.append(session)
            try:
                told = session.run(
                    transfer.program(("common", "outcome"), values), GO, lambda _text: None, lambda _line: None
                )
            except PipelineError:
                return False
            status, _blank, said = told.said.partition(" ended ")
            if status == "ok":
                ending.said = said
                return True
        return False

    def _conclude(self, answer: Answer, ending: Ending, task: ServerTask, *, learned: bool) -> None:
        answer.status, _blank, rest = ending.said.partition(" ")
        probed = [_("HEALTHCHECK output: {text}", text=line) for line in answer.all("probe")]
        details = [*answer.all("out"), *answer.all("log"), *probed]
        if answer.status == "rolled-back":
            answer.facts["version"] = rest.rpartition("|")[2]
        if answer.status == "overtaken":
            answer.facts["version"] = rest.partition(" ")[0]
        if not ending.said:
            answer.status, rest, details = *_unsaid(ending, task), []
        elif answer.status == "ok" and not _proven(answer, rest, task, learned=learned):
            answer.status = "unproven"
        answer.reason = rest.partition(" ")[0]
        facts = {**answer.facts, "action": str(task.values.get("action", ""))}
        answer.error = reasons.explain(answer.target, answer.status, rest, facts, list(ending.errors), details)
        if answer.reason == "resolved" and answer.refusal:
            answer.error = answer.refusal


def _stopped(error: KeyboardInterrupt | Stopped) -> Stopped:
    """Return the error for a run that ended while programs on servers changed something."""
    stopped = Stopped(_("interrupted"), 130) if isinstance(error, KeyboardInterrupt) else error
    stopped.hint = _("each server stops or rolls back by itself; `container-pipeline status` shows when it is done")
    return stopped


def _is_new(answer: Answer, text: str) -> bool:
    """Return whether to show what a server waits for: not if the same was shown within ``REPEAT``.

    Only the first words count: after the status, a response may have a time or an id, which is always another.
    """
    what, now = " ".join(text.split(" ")[:5]), time.monotonic()
    if now - answer.waits.get(what, -REPEAT) < REPEAT:
        return False
    answer.waits[what] = now
    return True


def _judge(answer: Answer, text: str, judge: Callable[[str, str, bytes], Verdict]) -> bytes:
    """Return the reply to a server: assignments for its shell, newlines as \\001. The server's form is discarded."""
    generation, _blank, folder = text.partition(" ")
    try:
        form = base64.b64decode("".join(answer.resolved))
        verdict = judge(generation, folder, form)
    except (PipelineError, ValueError) as error:
        message, hint = (error.message, error.hint) if isinstance(error, PipelineError) else (str(type(error)), "")
        answer.refusal = ServerError(message, hint).at(answer.target.name)
        return b"verdict=bad\n"
    finally:
        answer.resolved.clear()
    values = {
        "verdict": "good",
        "services": " ".join(verdict.services),
        "images": " ".join(verdict.images),
        "companions": " ".join(verdict.companions),
        "file_version": verdict.version,
        "must_exist": "\n".join(verdict.paths),
        "outside_networks": "\n".join(verdict.networks),
        "outside_volumes": "\n".join(verdict.volumes),
        "outside_containers": "\n".join(verdict.containers),
        "needs": " ".join(verdict.needs),
        "throwaway_file": verdict.throwaway,
    }
    line = " ".join(f"{name}={shlex.quote(value)}" for name, value in values.items())
    return line.replace("\n", "\1").encode() + b"\n"


def _proven(answer: Answer, rest: str, task: ServerTask, *, learned: bool) -> bool:
    """Whether the earlier sentences agree with ``ok``: each step in order, and this version with this digest.

    ``learned``: the steps were missed while the connection was lost.
    """
    steps = iter(answer.steps)
    if not learned and not all(step in steps for step in task.must):
        return False
    if "keep" not in task.must:
        return True
    wanted = [str(task.values.get(name) or answer.facts.get(name, "")) for name in ("version", "digest")]
    return rest.split() == [word for word in wanted if word]


def _unsaid(ending: Ending, task: ServerTask) -> tuple[str, str]:
    """Return status and reason for a program without a last sentence."""
    if ending.started and ending.cut:
        return "unknown" if task.changes else "lost", ending.fault
    if ending.started:
        return "died", ""
    printed = " / ".join(line for line in ending.printed if line.strip())
    if ending.code == TAKEN:
        return "shell", "taken"
    if ending.fault:
        return "shell", f"{ending.fault} {printed}"
    if ending.code < 0:
        return "killed", ""
    if printed or ending.code != 255:
        return "shell", f"ended {ending.code} {printed}"
    return "unreachable", ""


def finish(
    result: Result, console: Console, answers: Sequence[Answer], rows: Callable[[Answer], dict[str, Any]] | None = None
) -> None:
    """Add the answers to the result; raise the worst error, if any."""
    for answer in answers:
        result.servers.append(
            ServerResult(
                name=answer.target.name,
                status=answer.status,
                version=answer.facts.get("version", ""),
                error=answer.error.message if answer.error else "",
                hint=answer.error.hint if answer.error else "",
                details=rows(answer) if rows else {},
            )
        )
    failed = {answer.target.name: answer.error for answer in answers if answer.error}
    if not failed:
        return
    errors = list(failed.values())
    if len(answers) == 1:
        raise errors[0]
    for name, error in failed.items():
        for line in error.details:
            console.error(f"{name}: {line}")
    for error in errors:
        console.error(error.message)
    hints: dict[str, list[str]] = {}
    for name, error in failed.items():
        if error.hint:
            hints.setdefault(error.hint, []).append(name)
    for hint, names in hints.items():
        console.error(f"{', '.join(names)} — {hint}")
    worst = min(errors, key=lambda error: _WORST.index(error.exit_code) if error.exit_code in _WORST else len(_WORST))
    raise type(worst)(_of_several(worst, result.command, list(failed), len(answers)))


def _of_several(worst: PipelineError, command: str, names: list[str], number: int) -> str:
    """Return the sentence that ends a run on several servers."""
    told, count = ", ".join(names), len(names)
    if isinstance(worst, OvertakenError):
        return _(
            "{command} was overtaken on {count} of {all} servers: {names}",
            command=command, count=count, all=number, names=told,
        )  # fmt: skip
    return _(
        "{command} failed on {count} of {all} servers: {names}", command=command, count=count, all=number, names=told
    )
