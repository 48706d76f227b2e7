"""lint: read the project's files, apply the rules, repair what can be repaired."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

from container_pipeline.clients import linters
from container_pipeline.errors import ChecksFailed
from container_pipeline.execute import Run
from container_pipeline.i18n import _
from container_pipeline.keys import PROJECT_FILE
from container_pipeline.model import Code
from container_pipeline.plan import lint
from container_pipeline.plan.difference import difference
from container_pipeline.plan.lint import reports
from container_pipeline.plan.lint.repair import alike, repaired
from container_pipeline.project import files
from container_pipeline.project.context import ignore_files
from container_pipeline.result import Findings
from container_pipeline.settings import Settings

#: One repair can enable another; more rounds than this never helped.
_ROUNDS = 5
_STATE = (".docker_build_version", ".docker_build_image", ".docker_build.json")


def run(run: Run, report: str = "text", fix: bool = False) -> None:
    """Report all findings; raises ChecksFailed if there are any. With ``fix``, make the safe repairs first."""
    if run.settings.values.code:
        Code(run.settings.values.code)  # raises SettingsError
    facts = _fix(run) if fix else gather(run.settings)
    findings = lint.check(facts)
    run.result.code = facts.code
    run.result.add(Findings(findings=[reports.as_dict(one) for one in findings]))
    if findings or report != "text":
        run.console.result(reports.FORMATS[report](findings))
    if findings:
        fixable = sum(one.edit is not None for one in findings)
        hint = _("--fix repairs {number} of them", number=fixable) if fixable else ""
        raise ChecksFailed(
            _("findings in {project}: {number}", number=len(findings), project=run.settings.project), hint
        )
    if not facts.dockerfile and not facts.compose:
        raise ChecksFailed(
            _("{project} has no Dockerfile and no Compose file: nothing to check", project=run.settings.project),
            _("run it in the project's root, or pass --project DIR"),
        )
    run.console.line(_("the project follows the convention"))


def gather(settings: Settings) -> lint.Facts:
    """Read the input of the rules, and run the installed linters."""
    facts = read(settings)
    names = [*(source.name for source in facts.env), *_STATE]
    return _ask_others(settings.project, facts, names)


def read(settings: Settings) -> lint.Facts:
    """Read the input of the rules."""
    project, values = settings.project, settings.values
    per_environment = list(values.environments.values())
    dockerfile = os.path.normpath(os.path.join(values.context, values.dockerfile))
    env_names = _names(values.env_file, (one.get("env_file") for one in per_environment))
    compose_names = _names(values.compose_file, (one.get("compose_file") for one in per_environment))
    facts = lint.Facts(
        code=values.code,
        namespace=values.namespace,
        dockerfile=_read(project, dockerfile),
        dockerignore=_read_all(project, _ignore_files(settings, dockerfile)),
        compose=_read_all(project, compose_names),
        env=_read_all(project, env_names),
        requirements=_read_all(project, sorted(path.name for path in project.glob("requirements*.txt"))),
        jenkinsfile=_read(project, "Jenkinsfile"),
        project_file=_read(project, PROJECT_FILE),
        overridden=tuple(settings.overridden()),
        uploaded=tuple(values.files) + tuple(name for one in per_environment for name in one.get("files", ())),
        names=tuple(sorted(os.listdir(project))),
    )
    return replace(facts, code=facts.code or lint.code_of(facts))


def _ignore_files(settings: Settings, dockerfile: str) -> list[str]:
    project, context = settings.project, settings.path("context")
    paths = ignore_files(context, project / dockerfile, settings.values.builder)
    return [os.path.relpath(path, project) for path in paths]


def _ask_others(project: Path, facts: lint.Facts, names: Sequence[str]) -> lint.Facts:
    with ThreadPoolExecutor() as pool:
        tracked = pool.submit(linters.tracked, project, names)
        composed = [pool.submit(linters.compose_problem, project, one.name) for one in facts.compose]
        more = pool.submit(linters.hadolint, project, facts.dockerfile.name) if facts.dockerfile else None
        problems = [problem for problem in (one.result() for one in composed) if problem]
        return replace(facts, tracked=tracked.result(), outside=(*problems, *(more.result() if more else ())))


def _names(first: str, others: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys([first, *(name for name in others if name)]))


def _read_all(project: Path, names: Iterable[str]) -> tuple[lint.Source, ...]:
    return tuple(source for source in (_read(project, name) for name in names) if source)


def _read(project: Path, name: str) -> lint.Source | None:
    """Read a file in the encoding of its byte order mark; line endings are kept."""
    try:
        data = (project / name).read_bytes()
    except OSError:
        return None
    encoding = files.encoding(data)
    text = data.decode(encoding or "utf-8", errors="replace")
    wide = encoding.startswith(("utf-16", "utf-32"))
    return lint.Source(name, "\ufeff" + text.lstrip("\ufeff") if wide else text, encoding)


def _fix(run: Run) -> lint.Facts:
    """Make all safe repairs, or show them in a dry run; return the facts afterwards."""
    facts = read(run.settings)
    left: set[tuple[str, str, str]] = set()
    for _round in range(_ROUNDS):
        changed = False
        found = [one for one in lint.check(facts) if one.edit and (one.file, one.rule, one.message) not in left]
        for kind, source in lint.sources(facts):
            findings = [one for one in found if one.file == source.name]
            # Bytes that are not text in any encoding cannot be written back unchanged.
            text, unsafe = (
                repaired(kind, source, findings, facts.code, _by_compose(run.settings.project, kind, facts.code))
                if source.encoding
                else (source.text, findings)
            )
            for one in unsafe:
                left.add((one.file, one.rule, one.message))
                run.console.warning(
                    _(
                        "{file}:{line}: {rule} is not repaired, because that would change more; repair it by hand",
                        file=one.file,
                        line=one.line,
                        rule=one.rule,
                    )
                )
            if text != source.text:
                changed = True
                _write(run, kind, source, text, findings)
        if run.dry_run or not changed:
            break
        facts = read(run.settings)
    return replace(gather(run.settings), unsafe=frozenset(left))


def _write(run: Run, kind: str, source: lint.Source, text: str, findings: Sequence[lint.Finding]) -> None:
    if not run.dry_run:
        files.replace(run.settings.project / source.name, text, follow=True)
        run.console.line(_("repaired {file}", file=source.name))
    elif kind == ".env":  # its values must not appear on screens or in logs
        for one in findings:
            run.console.result(str(one))
    else:
        run.console.result(difference(source.name, source.text, text))


def _by_compose(project: Path, kind: str, code: str) -> Callable[[str, str, Sequence[lint.Finding]], bool]:
    """Return a check that Compose, if installed and able to read the file, reads the repaired file as the same."""
    reading = cache(lambda text: linters.compose_reading(project, text))

    def valid(before: str, after: str, findings: Sequence[lint.Finding]) -> bool:
        if kind != "docker-compose.yml" or reading(before) is None:
            return True
        return alike(reading(before), reading(after), findings, code)

    return valid
