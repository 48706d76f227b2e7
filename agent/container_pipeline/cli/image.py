"""The commands that docker.sh had."""

from __future__ import annotations

import click

from container_pipeline.cli.common import command
from container_pipeline.execute import Run
from container_pipeline.i18n import _

_EXAMPLES = {
    "build": ("build", "build --project ~/work/aglaia-web-re", "build other-image"),
    "pipeline": ("pipeline", "pipeline --dry-run"),
}


def _word(name: str) -> click.Command:
    @command(name, changes=True, image=True, examples=_EXAMPLES.get(name, (name,)))
    def call(run: Run) -> None:
        from container_pipeline.commands import pipeline
        from container_pipeline.plan.image import WORDS

        pipeline.run(run, WORDS[name])

    return call


@command(
    "push",
    click.option("--latest", is_flag=True, help=_("let latest be it, too")),
    changes=True,
    image=True,
    examples=("push", "push --latest"),
)
def push(run: Run, latest: bool) -> None:
    from container_pipeline.commands import push

    push.run(run, latest)


_WORDS = (
    "build",
    "tag-latest",
    "push-latest",
    "tag-prod",
    "push-prod",
    "tag-prod-latest",
    "push-prod-latest",
    "pipeline",
    "pipeline-prod",
    "pipeline-all",
    "pipeline-rebuild",
    "pipeline-prod-rebuild",
    "pipeline-all-rebuild",
)
COMMANDS = {**{name: _word(name) for name in _WORDS}, "push": push}
