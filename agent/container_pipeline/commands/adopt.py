"""adopt: read docker.sh, tell line by line what becomes of it, write settings and Jenkinsfile that do the same."""

from __future__ import annotations

from container_pipeline.clients import files as disk
from container_pipeline.commands import verify as comparison
from container_pipeline.commands.writing import Questions, performer, write
from container_pipeline.errors import ChecksFailed, SettingsError
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.keys import PROJECT_FILE
from container_pipeline.model import Code
from container_pipeline.plan.adopt import Adopted, adopt, jenkinsfile, rewrite
from container_pipeline.plan.files import RemoveFile
from container_pipeline.plan.init import project_file

SCRIPT = "docker.sh"


def run(run: Run, questions: Questions, verify: bool, remove: bool) -> None:
    """Take the project over; raises SettingsError where it has no docker.sh, ChecksFailed where ``verify`` finds a difference."""
    project = run.settings.project
    text = disk.read(project / SCRIPT)
    if text is None:
        raise SettingsError(
            _("{project} has no docker.sh", project=project),
            _("`container-pipeline init` is for projects without one"),
        )
    adopted = adopt(text, project.name)
    for key in ("code", "namespace"):
        if run.settings.values[key]:
            adopted.values[key] = run.settings.values[key]
    if not adopted.values.get("code"):
        raise SettingsError(_("docker.sh does not tell the project's code"), _("say --code CODE"))
    run.result.code = str(Code(adopted.values["code"]))
    _tell(run, adopted, text)
    write(run, _files(run, adopted), questions)
    if verify and not run.dry_run:
        differences = comparison.compare(run, SCRIPT, adopted.before)
        run.result.extra["differences"] = differences
        if differences:
            raise ChecksFailed(
                _("docker.sh and container-pipeline build different images"),
                _("docker.sh stays; see what differs above"),
                details=differences,
            )
        run.console.line(_("docker.sh and container-pipeline build the same image"))
    if remove:
        run.execute([RemoveFile(SCRIPT)], performer(run))


def _tell(run: Run, adopted: Adopted, text: str) -> None:
    """Show each line that is not the convention's; the rest are one number."""
    for note in adopted.notes:
        run.console.result(f"{SCRIPT}:{note}")
    special = {number for note in adopted.notes for number in range(note.first, note.last + 1)}
    usual = len(text.splitlines()) - len(special)
    run.console.line(_("{number} lines are the convention's: container-pipeline does what they did", number=usual))
    run.result.extra["adopted"] = [vars(note) for note in adopted.notes]


def _files(run: Run, adopted: Adopted) -> dict[str, str]:
    """Return name → text of what is to be written."""
    code = run.result.code
    there = disk.read(run.settings.project / "Jenkinsfile")
    text = rewrite(there, code, adopted.before) if there else jenkinsfile(code, adopted.before)
    return {PROJECT_FILE: project_file(adopted.values), "Jenkinsfile": text}
