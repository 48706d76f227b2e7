"""Files of a project, written whole or not at all."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

#: Byte order marks; that of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(path: Path, limit: int = 1_000_000) -> str | None:
    """Return a file's text, None where it is not there, is no text or is larger than ``limit`` bytes."""
    try:
        if path.stat().st_size > limit:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


def encoding(data: bytes) -> str:
    """Return how a text file is encoded: utf-8, utf-16 or utf-32 with its byte order, "" where it is none of them."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    zeros = data[1:200:2].count(0), data[:200:2].count(0)
    name = "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be" if zeros[1] > zeros[0] else "utf-8"
    try:
        data.decode(name)
    except UnicodeDecodeError:
        return ""
    return name


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write ``text``; an existing file keeps its mode, a new one gets ``mode``."""
    target = path.resolve()
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    try:
        temporary.touch(mode=0o600)
        temporary.write_bytes(text.encode("utf-8"))
        temporary.chmod(target.stat().st_mode & 0o7777 if target.exists() else mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
