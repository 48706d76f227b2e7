"""A Jenkins controller: items, their configuration, views, plugins."""

from __future__ import annotations

import base64
import contextlib
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from container_pipeline.clients.jenkins_wire import LARGEST, RefusedError, Wire
from container_pipeline.outside import maps, pick
from container_pipeline.parallel import in_parallel

#: Requests at a time: what a controller bears beside its own work.
AT_ONCE = 8
#: Folders within folders that are looked into where the account may not run scripts.
DEPTH = 6
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"

#: Tells, in one request, what is there, and the configuration of what bears the mark: three fields each, ended by a NUL,
#: which no name and no XML has; compressed, because they are much alike. Reads only, and by bytes: that is what is quick.
#: The old class is there in Jenkins and Hudson; loading one by name is what newer Java forbids to Groovy.
_SCRIPT = """
def packed = new ByteArrayOutputStream()
def out = new java.util.zip.DeflaterOutputStream(packed)
def walk
walk = { group ->
  for (item in group.items) {
    def kind = item.class.name
    def config = item.configFile.file.bytes
    out.write((item.fullName + '\\0' + kind + '\\0').getBytes('UTF-8'))
    if (new String(config, 'UTF-8').contains('%(mark)s')) { out.write(config) }
    out.write(0)
    if (kind == '%(folder)s') { walk(item) }
  }
}
walk(hudson.model.Hudson.instance)
out.close()
print(packed.toByteArray().encodeBase64())
"""


@dataclass(frozen=True)
class Found:
    """An item that Jenkins has; ``config`` is "" where it was not read."""

    name: str
    folder: bool
    config: str = ""


class Controller(Wire):
    """One Jenkins controller: what it has, and what can be done with it."""

    def version(self) -> str:
        """Return Jenkins' version; "" where it does not tell, as Hudson. Raises JenkinsError where it is not reached."""
        return str(self.send("GET", "api/json?tree=mode").headers.get("X-Jenkins", ""))

    def plugins(self) -> dict[str, str] | None:
        """Return active plugins → version; None where the account may not list them; none on Hudson."""
        try:
            answer = self.get_json("pluginManager/api/json?tree=plugins[shortName,version,active,enabled]")
        except RefusedError as error:
            if error.status == 403:
                return None
            if error.status == 404:
                return {}
            raise
        active = (one for one in maps(answer, "plugins") if one.get("active", True))
        return {pick(one, "shortName", str): pick(one, "version", str) for one in active}

    def items(self, mark: str) -> list[Found]:
        """Return all items, with the configuration of those that bear ``mark`` in it.

        One request where the account may run scripts; else one for each such item, some at a time.
        """
        found = self._items_by_script(mark)
        return self._items_by_listing(mark) if found is None else found

    def with_configs(self, found: Iterable[Found], names: Collection[str]) -> list[Found]:
        """Return ``found`` with the configuration of those of ``names`` that have not been read yet."""
        unread = [one.name for one in found if not one.config and one.name in names]
        read = dict(zip(unread, in_parallel(self.config, unread, AT_ONCE)))
        return [Found(one.name, one.folder, read.get(one.name) or one.config) for one in found]

    def _items_by_script(self, mark: str) -> list[Found] | None:
        """Return None where the account may not run scripts, or this Jenkins cannot run this one."""
        try:
            answer = self.run_script(_SCRIPT % {"mark": mark, "folder": _FOLDER})
            packed = zlib.decompressobj()
            data = packed.decompress(base64.b64decode(answer, validate=True), LARGEST)
            if not packed.eof:  # cut short, or larger than that: the items are listed one by one instead
                return None
            fields = data.decode("utf-8", "replace").split("\0")
        except RefusedError as error:
            if error.status in (403, 404):
                return None
            raise
        except (ValueError, zlib.error):  # it printed what went wrong
            return None
        if len(fields) % 3 != 1:
            return None
        found = zip(fields[0::3], fields[1::3], fields[2::3])
        return [Found(name, kind == _FOLDER, config) for name, kind, config in found]

    def _items_by_listing(self, mark: str) -> list[Found]:
        tree = "jobs[name,_class,description]"
        for _level in range(DEPTH):
            tree = f"jobs[name,_class,description,{tree}]"
        found: list[Found] = []
        marked: set[str] = set()

        def walk(jobs: Iterable[dict[str, Any]], above: str) -> None:
            for job in jobs:
                name = above + pick(job, "name", str)
                folder = job.get("_class") == _FOLDER
                found.append(Found(name, folder))
                if mark in pick(job, "description", str):
                    marked.add(name)
                if folder:
                    walk(maps(job, "jobs"), f"{name}/")

        walk(maps(self.get_json(f"api/json?tree={tree}"), "jobs"), "")
        return self.with_configs(found, marked)

    def config(self, name: str) -> str | None:
        """Return an item's configuration, None where it is not there."""
        return self.get_text(f"{_item(name)}/config.xml")

    def view(self, name: str) -> str | None:
        """Return a view's configuration, None where it is not there; its full name is that of the folder beside it."""
        return self.get_text(f"{_view(name)}/config.xml")

    def children(self, folder: str) -> list[str]:
        """Return the names of what is directly in a folder; none where the folder is not there."""
        listed = self.json(f"{_item(folder)}/api/json?tree=jobs[name]") or {}
        return [one["name"] for one in listed.get("jobs", ())]

    def create(self, name: str, config: str) -> None:
        above, short = _split(name)
        self.post_xml(f"{above}createItem?name={quote(short)}", config)

    def create_view(self, name: str, config: str) -> None:
        above, short = _split(name)
        self.post_xml(f"{above}createView?name={quote(short)}", config)

    def write(self, name: str, config: str) -> None:
        self.post_xml(f"{_item(name)}/config.xml", config)

    def write_view(self, name: str, config: str) -> None:
        self.post_xml(f"{_view(name)}/config.xml", config)

    def disable(self, name: str) -> None:
        self.act(f"{_item(name)}/disable")

    def delete(self, name: str) -> None:
        """Remove an item; one that is not there (any more) is right too."""
        with _gone_is_right():
            self.act(f"{_item(name)}/doDelete")

    def delete_view(self, name: str) -> None:
        with _gone_is_right():
            self.act(f"{_view(name)}/doDelete")

    def move(self, name: str, folder: str) -> None:
        """Ask for an item to be moved to ``folder`` with its builds. Jenkins redirects whether it did so or not."""
        self.act(f"{_item(name)}/move/move", {"destination": f"/{folder}"})

    def rename(self, name: str, new: str) -> None:
        """Jenkins since 2.110 renames by confirmRename; Hudson and older ones by doRename."""
        try:
            self.act(f"{_item(name)}/confirmRename", {"newName": new})
        except RefusedError as error:
            if error.status != 404:
                raise
            self.act(f"{_item(name)}/doRename", {"newName": new})


def _split(name: str) -> tuple[str, str]:
    above, _slash, short = name.rpartition("/")
    return (f"{_item(above)}/" if above else ""), short


def _item(name: str) -> str:
    return "/".join(f"job/{quote(part)}" for part in name.split("/"))


def _view(name: str) -> str:
    above, short = _split(name)
    return f"{above}view/{quote(short)}"


@contextlib.contextmanager
def _gone_is_right() -> Any:
    try:
        yield
    except RefusedError as error:
        if error.status != 404:
            raise
