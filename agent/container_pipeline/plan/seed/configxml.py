"""Compares configurations by meaning: Jenkins rewrites its input, so different texts can mean the same.

Jenkins adds plugin versions, an XML 1.1 header, empty elements and the defaults of every plugin; it moves triggers and
build rotation into properties; Hudson keeps everything twice. ``canonical`` removes all that, so that the rest differs
only if the job differs.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from container_pipeline.outside import read_xml

#: Jenkins' bookkeeping, and elements that belong to others: views, health, icons of folders.
_IGNORED = {
    "actions",
    "appointedNode",
    "cascading-job-properties",
    "cascadingChildrenNames",
    "comparator",
    "creationTime",
    "folderViews",
    "gitTool",
    "healthMetrics",
    "icon",
    "owner",
    "project-properties",
}
#: Defaults that are not empty, false, 0 or -1: element → value.
_DEFAULTS = {"canRoam": "true", "configVersion": "2", "pruneDeadBranches": "true"}
#: Elements whose order matters.
_ORDERED = {"builders", "publishers", "buildWrappers", "parameterDefinitions", "columns", "branches", "choices", "a"}
_NOTHING = {"", "false", "0", "-1"}
#: Elements whose class attribute says what they are; elsewhere it is the class of a collection.
_CLASSED = {"definition", "scm", "source", "strategy", "factory", "orphanedItemStrategy"}
#: Elements with text from a person or a repository, where "0", "false" and "-1" are not defaults.
_TEXTS = {
    "assignedNode", "command", "credentialsId", "defaultValue", "description", "excludes", "id", "includeRegex",
    "includes", "name", "remote", "script", "scriptPath", "spec", "string", "tokenCredentialId", "url",
}  # fmt: skip
#: Texts that a build gets unchanged, with blanks.
_EXACT = {"defaultValue", "string"}
_PIPELINE_TRIGGERS = "org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"
_DISCARDER = "jenkins.model.BuildDiscarderProperty"


def parse(text: str) -> ET.Element:
    """Parse Jenkins' XML; raises ValueError if it is not XML.

    The parser supports only XML 1.0; references that only 1.1 allows (control characters) become U+FFFD.
    """
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    text = re.sub(r"&#(?:x0*(?:[0-8bcef]|1[0-9a-f])|0*(?:[0-8]|1[124-9]|2\d|3[01]));", "\ufffd", text, flags=re.I)
    return read_xml(text)


def description(root: ET.Element) -> str:
    return (root.findtext("description") or "").strip()


@dataclass(frozen=True)
class Reading:
    """A parsed configuration: the root's name, the unchanged description, and ``canonical`` of everything."""

    root: str
    description: str
    lines: list[str]


def read(text: str) -> Reading:
    """Parse a configuration; raises ValueError if it is not XML."""
    root = parse(text)
    return Reading(root.tag, description(root), says(root))


def canonical(text: str) -> list[str]:
    """Return the meaning of ``text`` as sorted lines ``path: value``; equal lists mean equal jobs."""
    return says(parse(text))


def says(root: ET.Element) -> list[str]:
    """Return ``canonical`` of a tree, which is consumed."""
    _resolve_references(root)
    _unfold_hudson(root)
    _hoist(root)
    root[:] = [child for child in root if _speaks(child)]
    return _lines(root, "")


def differences(has: list[str], wants: list[str]) -> list[str]:
    """Return a diff for people: ``- path: value`` for removed lines, ``+ path: value`` for added ones."""
    if has == wants:
        return []
    return [line for line in difflib.ndiff(has, wants) if line[0] in "+-"]


def _resolve_references(root: ET.Element) -> None:
    """Resolve references: XStream writes a repeated object as a relative path to its first place."""
    referring = [element for element in root.iter() if "reference" in element.attrib]
    parents = {child: parent for parent in root.iter() for child in parent} if referring else {}
    for element in referring:
        target = _follow(element, element.attrib["reference"], parents)
        if target is not None and target is not element and element not in list(target.iter()):
            element.text = target.text
            element[:] = list(target)
            element.attrib.update({key: value for key, value in target.attrib.items() if key == "class"})


def _follow(element: ET.Element, reference: str, parents: dict[ET.Element, ET.Element]) -> ET.Element | None:
    here: ET.Element | None = element if reference else None
    for part in reference.split("/"):
        if here is None:
            return None
        if part == "..":
            here = parents.get(here)
            continue
        name, _bracket, index = part.rstrip("]").partition("[")
        found = here.findall(name)
        here = found[int(index or 1) - 1] if len(found) >= int(index or 1) else None
    return here


