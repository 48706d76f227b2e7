"""Runs steps: times them, tells of them, shows them instead where it is a dry run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable, TypeVar

from container_pipeline.console import Console
from container_pipeline.plan.steps import Step
from container_pipeline.result import Result, StepResult
from container_pipeline.settings import Settings

AnyStep = TypeVar("AnyStep", bound=Step)


@dataclass
class Run:
    """One run of one command: what it may know, whom it tells, what it has done so far."""

    settings: Settings
    console: Console
    result: Result
    dry_run: bool = False

    def execute(self, plan: Iterable[AnyStep], perform: Callable[[AnyStep], None]) -> None:
        """Perform the plan's steps in order; the first that raises ends it. A dry run only prints them."""
        for step in plan:
            if self.dry_run:
                self.console.result(step.describe())
                self.result.steps.append(StepResult(step.name, "planned"))
                continue
            self.console.line(step.describe())
            with self.result.step(step.name):
                perform(step)
