"""The tools that a promotion is measured beside; what is missing is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_CRANE = "github.com/google/go-containerregistry/cmd/crane@latest"


def crane() -> str:
    """Return the path of crane, built by Go from its module where it is not there."""
    built = Path.home() / "go/bin/crane"
    found = shutil.which("crane") or (str(built) if built.exists() else "")
    if not found:
        subprocess.run(["go", "install", _CRANE], check=True)
    return found or str(built)


def skopeo() -> str:
    """Return the path of skopeo, the distribution's own."""
    if not shutil.which("skopeo"):
        subprocess.run(["apt-get", "install", "-qq", "-y", "skopeo"], check=True, stdout=subprocess.DEVNULL)
    return shutil.which("skopeo") or "skopeo"
