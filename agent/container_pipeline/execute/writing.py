"""How a project's own files are written: none is overwritten unasked."""

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

#: May hold secrets: it is made private, and one that is there is neither shown nor replaced.
PRIVATE = ".env"


class Questions:
    """How a person is asked; without a terminal, each question is answered by its default.

    ``option`` is the one that answers yes to everything.
    """

    option = "--force"

    def text(self, _question: str, default: str) -> str:
        return default

    def yes(self, _question: str) -> bool:
        return False


class Agreed(Questions):
    """Somebody who has said yes to everything."""

    def yes(self, _question: str) -> bool:
        return True


def write(run: Run, wanted: Mapping[str, str], questions: Questions) -> None:
    """Write those files that are not there; of the others show the difference, and ask."""
    steps: list[Step] = []
    for name, text in wanted.items():
        there = disk.read(run.settings.project / name)
        if there == text:
            run.console.line(_("{file} is up to date", file=name))
        elif there is None and not os.path.lexists(run.settings.project / name):
            steps.append(WriteFile(name, text))
        elif there and text.startswith(there):
            # Nothing is taken away.
            steps.append(WriteFile(name, text))
        elif name == PRIVATE:
            # Not even as a difference: what it holds belongs to nobody's screen or log.
            run.console.line(_("kept {file}: its content is the project's own", file=name))
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
    """Return how steps on the project's own files are carried out."""

    def write_file(step: WriteFile) -> None:
        mode = 0o600 if step.file == PRIVATE else 0o644
        disk.replace(run.settings.project / step.file, step.text, mode, follow=True)

    return {WriteFile: write_file, RemoveFile: lambda step: (run.settings.project / step.file).unlink()}
