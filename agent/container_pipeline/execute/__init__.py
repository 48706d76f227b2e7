"""Runs steps: times them, tells of them, shows them instead where it is a dry run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from container_pipeline.console import Console
from container_pipeline.plan.steps import Step
from container_pipeline.result import Result, StepResult
from container_pipeline.settings import Settings

#: How steps are carried out: by class, or by the nearest of its bases.
Performers = Mapping[type[Any], Callable[[Any], None]]


@dataclass
class Run:
    """One run of one command: what it may know, whom it tells, what it has done so far."""

    settings: Settings
    console: Console
    result: Result
    dry_run: bool = False

    def execute(self, plan: Iterable[Step], performers: Performers) -> None:
        """Perform the plan's steps in order; the first that raises ends it. A dry run only prints them.

        Raises NotImplementedError before the first of them where ``performers`` do not know one.
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
    """Return what carries out ``step``; raises NotImplementedError where nothing does."""
    for kind in type(step).__mro__:
        if kind in performers:
            return performers[kind]
    raise NotImplementedError(type(step).__name__)
