"""A Jenkinsfile with the library's steps in place of docker.sh."""

from __future__ import annotations

import re

from container_pipeline.plan.image import WORDS


def jenkinsfile(code: str, before: list[str]) -> str:
    """Return a Jenkinsfile with the one call; what ran before each build runs before it on the same node."""
    head = "@Library('container-pipeline') _\n\n"
    call = f"containerPipeline(code: '{code}')"
    if not before:
        return f"{head}{call}\n"
    commands = "".join(f"    sh {_groovy(command)}\n" for command in before)
    return f"{head}node {{\n    checkout scm\n{commands}    {call}\n}}\n"


def _groovy(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


#: docker.sh's word → the step that stands for it; "" where another step does it already.
_STEPS = {
    **dict.fromkeys(("pipeline", "pipeline-rebuild"), "containerPipeline(code: '{code}', promote: false)"),
    **{word: "containerPipeline(code: '{code}')" for word in WORDS if re.match(r"pipeline-(prod|all)", word)},
    "build": "containerBuild(code: '{code}')",
    "push": "containerPush(code: '{code}')",
    "push-prod": "containerPromote(code: '{code}')",
}


def rewrite(text: str, code: str, before: list[str]) -> str:
    """Return a Jenkinsfile with each call of docker.sh replaced by the step that does the same."""
    lines: list[str] = []
    for line in text.split("\n"):
        found = re.search(r"""^(\s*)(?:sh\s*\(?\s*(?:script:\s*)?)(["']).*?docker\.sh\s+([a-z-]+).*?\2\)?\s*$""", line)
        if not found or found[3] not in WORDS:
            lines.append(line)
            continue
        step = _STEPS.get(found[3])
        if step:
            builds = found[3] == "build" or found[3].startswith("pipeline")
            lines += [f"{found[1]}sh {_groovy(command)}" for command in before if builds]
            lines.append(found[1] + step.format(code=code))
    changed = "\n".join(lines)
    head = "" if "@Library" in text or "container-pipeline" in text else "@Library('container-pipeline') _\n\n"
    return head + changed if changed != text else text
