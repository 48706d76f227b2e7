"""Programs in Go that tests run or compare with: of fixed versions, built once for this machine through the Go module proxy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lab.place import LabError, cache, locked
from lab.process import run

#: Program → its package, with the version.
PACKAGES = {
    "age": "filippo.io/age/cmd/age@v1.2.1",
    "age-keygen": "filippo.io/age/cmd/age-keygen@v1.2.1",
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.20.3",
    "sops": "github.com/getsops/sops/v3/cmd/sops@v3.9.4",
}


def program(name: str) -> Path:
    """Return the path of a program; raises LabError where it is not built yet and there is no Go."""
    package = PACKAGES[name]
    folder = cache() / "go" / package.replace("/", "_")
    found = folder / name
    with locked(folder):
        if found.exists():
            return found
        go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
        if not go:
            raise LabError(f"{name} is built with Go, and there is no go on this machine")
        fresh = Path(f"{folder}.new")
        run("env", f"GOBIN={fresh}", go, "install", package, timeout=1800)
        os.replace(fresh, folder)
    return found
