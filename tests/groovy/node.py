"""A build node, from a build's point of view."""

from __future__ import annotations

import shutil
from pathlib import Path


class Node:
    """A build node: ``bin`` is all of its PATH, ``environment`` is what its processes get."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.bin.mkdir(parents=True)
        self.home.mkdir()
        for program in ("python3", "docker", "ssh"):
            self.install(program)
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "CONTAINER_PIPELINE_PROFILE": str(folder / "profile"),
        }

    def install(self, program: str, path: str | None = None) -> None:
        (self.bin / program).unlink(missing_ok=True)
        (self.bin / program).symlink_to(path or shutil.which(program, path="/usr/bin:/bin") or program)

    @property
    def cache(self) -> Path:
        return self.home / ".cache" / "container-pipeline"
