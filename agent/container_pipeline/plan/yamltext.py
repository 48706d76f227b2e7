"""Writes strings into YAML so that every reader reads them as strings."""

from __future__ import annotations

import json
import re

#: Words that YAML 1.1 or 1.2 reads as a boolean or null.
_WORDS = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan"])


def scalar(text: str) -> str:
    """Return ``text`` unquoted if no reader reads it as a number, date or YAML word, else quoted."""
    plain = re.fullmatch(r"\.|\.?[A-Za-z/][\w./-]*", text)
    return text if plain and text.lower() not in _WORDS else json.dumps(text, ensure_ascii=False)
