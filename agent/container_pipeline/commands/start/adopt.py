"""adopt: read docker.sh, report what replaces each line, and write equivalent settings and a Jenkinsfile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from container_pipeline.clients import script
from container_pipeline.commands.image import words
from container_pipeline.errors import ChecksFailed, SettingsError
from container_pipeline.execute import Run, comparison
from container_pipeline.execute.writing import Questions, performers, write
from container_pipeline.i18n import _
from container_pipeline.keys import PROJECT_FILE
from container_pipeline.model import Code
from container_pipeline.plan.adopt import Adopted, adopt, jenkinsfile, rewrite
from container_pipeline.plan.adopt.calls import NAMED, by_command, calls, is_jenkinsfile, matters
from container_pipeline.plan.adopt.notes import masked
from container_pipeline.plan.files import RemoveFile
from container_pipeline.plan.image import WORDS
from container_pipeline.plan.init import project_file
from container_pipeline.plan.lint.model import unmarked
from container_pipeline.project import files as disk
from container_pipeline.result import Adoption, Calls, Differences

SCRIPT = "docker.sh"


def run(run: Run, questions: Questions, verify: bool, remove: bool) -> None:
    """Convert the project; raises SettingsError without a docker.sh, ChecksFailed if ``verify`` finds a difference."""
    project = run.settings.project
    text = disk.read(project / SCRIPT)
    if text is None and (project / SCRIPT).is_file():
        raise SettingsError(
            _("{place} cannot be read: {problem}", place=SCRIPT, problem=_("it is not UTF-8")), _("save it as UTF-8")
        )
    if text is None:
        raise SettingsError(
            _("{project} has no docker.sh", project=project),
            _("`container-pipeline init` is for projects without one"),
        )
    adopted = adopt(text, project.name, script.statements(text))
    given = {"code": run.settings.values.code, "namespace": run.settings.values.namespace}
    adopted.values.update({key: value for key, value in given.items() if value})
    if not adopted.values.get("code"):
        raise SettingsError(_("docker.sh does not name the project's code"), _("pass --code CODE"))
    run.result.code = str(Code(adopted.values["code"]))
    _drop_halves(run, adopted)
    _tell(run, adopted, text)
    root = next((folder for folder in (project, *project.parents) if (folder / ".git").exists()), project)
    callers = disk.texts(root, matters)
    wanted = _files(run, adopted, root, callers)
    write(run, wanted, questions)
    if verify and not run.dry_run:
        differences = comparison.compare(run, SCRIPT, adopted.before, lambda ours: words.run(ours, WORDS["build"]))
        run.result.add(Differences(differences=differences))
        if differences:
            raise ChecksFailed(
                _("docker.sh and container-pipeline build different images"),
                _("docker.sh was kept; the differences are above"),
                details=differences,
            )
        run.console.line(_("docker.sh and container-pipeline build the same image"))
    planned = {_below(root, project / name): content for name, content in wanted.items()}
    left = calls({**callers, **planned} if run.dry_run else disk.texts(root, matters), _below(root, project / SCRIPT))
    for call in left:
        run.console.warning(
            _("{place} calls docker.sh: {text}", place=f"{call.file}:{call.line}", text=masked(call.text))
        )
    run.result.add(Calls(calls=[f"{call.file}:{call.line}" for call in left]))
    if remove and left:
        raise ChecksFailed(
            _(
                "docker.sh is not removed: {number} lines still call it, the first is {place}",
                number=len(left),
                place=f"{left[0].file}:{left[0].line}",
            ),
            _(
                "replace each call with the container-pipeline step or command of the same name, then run adopt --remove again"
            ),
        )
    if remove:
        run.execute([RemoveFile(SCRIPT)], performers(run))


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _drop_halves(run: Run, adopted: Adopted) -> None:
    """Drop lines that a shell refuses, which are not complete commands."""
    for command in [command for command in adopted.before if not script.parses(command)]:
        adopted.before.remove(command)
        run.console.warning(
            _("{command} is not a complete command: run it from the Jenkinsfile where you need it", command=command)
        )


def _tell(run: Run, adopted: Adopted, text: str) -> None:
    """Show each line that deviates from the convention, and the number of the others."""
    for note in adopted.notes:
        run.console.result(f"{SCRIPT}:{note}")
    special = {number for note in adopted.notes for number in range(note.first, note.last + 1)}
    usual = len(text.splitlines()) - len(special)
    run.console.line(_("{number} lines follow the convention; container-pipeline replaces them", number=usual))
    run.result.add(Adoption(adopted=[vars(note) for note in adopted.notes]))


def _files(run: Run, adopted: Adopted, root: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Return file name → text to write."""
    code, project = run.result.code, run.settings.project
    there = disk.read(project / "Jenkinsfile")
    wanted = {PROJECT_FILE: project_file(adopted.values)}
    if not there:
        wanted["Jenkinsfile"] = jenkinsfile(code, adopted.before)
    for name, text in texts.items():
        path = root / name
        if project not in path.parents or path.is_symlink() or name == _below(root, project / SCRIPT):
            continue
        if disk.encoding(path.read_bytes()) != "utf-8":
            continue  # it could not be written back unchanged
        mark, end, plain = unmarked(text)
        if is_jenkinsfile(name):
            changed = rewrite(plain, code, adopted.before)
        elif NAMED.search(plain):
            changed = by_command(name, plain, texts)
            changed = changed if script.parses(changed, "bash") or not script.parses(plain, "bash") else plain
        else:
            continue
        if changed != plain:
            wanted[_below(project, path)] = mark + changed.replace("\n", end)
        elif path == project / "Jenkinsfile" and there:
            wanted["Jenkinsfile"] = there
    return wanted
