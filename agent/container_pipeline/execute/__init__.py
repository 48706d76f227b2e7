"""Runs steps: times and reports them, or only prints them in a dry run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

from container_pipeline.console import Console
from container_pipeline.plan.steps import Step
from container_pipeline.result import Result, StepResult
from container_pipeline.settings import Settings

#: Step class → function that executes it; a step uses the entry of its nearest base class.
Performers = Mapping[type[Any], Callable[[Any], None]]


@dataclass
class Run:
    """One run of one command: its settings, its console and its result so far."""

    settings: Settings
    console: Console
    result: Result
    dry_run: bool = False
    #: What the program of ``env_from`` printed, once it has run.
    printed: Mapping[str, str] | None = field(default=None, repr=False)

    def execute(self, plan: Iterable[Step], performers: Performers) -> None:
        """Execute the steps in order; the first exception ends the run. A dry run only prints them.

        Raises NotImplementedError before the first step if ``performers`` lack one of them.
        """
        for step, perform in [(step, performer(performers, step)) for step in plan]:
            if self.dry_run:
                self.console.result(step.describe())
                self.result.steps.append(StepResult(step.name, "planned"))
                continue
            self.console.line(step.describe())
            with self.result.step(step.name):
                perform(step)


def performer(performers: Performers, step: Step) -> Callable[[Any], None]:
    """Return the function that executes ``step``; raises NotImplementedError if there is none."""
    for kind in type(step).__mro__:
        if kind in performers:
            return performers[kind]
    raise NotImplementedError(type(step).__name__)
