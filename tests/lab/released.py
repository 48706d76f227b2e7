"""The folder of a code that was deployed once, written without a deploy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path


def project(root: Path, code: str, version: str = "20261124093015", image: str = "") -> Path:
    """Write the folder of a code that was deployed once, and is well; ``image`` is NAME@DIGEST."""
    folder = root / code
    release = folder / "releases" / version
    (release / "pages").mkdir(parents=True)
    name, _at, digest = (image or f"r/{code}@sha256:{1:064}").partition("@")
    record = {"version": version, "digest": digest, "image": name, "project": code, "services": code}
    (release / "release.json").write_text(json.dumps(record) + "\n")
    for name, text in ((".env", "A=1\n"), ("docker-compose.yml", "services: {}\n"), ("pages/a b.html", "x")):
        (release / name).write_text(text)
    (release / ".units").write_text("pages\n")
    for name in (".env", "docker-compose.yml"):
        shutil.copy2(release / name, folder / name)
    shutil.copytree(release / "pages", folder / "pages")
    (folder / "releases" / ".current").write_text(f"{version}\n")
    (folder / "releases" / ".log").write_text(
        f"2026-11-01T09:30:15Z|bob|deploy|{version}|failed x\n2026-11-24T09:30:15Z|bob|deploy|{version}|ok\n"
    )
    (folder / ".lock").write_text(f"bob|2026-11-24T09:30:15Z|{version}\n")
    return folder
