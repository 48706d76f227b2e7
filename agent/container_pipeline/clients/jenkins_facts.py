"""Reads facts around a Jenkins' jobs: shared libraries, credential ids, nodes and their programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from container_pipeline.clients.jenkins import Controller
from container_pipeline.clients.jenkins_wire import RefusedError
from container_pipeline.outside import maps, pick

_LIBRARIES = """
for (one in org.jenkinsci.plugins.workflow.libs.GlobalLibraries.get().libraries) { println('library ' + one.name) }
"""
#: Runs on the node as the user of builds. The names are constants.
_TOOLS = """
for (tool in [%s]) {
  def found = ['sh', '-c', 'command -v "$0"', tool].execute()
  found.waitFor()
  println('tool ' + tool + ' ' + (found.exitValue() == 0))
}
"""


@dataclass(frozen=True)
class Node:
    """A build node. ``tools`` is None if it is offline or the account may not see it."""

    name: str
    labels: frozenset[str]
    online: bool
    tools: frozenset[str] | None = None


def libraries(controller: Controller) -> set[str] | None:
    """Return the names of the global shared libraries; None if the account may not see them, or without the plugin."""
    lines = _script(controller, "scriptText", _LIBRARIES)
    if lines is None or not all(line.startswith("library ") for line in lines if line.strip()):
        return None
    return {line.partition(" ")[2] for line in lines if line.strip()}


def credentials(controller: Controller, folder: str) -> set[str] | None:
    """Return the ids in a folder's credential store ("": the global one); None if the account may not see them.

    A missing folder has none.
    """
    store = "/".join(f"job/{quote(part)}" for part in folder.split("/")) + "/" if folder else ""
    scope = "folder" if folder else "system"
    answer = controller.json(f"{store}credentials/store/{scope}/domain/_/api/json?tree=credentials[id]")
    if answer is None:
        return set() if folder and _is_missing(controller, f"{store}api/json?tree=name") else None
    return {pick(one, "id", str) for one in maps(answer, "credentials")}


def _is_missing(controller: Controller, path: str) -> bool:
    try:
        return controller.get_text(path) is None
    except RefusedError:
        return False


def nodes(controller: Controller, tools: Sequence[str]) -> list[Node]:
    """Return all nodes, each with those of ``tools`` that it has."""
    answer = controller.json("computer/api/json?tree=computer[displayName,offline,assignedLabels[name]]") or {}
    found = []
    for one in maps(answer, "computer"):
        name = pick(one, "displayName", str)
        labels = frozenset(pick(label, "name", str) for label in maps(one, "assignedLabels")) - {""}
        online = not one.get("offline", False)
        found.append(Node(name, labels, online, _tools(controller, name, tools) if online else None))
    return found


def _tools(controller: Controller, node: str, tools: Sequence[str]) -> frozenset[str] | None:
    own = {"master": "(master)", "Built-In Node": "(built-in)"}
    script = _TOOLS % ", ".join(f"'{tool}'" for tool in tools)
    lines = _script(controller, f"computer/{quote(own.get(node, node))}/scriptText", script)
    if not lines:
        return None
    return frozenset(line.split(" ")[1] for line in lines if line.startswith("tool ") and line.endswith(" true"))


def _script(controller: Controller, path: str, text: str) -> list[str] | None:
    try:
        return controller.run_script(text, path).splitlines()
    except RefusedError as error:
        if error.status in (403, 404):
            return None
        raise
