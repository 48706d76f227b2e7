"""Up: the service runs, by what stands in the folder."""

from __future__ import annotations

from container_pipeline.commands import control
from container_pipeline.execute import Run


def run(run: Run, *, wait: int = 0, accept_new: bool = False) -> None:
    """See ``control.run``."""
    control.run(run, "up", wait=wait, accept_new=accept_new)
