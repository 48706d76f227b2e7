"""Run the built version as docker.sh did: in the foreground, removed when it ends."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run
from container_pipeline.execute.image import Actions
from container_pipeline.i18n import _
from container_pipeline.model import RunOptions
from container_pipeline.plan import run as plan
from container_pipeline.plan.image import nothing_built
from container_pipeline.project import state


def run(run: Run, **given: Any) -> None:
    """Run the version that was built last; keys of ``run:`` in ``given`` replace those of the project file.

    Raises EngineError with the container's exit code if that is not 0.
    """
    settings = run.settings
    access = settings.access("development")
    built = state.read(settings.project)
    if built is None:
        raise nothing_built()
    image = settings.image(access, built.version)
    run.result.version, run.result.digest = built.version, built.digest
    run.execute([plan.Start(image, _options(settings.project, settings.values.run, given))], Actions(run).performers)


def _options(project: Path, settings: Mapping[str, Any], given: Mapping[str, Any]) -> RunOptions:
    """Merge both: an option replaces the whole key; paths in options are relative to the current folder."""
    chosen = {key: value for key, value in given.items() if value}
    merged = {**settings, **chosen}
    here = Path.cwd()
    files = plan.env_files(merged, here if "env_file" in chosen else project)
    return plan.options(merged, _read(files), here if "volumes" in chosen else project, os.environ)


def _read(files: list[Path]) -> dict[Path, str]:
    texts = {}
    for path in files:
        try:
            texts[path] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(_("{path} cannot be read: {problem}", path=path, problem=error)) from error
    return texts
