"""Writes a project's files; none is overwritten unasked."""

from __future__ import annotations

import os
from collections.abc import Mapping

from container_pipeline.execute import Performers, Run
from container_pipeline.i18n import _
from container_pipeline.plan.difference import difference
from container_pipeline.plan.files import RemoveFile, WriteFile
from container_pipeline.plan.steps import Step
from container_pipeline.project import files as disk
from container_pipeline.result import Kept

#: May contain secrets: created private; an existing one is neither shown nor replaced.
PRIVATE = ".env"


class Questions:
    """Asks questions; without a terminal, every question gets its default answer.

    ``option`` is the option that answers yes to everything.
    """

    option = "--force"

    def text(self, _question: str, default: str) -> str:
        return default

    def yes(self, _question: str) -> bool:
        return False


class Agreed(Questions):
    """Answers yes to everything."""

    def yes(self, _question: str) -> bool:
        return True


def write(run: Run, wanted: Mapping[str, str], questions: Questions) -> None:
    """Write missing files; for the others, show the difference and ask."""
    steps: list[Step] = []
    for name, text in wanted.items():
        path = run.settings.project / name
        there = disk.read(path)
        if there == text:
            run.console.line(_("{file} is up to date", file=name))
        elif there is None and not os.path.lexists(path):
            steps.append(WriteFile(name, text))
        elif there and text.startswith(there):
            # Nothing is removed.
            steps.append(WriteFile(name, text))
        elif name == PRIVATE:
            # No diff either: its content must not appear on screens or in logs.
            run.console.line(_("kept {file}: its content is the project's own", file=name))
        elif there is None and path.is_file():
            # Nobody could see what a replacement removes.
            run.console.warning(_("kept {file}: {problem}", file=name, problem=_("it is not UTF-8")))
            run.result.add(Kept(kept=[name]))
        else:
            run.console.result(difference(name, there or "", text))
            if not run.dry_run and questions.yes(_("replace {file}?", file=name)):
                steps.append(WriteFile(name, text))
            else:
                run.console.warning(
                    _("kept {file}: it differs; {option} replaces it", file=name, option=questions.option)
                )
                run.result.add(Kept(kept=[name]))
    run.execute(steps, performers(run))


def performers(run: Run) -> Performers:
    """Return step class → function for steps on the project's files."""

    def write_file(step: WriteFile) -> None:
        mode = 0o600 if step.file == PRIVATE else 0o644
        disk.replace(run.settings.project / step.file, step.text, mode, follow=True)

    return {WriteFile: write_file, RemoveFile: lambda step: (run.settings.project / step.file).unlink()}
