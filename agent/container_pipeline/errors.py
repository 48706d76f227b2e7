"""The errors, by category.

PipelineError
 ├─ UsageError            2  the command line itself is wrong
 ├─ SettingsError         1  a setting is missing or invalid
 ├─ StateError            1  the state file of an earlier build cannot be used
 ├─ BuildError            1  the image could not be built
 ├─ EngineError           1  the Docker engine refused or cannot be reached
 ├─ RegistryError         1  a registry refused a request, failed or sent wrong bytes
 ├─ ServerError           1  a server was unreachable or refused; what ran there still runs
 │   ├─ RolledBackError   3  the deploy failed; the previous release runs again
 │   ├─ NotRolledBackError 4 the deploy and its rollback failed: someone must repair it by hand
 │   └─ OutcomeUnknownError 7 the connection was lost, and the outcome is unknown
 ├─ LockedError           5  another run holds the lock
 ├─ HeldError             5  somebody holds the code; nothing was changed
 ├─ FrozenError           5  a window of `freeze` stands; nothing was changed
 ├─ OvertakenError        6  a release that was built later runs; nothing was changed
 ├─ JenkinsError          1  a Jenkins controller refused or failed
 ├─ ChecksFailed          1  lint or doctor found something
 └─ Stopped               130 / 143  interrupted, terminated; 1  not confirmed

The message is one sentence that says what failed and where; the hint says what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from container_pipeline.i18n import _
from container_pipeline.outside import MESSAGE, printable, short

Told = TypeVar("Told", bound="PipelineError")


class PipelineError(Exception):
    """Base of all errors that a user can see.

    ``details`` are lines to show before the sentence, such as the last output of the failed step.
    """

    category: ClassVar[str] = "internal"
    exit_code: int = 1

    def __init__(self, message: str, hint: str = "", *, details: Sequence[str] = ()) -> None:
        # Any of them may quote text from outside.
        self.message = short(message, MESSAGE)
        self.hint = short(hint, MESSAGE)
        self.details = tuple(printable(line)[:MESSAGE] for line in details)
        super().__init__(self.message)

    def at(self: Told, server: str) -> Told:
        """Prefix the message with the server's name; return the error."""
        self.message = short(_("{server}: {what}", server=server, what=self.message), MESSAGE)
        self.args = (self.message,)
        return self


class UsageError(PipelineError):
    category = "usage"
    exit_code = 2


class SettingsError(PipelineError):
    category = "settings"


class StateError(PipelineError):
    category = "state"


class BuildError(PipelineError):
    category = "build"


class EngineError(PipelineError):
    category = "engine"


class RegistryError(PipelineError):
    category = "registry"


class ServerError(PipelineError):
    category = "server"


class RolledBackError(ServerError):
    category = "deploy"
    exit_code = 3


class NotRolledBackError(ServerError):
    category = "deploy"
    exit_code = 4


class OutcomeUnknownError(ServerError):
    category = "deploy"
    exit_code = 7


class LockedError(PipelineError):
    category = "lock"
    exit_code = 5


class HeldError(PipelineError):
    category = "hold"
    exit_code = 5


class FrozenError(PipelineError):
    category = "freeze"
    exit_code = 5


class OvertakenError(PipelineError):
    category = "overtaken"
    exit_code = 6


class JenkinsError(PipelineError):
    category = "jenkins"


class ChecksFailed(PipelineError):  # noqa: N818 - a finding, not a fault of the program
    category = "checks"


class Stopped(PipelineError):  # noqa: N818 - a signal, not a fault
    """The run was interrupted (Ctrl-C, 130), terminated (SIGTERM, 143), or not confirmed (1)."""

    category = "stopped"

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
