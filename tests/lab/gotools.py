"""Programs in Go that tests run or compare with: of fixed versions, built once for this machine through the Go module proxy."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from lab.place import LabError, cache, locked
from lab.process import run

#: Program → its package, with the version.
PACKAGES = {
    "age": "filippo.io/age/cmd/age@v1.2.1",
    "age-keygen": "filippo.io/age/cmd/age-keygen@v1.2.1",
    "cosign": "github.com/sigstore/cosign/v2/cmd/cosign@v2.4.3",
    "cosign-3": "github.com/sigstore/cosign/v3/cmd/cosign@v3.0.2",
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.20.3",
    "regctl": "github.com/regclient/regclient/cmd/regctl@v0.8.3",
    "syft": "github.com/anchore/syft/cmd/syft@v1.18.1",
    "sops": "github.com/getsops/sops/v3/cmd/sops@v3.9.4",
}


def program(name: str) -> Path:
    """Return the path of a program; raises LabError where it is not built yet and there is no Go."""
    package = PACKAGES[name]
    folder = cache() / "go" / package.replace("/", "_")
    found = folder / package.rpartition("/")[2].partition("@")[0]
    with locked(folder):
        if not found.exists():
            fresh = Path(f"{folder}.new")
            run("env", f"GOBIN={fresh}", _go(name), "install", package, timeout=1800)
            os.replace(fresh, folder)
    return found


def referrers() -> Path:
    """Return the path of the registry with the referrers API, which is in the folder beside this file."""
    source = Path(__file__).with_name("referrers")
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:16]
    found = cache() / "go" / f"referrers-{sources}"
    with locked(found):
        if not found.exists():
            fresh = Path(f"{found}.new")
            go = _go("the registry with referrers")
            run("env", "GOFLAGS=-buildvcs=false", go, "-C", str(source), "build", "-o", str(fresh), ".", timeout=1800)
            os.replace(fresh, found)
    return found


def _go(name: str) -> str:
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if not found:
        raise LabError(f"{name} is built with Go, and there is no go on this machine")
    return found
