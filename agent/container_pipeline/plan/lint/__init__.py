"""The convention's rules. Pure: texts in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from container_pipeline.keys import PROJECT_FILE
from container_pipeline.plan.lint import compose, docker_rules, jenkinsfile, run_instructions, text_rules
from container_pipeline.plan.lint.composefile import ParsedCompose
from container_pipeline.plan.lint.dockerfile import Dockerfile
from container_pipeline.plan.lint.jenkinsfile import Jenkinsfile
from container_pipeline.plan.lint.model import RULES, Facts, Finding, Source, apply, silenced
from container_pipeline.plan.lint.text_rules import EnvFile, Requirements

__all__ = [
    "RULES",
    "Facts",
    "Finding",
    "Source",
    "apply",
    "check",
    "code_of",
    "compose",
    "docker_rules",
    "jenkinsfile",
    "run_instructions",
    "sources",
    "text_rules",
]


def check(facts: Facts) -> list[Finding]:
    """Return all findings by file and line, without those that a comment silences."""
    files = list(_parsed(facts))
    found = [finding for kind, source, parsed in files for finding in _of(kind, source, parsed, facts)]
    named = {source.name: source for _kind, source, _parsed in files}
    found += facts.outside
    found = [one for one in found if one.rule not in silenced(named.get(one.file, Source("", "")), one.line)]
    found = [replace(one, edit=None) if (one.file, one.rule, one.message) in facts.unsafe else one for one in found]
    return sorted(found, key=lambda one: (one.file, one.line, one.rule))


def sources(facts: Facts) -> Iterator[tuple[str, Source]]:
    """Yield each file of the project with its kind."""
    if facts.dockerfile:
        yield "Dockerfile", facts.dockerfile
    for source in facts.dockerignore:
        yield ".dockerignore", source
    for source in facts.compose:
        yield "docker-compose.yml", source
    for source in facts.env:
        yield ".env", source
    for source in facts.requirements:
        yield "requirements.txt", source
    if facts.project_file:
        yield PROJECT_FILE, facts.project_file
    if facts.jenkinsfile:
        yield "Jenkinsfile", facts.jenkinsfile


#: Kind of file → what its rules check; the other kinds are checked as they are.
_PARSERS: dict[str, Callable[[Source], Any]] = {
    "Dockerfile": Dockerfile,
    "docker-compose.yml": ParsedCompose,
    ".env": EnvFile,
    "requirements.txt": Requirements,
    "Jenkinsfile": Jenkinsfile,
}


def _parsed(facts: Facts) -> Iterator[tuple[str, Source, Any]]:
    for kind, source in sources(facts):
        yield kind, source, _PARSERS[kind](source) if kind in _PARSERS else source
    yield ".git", Source(".gitignore", ""), None


def _of(kind: str, source: Source, parsed: Any, facts: Facts) -> Iterator[Finding]:
    for rule in RULES.values():
        if rule.kind == kind:
            for hit in rule.check(parsed, facts):
                yield Finding(rule.id, source.name, hit.line, hit.message, hit.hint, hit.edit)


def code_of(facts: Facts) -> str:
    """Return the project code from the project's files, or "": from the Jenkinsfile, else the only service.

    A repository with several services has none.
    """
    if facts.jenkinsfile:
        codes = {code for _line, code in Jenkinsfile(facts.jenkinsfile).codes()}
        if codes:
            return codes.pop() if len(codes) == 1 else ""
    services = {name for source in facts.compose for name in ParsedCompose(source).services}
    return services.pop() if len(services) == 1 else ""
