"""Pull: the service's images are fetched, nothing is started."""

from __future__ import annotations

from container_pipeline.commands import control
from container_pipeline.execute import Run


def run(run: Run, *, wait: int = 0, accept_new: bool = False) -> None:
    """See ``control.run``."""
    control.run(run, "pull", wait=wait, accept_new=accept_new)
