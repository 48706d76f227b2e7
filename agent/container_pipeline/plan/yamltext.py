"""Texts written into YAML so that every reader takes them for texts."""

from __future__ import annotations

import json
import re

#: Words that YAML 1.1 or 1.2 reads as a boolean or as nothing.
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"])


def scalar(text: str) -> str:
    """Return ``text`` as it stands where no reader takes it for a number, a date or a word of YAML's own, else in quotes."""
    plain = re.fullmatch(r"\.|\.?[A-Za-z/][\w./-]*", text)
    return text if plain and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)
