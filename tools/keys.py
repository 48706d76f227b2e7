"""Write the files that the library takes from the agent's sources into ``resources/container-pipeline``.

``keys.json`` holds the keys against which the library's steps check a Jenkinsfile's map, and the credentials that they bind. ``seed.groovy`` is the agent's Job DSL script,
which a pipeline reads by ``libraryResource``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "resources" / "container-pipeline"
TARGET = RESOURCES / "keys.json"
JOB_DSL = ROOT / "agent" / "container_pipeline" / "jobdsl" / "seed.groovy"
CARRIED_JOB_DSL = RESOURCES / "seed.groovy"


def text() -> str:
    """Return the content of ``keys.json``, made from the agent's list of keys."""
    sys.path.insert(0, str(ROOT / "agent"))
    from container_pipeline.plan.jenkinsfile import library_facts

    steps = []
    for part, keys in library_facts().items():
        rows = [f"    {json.dumps(name)}: {json.dumps(key, ensure_ascii=False)}" for name, key in sorted(keys.items())]
        steps.append(f"  {json.dumps(part)}: {{\n" + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(steps) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    CARRIED_JOB_DSL.write_bytes(JOB_DSL.read_bytes())
