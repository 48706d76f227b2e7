"""init: examine the folder, report what it contains, and write the convention's files. Nothing is overwritten unasked."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from container_pipeline.errors import SettingsError
from container_pipeline.execute import Run
from container_pipeline.execute.writing import Questions, write
from container_pipeline.i18n import _
from container_pipeline.model import Code
from container_pipeline.plan import init as plan
from container_pipeline.plan.detect import Shape, detect
from container_pipeline.project import files as disk
from container_pipeline.settings import Settings

#: Files that identify a project, besides Python files.
_TELLING = (
    ".python-version", "Dockerfile", "Pipfile", "Pipfile.lock", "poetry.lock", "pyproject.toml", "runtime.txt",
    "setup.cfg", "setup.py", "uv.lock",
)  # fmt: skip
_PASSED_OVER = {"node_modules", "venv", "env", "__pycache__", "build", "dist", "tests", "test", "docs", "migrations"}
_MOST_FILES = 300


def run(run: Run, questions: Questions) -> None:
    """Write the files; raises SettingsError if the folder contains no Python project."""
    project = run.settings.project
    shape = detect(gather(project), f"{sys.version_info[0]}.{sys.version_info[1]}")
    if shape is None:
        raise SettingsError(
            _("{project} contains no Python project", project=project),
            _(
                "init looks for requirements.txt, pyproject.toml, Pipfile, manage.py, or a Python file that can be run; "
                "for another language, write a Dockerfile and copy the Compose file of docs/convention.md"
            ),
        )
    run.console.line(_("found: {what}", what=_told(shape)))
    shape, code, host_port = _asked(run.settings, shape, questions)
    if not run.settings.values.code:
        run.console.line(_("project code: {code}; pass --code CODE for a different one", code=code))
    run.result.code = code
    registry = run.settings.development
    wanted = plan.files(
        shape, code, run.settings.values.namespace, str(registry.registry) if registry else "", host_port
    )
    wanted[".gitignore"] = plan.gitignore(disk.read(project / ".gitignore") or "")
    write(run, wanted, questions)
    run.console.line(
        _(
            "next: run `container-pipeline build`, or set `servers:` in container-pipeline.yml and run `container-pipeline ship`"
        )
    )


def gather(project: Path) -> dict[str, str]:
    """Read the files that identify the project: a few by name, requirements lists, and Python files near the root."""
    names = [*_TELLING, *_below(project)]
    # pip and Python read other encodings than UTF-8, too; what names a package is ASCII in all of them but UTF-16 and UTF-32.
    texts = ((name, disk.legible(project / name)) for name in names)
    return {name: text for name, text in texts if text is not None}


def _below(project: Path) -> Iterator[str]:
    found = 0
    for folder, folders, names in os.walk(project):
        path = os.path.relpath(folder, project)
        depth = 0 if path == "." else path.count(os.sep) + 1
        folders[:] = sorted(
            name for name in folders if depth < 3 and name not in _PASSED_OVER and not name.startswith(".")
        )
        for name in sorted(names):
            if name.endswith(".py") or re.fullmatch(r"(requirements|constraints|base|prod|production)\S*\.txt", name):
                found += 1
                yield name if path == "." else f"{path}/{name}"
        if found > _MOST_FILES:
            return


def _told(shape: Shape) -> str:
    port = _("port {number}", number=shape.port) if shape.port else ""
    parts = [f"Python {shape.python}", shape.framework, *shape.listed, port]
    return ", ".join(part for part in parts if part)


def _asked(settings: Settings, shape: Shape, questions: Questions) -> tuple[Shape, str, int]:
    """Return shape, code and the servers' port, as the person chooses."""
    code = settings.values.code or questions.text(_("project code"), default_code(settings.project.name))
    Code(code)
    python = questions.text(_("Python version"), shape.python)
    if not re.fullmatch(r"3\.\d{1,2}", python):
        raise SettingsError(_("{value!r} is not a Python version such as 3.12", value=python))
    if not shape.port:
        return replace(shape, python=python), code, 0
    port = _port(questions.text(_("port that the service listens on"), str(shape.port)))
    host_port = _port(questions.text(_("port on the servers"), str(port)))
    return replace(shape, python=python, port=port), code, host_port


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise SettingsError(_("{value!r} is not a port: write a number from 1 to 65535", value=text))
    return int(text)


def default_code(folder: str) -> str:
    """Return a project code derived from the folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:63].strip("-") or "app"
