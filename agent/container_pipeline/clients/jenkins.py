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

#: Parallel requests; a controller has other work too.
AT_ONCE = 8
#: Depth of nested folders that are listed if the account may not run scripts.
DEPTH = 6
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"

#: Lists, in one request, all items and the configuration of those with the mark: three fields each, ended by a NUL, which
#: names and XML cannot contain; compressed, because they are much alike. It only reads, and reads bytes, which is fast.
#: The old class exists in Jenkins and Hudson; newer Java forbids Groovy to load one by name.
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
    """An item in Jenkins; ``config`` is "" if it was not read."""

    name: str
    folder: bool
    config: str = ""


class Controller(Wire):
    """One Jenkins controller: its items, and the changes to them."""

    def version(self) -> str:
        """Return Jenkins' version, "" if it does not send one, like Hudson. Raises JenkinsError if it is unreachable."""
        return str(self.send("GET", "api/json?tree=mode").headers.get("X-Jenkins", ""))

    def plugins(self) -> dict[str, str] | None:
        """Return active plugin → version; None if the account may not list them; empty on Hudson."""
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
        """Return all items, with the configuration of those that contain ``mark``.

        It takes one request if the account may run scripts; else one for each such item, some in parallel.
        """
        found = self._items_by_script(mark)
        return self._items_by_listing(mark) if found is None else found

    def with_configs(self, found: Iterable[Found], names: Collection[str]) -> list[Found]:
        """Return ``found``, and read the configuration of the items in ``names`` that lack it."""
        unread = [one.name for one in found if not one.config and one.name in names]
        read = dict(zip(unread, in_parallel(self.config, unread, AT_ONCE)))
        return [Found(one.name, one.folder, read.get(one.name) or one.config) for one in found]

    def _items_by_script(self, mark: str) -> list[Found] | None:
        """Return None if the account may not run scripts, or this Jenkins cannot run this one."""
        try:
            answer = self.run_script(_SCRIPT % {"mark": mark, "folder": _FOLDER})
            packed = zlib.decompressobj()
            data = packed.decompress(base64.b64decode(answer, validate=True), LARGEST)
            if not packed.eof:  # cut off or too large: list the items one by one instead
                return None
            fields = data.decode("utf-8", "replace").split("\0")
        except RefusedError as error:
            if error.status in (403, 404):
                return None
            raise
        except (ValueError, zlib.error):  # the output is an error message
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
        """Return an item's configuration, None if it does not exist."""
        return self.get_text(f"{_item(name)}/config.xml")

    def view(self, name: str) -> str | None:
        """Return a view's configuration, None if it does not exist; its full name is that of the folder beside it."""
        return self.get_text(f"{_view(name)}/config.xml")

    def children(self, folder: str) -> list[str]:
        """Return the names of the items directly in a folder; none if the folder does not exist."""
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
        """Remove an item; a missing one is fine too."""
        with _gone_is_right():
            self.act(f"{_item(name)}/doDelete")

    def delete_view(self, name: str) -> None:
        with _gone_is_right():
            self.act(f"{_view(name)}/doDelete")

    def move(self, name: str, folder: str) -> None:
        """Request to move an item to ``folder`` with its builds. Jenkins redirects whether it moved the item or not."""
        self.act(f"{_item(name)}/move/move", {"destination": f"/{folder}"})

    def rename(self, name: str, new: str) -> None:
        """Rename an item: by confirmRename since Jenkins 2.110, by doRename on older ones and Hudson."""
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