def _unfold_hudson(root: ET.Element) -> None:
    """Normalise Hudson 2, which keeps parts of a job only in ``project-properties``, under names that vary."""
    appointed = root.find("appointedNode")
    node = None if appointed is None else appointed.findtext("nodeName")
    if node and root.find("assignedNode") is None:
        ET.SubElement(root, "assignedNode").text = node
    kept = root.find("project-properties")
    for entry in () if kept is None else kept:
        name, value = entry.findtext("string") or "", entry[-1].find("originalValue") if len(entry) else None
        if value is None or name == "parametersDefinitionProperties":
            continue
        above = root
        if name.startswith("hudson-triggers-"):
            above, name = _child(root, "triggers"), name.replace("-", ".")
        there = above.find(name)
        if there is not None and (len(there) or there.text):
            continue
        if there is not None:
            above.remove(there)
        above.append(value)
        value.tag = name


def _child(element: ET.Element, tag: str) -> ET.Element:
    found = element.find(tag)
    return ET.SubElement(element, tag) if found is None else found


def _hoist(root: ET.Element) -> None:
    """Move triggers and build rotation back to their places before they became properties."""
    properties = root.find("properties")
    if properties is None or not len(properties):
        return
    for name, inner, outer in ((_PIPELINE_TRIGGERS, "triggers", "triggers"), (_DISCARDER, "strategy", "logRotator")):
        wrapper = properties.find(name)
        if wrapper is None:
            continue
        properties.remove(wrapper)
        found = wrapper.find(inner)
        if found is not None:
            for old in root.findall(outer):
                root.remove(old)
            found.tag = outer
            root.append(found)


def _lines(element: ET.Element, path: str) -> list[str]:
    if element.tag == "choices" and len(element) == 1 and element[0].tag == "a":
        element = element[0]  # a list from a form has one level less than a list from Java
    lines = []
    if element.tag in _CLASSED and element.get("class") and element.get("class") != "hudson.scm.NullSCM":
        lines.append(f"{path}: {_short(element.get('class', ''))}")
    children = list(element)
    if element.tag.endswith(".PeriodicFolderTrigger"):  # Jenkins derives the cron line from the interval
        children = [child for child in children if child.tag != "spec"]
    if element.tag.endswith("View"):  # its address already says so
        children = [child for child in children if child.tag != "name"]
    if element.tag not in _ORDERED:
        children.sort(key=lambda child: child.tag)
    names = [child.tag for child in children]
    seen: dict[str, int] = {}
    for child in children:
        seen[child.tag] = seen.get(child.tag, 0) + 1
        number = f"[{seen[child.tag]}]" if names.count(child.tag) > 1 else ""
        lines += _lines(child, f"{path}/{_short(child.tag)}{number}".lstrip("/"))
    if not len(element) and not lines:
        text = element.get("class", "") if _is_empty_list(element) else element.text or ""
        lines += [f"{path}: {line}" for line in (text if element.tag in _EXACT else text.strip()).split("\n")]
    return lines


def _speaks(element: ET.Element) -> bool:
    """Return whether an element has meaning; remove ignored, default and entirely empty elements from it."""
    if element.tag in _IGNORED:
        return False
    if len(element):
        element[:] = [child for child in element if _speaks(child)]
        return len(element) > 0 or _named(element)
    if element.tag == "string" or _is_empty_list(element) or _named(element):
        return True
    text = element.text or ""
    if element.tag in _TEXTS:
        return bool(text if element.tag in _EXACT else text.strip())
    return not (text.strip() in _NOTHING or _DEFAULTS.get(element.tag) == text.strip())


def _is_empty_list(element: ET.Element) -> bool:
    """Keep the properties of a branch strategy: without a list, even an empty one, Jenkins fails when it scans."""
    return element.tag == "properties" and element.get("class") == "empty-list"


def _named(element: ET.Element) -> bool:
    """Return whether an element is a plugin's object, such as a trait or a column, which has meaning by its presence."""
    return "." in element.tag or (element.tag in _CLASSED and element.get("class") not in (None, "hudson.scm.NullSCM"))


def _short(name: str) -> str:
    return name.rpartition(".")[2]
