"""Messages in the user's language: English in the code, Simplified Chinese in ``locale/zh/*.json``.

The language is chosen as gettext does: the first of LC_ALL, LC_MESSAGES and LANG that is set.
"""

from __future__ import annotations

import json
import os
from functools import cache

#: One catalogue per area of the code, so that each stays short enough to read.
AREAS = ("core", "image", "registry", "server", "jenkins", "library", "start")


def language() -> str:
    """Return "zh" if the environment asks for Chinese, else "en"."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def catalogue(chosen: str) -> dict[str, str]:
    """Return all translations into ``chosen``; English needs none."""
    merged: dict[str, str] = {}
    if chosen == "en":
        return merged
    import pkgutil

    for area in AREAS:
        data = pkgutil.get_data("container_pipeline", f"locale/{chosen}/{area}.json")
        merged.update(json.loads(data or b"{}"))
    return merged


def _(text: str, /, **values: object) -> str:
    """Translate ``text`` and fill in its ``{named}`` values."""
    template = catalogue(language()).get(text, text)
    return template.format(**values) if values else template
