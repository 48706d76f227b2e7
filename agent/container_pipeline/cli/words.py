"""Translates click's own messages: click uses gettext, which reads only compiled catalogues."""

from __future__ import annotations

import json

from container_pipeline.i18n import language


def translate() -> None:
    """Make click take its messages from our catalogue; English needs none."""
    if language() == "en":
        return
    import pkgutil

    from click import core, decorators, exceptions, formatting, parser, types

    data = pkgutil.get_data("container_pipeline", f"locale/{language()}/click.json")
    words: dict[str, str] = json.loads(data or b"{}")

    def one(text: str) -> str:
        return words.get(text, text)

    def counted(singular: str, plural: str, count: int) -> str:
        return one(singular if count == 1 else plural)

    for module in (core, decorators, exceptions, formatting, parser, types):
        vars(module).update(_=one, ngettext=counted)
