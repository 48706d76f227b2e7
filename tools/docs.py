"""Writes ``docs/cli.md`` from the commands, the settings and the rules themselves."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "cli.md"

_HEAD = """\
# Command line

<!-- Written by `make docs` from the code: change it there. -->

`container-pipeline COMMAND [OPTIONS]`, or `python3 -m container_pipeline COMMAND [OPTIONS]`. Options come after the command.
If LC_ALL, LC_MESSAGES or LANG asks for Chinese, all messages are in Chinese.

On every command:

"""
_COMPLETION = """\
## Shell completion

The shell can complete commands and options. Set it up once for each user:

| shell | line | in |
|---|---|---|
| bash 4.4 or newer | `eval "$(_CONTAINER_PIPELINE_COMPLETE=bash_source container-pipeline)"` | `~/.bashrc` |
| zsh | `eval "$(_CONTAINER_PIPELINE_COMPLETE=zsh_source container-pipeline)"` | `~/.zshrc` |
| fish | `_CONTAINER_PIPELINE_COMPLETE=fish_source container-pipeline \\| source` | `~/.config/fish/config.fish` |
"""
_SETTINGS = """\
## Settings

Order: option, environment (`CONTAINER_PIPELINE_<KEY>`), `container-pipeline.yml` in the project's root, the site's default
(`CONTAINER_PIPELINE_DEFAULT_<KEY>`), default. The variable in the table overrides the project file for one run, also the value of the chosen
environment; its `DEFAULT` form is for a whole machine or Jenkins. `-v`, `doctor` and `status --json` show where each value comes from.

In a variable, separate the items of a list with commas or blanks, and write a map as JSON or as `NAME=value` pairs. Keys marked ✓ are
also allowed below `environments:`, and apply with `--environment NAME`. A Jenkinsfile accepts the same keys in camelCase.

"""
_VARIABLES = {
    "DOCKER_REGISTRY": "the (development) registry: `host[:port][/path]`",
    "DOCKER_REGISTRY_USER, DOCKER_REGISTRY_PASS": "its login",
    "DOCKER_REGISTRY_PULL_USER, DOCKER_REGISTRY_PULL_PASS": "the login that servers pull with (default: `…_USER` and `…_PASS`)",
    "DOCKER_REGISTRY_PROD": "the production registry",
    "DOCKER_REGISTRY_PROD_USER, DOCKER_REGISTRY_PROD_PASS": "its login",
    "DOCKER_REGISTRY_PROD_PULL_USER, DOCKER_REGISTRY_PROD_PULL_PASS": "the login that servers pull with from there",
    "DOCKER_HOST": "the Docker engine, as for Docker's own client",
    "CONTAINER_PIPELINE_ENVIRONMENT": "the environment, without `--environment`",
    "CONTAINER_PIPELINE_SSH_KEY": "file with the private key for servers, in addition to the user's ssh configuration",
    "CONTAINER_PIPELINE_SSH_CONFIG": "file to use instead of `~/.ssh/config`",
    "CONTAINER_PIPELINE_KNOWN_HOSTS": "file to use instead of `~/.ssh/known_hosts`",
    "JENKINS_URL, JENKINS_USER, JENKINS_TOKEN": "the Jenkins that `seed` and `doctor` use",
    "NO_COLOR": "no colours on a terminal",
}
_EXIT_CODES = {
    "0": "done",
    "1": "failed, or a setting is missing; what was there before still stands. `lint` and `doctor`: a finding",
    "2": "unknown command or option",
    "3": "the deploy failed, and the previous release runs again",
    "4": "the deploy and its rollback failed: someone must repair it by hand",
    "5": "another run holds the lock, or a hold or a freeze stands",
    "6": "overtaken: a release that was built later runs; nothing was changed",
    "7": "outcome unknown: the connection was lost, and the server could not be asked again",
    "130, 143": "interrupted, terminated",
}


def text() -> str:
    """Return the content of the file."""
    os.environ["LC_ALL"] = "C"
    sys.path.insert(0, str(ROOT / "agent"))
    return "\n".join(_parts()).rstrip() + "\n"


def _parts() -> Iterator[str]:
    from container_pipeline.cli import GROUPS
    from container_pipeline.cli.common import command

    shared = _options(command("build")(lambda run: None))
    yield _HEAD + _table(("option", "does"), shared.items())
    yield "With several servers, the exit code is the worst one's. On commands that change something, `--dry-run` only prints the plan.\n"
    for group, commands in GROUPS.items():
        module = importlib.import_module(f"container_pipeline.cli.{group}")
        yield f"## {group}\n"
        for name in commands:
            yield from _command(module.COMMANDS[name], set(shared))
    yield _COMPLETION
    yield from _settings()
    yield "## Exit codes\n\n" + _table(("code", "meaning"), _EXIT_CODES.items())
    yield from _rules()


def _command(command: click.Command, shared: set[str]) -> Iterator[str]:
    import click

    with click.Context(command, info_name=f"container-pipeline {command.name}") as context:
        usage = context.get_usage().partition(" ")[2]
    yield f"### {command.name}\n\n{_sentence(command.help or '')}\n\n```text\n{usage}\n```\n"
    own = {name: text for name, text in _options(command).items() if name not in shared}
    if own:
        yield _table(("option", "does"), own.items())
    if command.epilog:
        lines = [line.strip() for line in command.epilog.splitlines()[2:]]
        yield "```text\n" + "\n".join(lines) + "\n```\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _options(command: click.Command) -> dict[str, str]:
    import click

    found = {}
    with click.Context(command) as context:
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if isinstance(parameter, click.Option) and record and not parameter.hidden:
                found[f"`{record[0]}`"] = record[1]
    return found


def _settings() -> Iterator[str]:
    from container_pipeline.keys import KEYS

    rows = [
        (f"`{key.name}`", _default(key.default), "✓" if key.per_environment else "", f"`{key.variable}`", _meaning(key))
        for key in KEYS
    ]
    yield _SETTINGS + _table(("key", "default", "✓", "variable", "meaning"), rows)
    yield "Only from the environment:\n\n" + _table(
        ("variable", "meaning"), ((f"`{name.replace(', ', '`, `')}`", text) for name, text in _VARIABLES.items())
    )


def _meaning(key: Any) -> str:
    choices = ": " + ", ".join(f"`{choice}`" for choice in key.choices) if key.choices else ""
    return f"{key.help}{choices}"


def _default(value: Any) -> str:
    if value in ("", (), {}, None):
        return ""
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def _rules() -> Iterator[str]:
    from container_pipeline.plan.lint import RULES

    yield (
        "## Rules of lint\n\n`# container-pipeline: ignore CP101` on a line, or on the line before it, silences a rule there (`//` in a"
        " Jenkinsfile).\nIf Compose is installed, its own parser decides what is valid (CP200); if hadolint is, its rules are"
        " reported too (DL…).\n"
    )
    yield _table(("rule", "file", "why"), ((one.id, f"`{one.kind}`", one.why) for _id, one in sorted(RULES.items())))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = [[cell.replace("|", "\\|").replace("\\\\|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return (
        "\n".join("|" + "|".join(f" {cell} " if cell != "---" else cell for cell in line) + "|" for line in escaped)
        + "\n"
    )


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
