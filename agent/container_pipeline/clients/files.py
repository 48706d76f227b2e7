"""Files of a project, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def read(path: Path, limit: int = 1_000_000) -> str | None:
    """Return a file's text, None where it is not there, is no text or is larger than ``limit`` bytes."""
    try:
        if path.stat().st_size > limit:
            return None
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None


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
