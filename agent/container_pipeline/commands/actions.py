"""How each step of an image's way is carried out: the one place where steps meet clients."""

from __future__ import annotations

from functools import singledispatchmethod

from container_pipeline.execute import Run
from container_pipeline.plan.steps import Step


class Actions:
    """Carries out steps for one run. Clients are made when first needed and kept for the run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @singledispatchmethod
    def perform(self, step: Step) -> None:
        """Carry out one step; raises the PipelineError that says what failed."""
        raise NotImplementedError(type(step).__name__)
