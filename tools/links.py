"""Names the symbolic links in the repository: ``python -m tools.links``. Jenkins refuses to load a library that has one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def links(root: Path = ROOT) -> list[str]:
    """Return the symbolic links in the repository ``root`` that git has, or would add."""
    listed = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0")
    return sorted(name for name in names if name and (root / name).is_symlink())


def main() -> int:
    """Print one sentence for each link; exit 1 where there is one."""
    found = links(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
    for name in found:
        print(f"{name} is a symbolic link: replace it with a file, or Jenkins refuses to load the library")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
