"""Steps that write the project's files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from container_pipeline.i18n import _
from container_pipeline.plan.steps import Step


@dataclass(frozen=True)
class WriteFile(Step):
    """Write a file in the project's folder atomically."""

    name: ClassVar[str] = "write"
    file: str
    text: str

    def describe(self) -> str:
        return _("write {file}", file=self.file)


@dataclass(frozen=True)
class RemoveFile(Step):
    name: ClassVar[str] = "remove"
    file: str

    def describe(self) -> str:
        return _("remove {file}", file=self.file)
