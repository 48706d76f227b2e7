"""A small Jenkins with state, for what Hudson lacks: pipelines, folders, views, plugins, crumbs, permissions.

It responds to the requests of ``seed`` as Jenkins does, and rewrites configurations like Jenkins. ``test_standin.py``
compares it with Hudson for everything that both support, and otherwise with ``SEEN``: responses of a real Jenkins.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import ssl
import threading
import zlib
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree as ET

FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
MULTIBRANCH = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
#: Root element → class and its plugin ("" for core).
KINDS = {
    "project": ("hudson.model.FreeStyleProject", ""),
    "flow-definition": ("org.jenkinsci.plugins.workflow.job.WorkflowJob", "workflow-job"),
    MULTIBRANCH: (MULTIBRANCH, "workflow-multibranch"),
    FOLDER: (FOLDER, "cloudbees-folder"),
}
PLUGINS = (
    "cloudbees-folder", "generic-webhook-trigger", "git", "pipeline-groovy-lib", "workflow-cps", "workflow-job",
    "workflow-multibranch",
)  # fmt: skip
#: Class → fields that Jenkins adds, with their values.
_JOB = {"actions": "", "keepDependencies": "false", "triggers": ""}
_ABOVE_JOBS = {"actions": "", "folderViews": "…", "healthMetrics": "…", "icon": "…"}
_FIELDS = {
    "project": {**_JOB, "concurrentBuild": "false", "publishers": "", "buildWrappers": ""},
    "flow-definition": _JOB,
    FOLDER: _ABOVE_JOBS,
    MULTIBRANCH: _ABOVE_JOBS,
    "hudson.model.ListView": {"filterExecutors": "false", "jobNames": "", "jobFilters": "", "properties": ""},
    "hudson.plugins.git.GitSCM": {"doGenerateSubmoduleConfigurations": "false", "extensions": "", "submoduleCfg": ""},
    "hudson.model.StringParameterDefinition": {"trim": "false"},
    "hudson.triggers.SCMTrigger": {"ignorePostCommitHooks": "false"},
    "hudson.tasks.LogRotator": {"removeLastBuild": "false"},
    "org.jenkinsci.plugins.gwt.GenericTrigger": {"printPostContent": "false", "causeString": "", "token": ""},
}

#: The Jenkins whose responses are in ``SEEN``.
SEEN_ON = (
    "Jenkins 2.579, and Jenkins 2.541.3 on 2026-11-27, with the plugins of August 2026: "
    "cloudbees-folder 1105, workflow-multibranch 835, branch-api 1284, git 5579, matrix-auth 490"
)


@dataclass(frozen=True)
class Seen:
    """One response of the real Jenkins: ``statuses`` are the possible ones, ``location`` and ``text`` are patterns.

    ``location`` is where the answer leads, as a path below Jenkins' root. ``crumb`` and ``token`` are what was sent.
    """

    what: str
    path: str
    data: dict[str, str] | str
    statuses: tuple[int, ...]
    location: str = ""
    text: str = ""
    method: str = "POST"
    crumb: bool = True
    token: str = "right"
    changes: bool = False


#: ``web`` and ``other`` are jobs, ``team`` is a folder with another ``web``, ``shut`` one where this account may not
#: create; ``old`` and ``new`` are multibranch jobs without and with a list of properties in their strategy.
SEEN = (
    Seen("a move, the name is taken there", "job/web/move/move", {"destination": "/team"}, (302,), "job/web/move/"),
    Seen("a move to no folder", "job/web/move/move", {"destination": "/nowhere"}, (302,), "job/web/move/"),
    Seen("a move to a job", "job/web/move/move", {"destination": "/other"}, (302,), "job/web/move/"),
    Seen("a move without the right there", "job/web/move/move", {"destination": "/shut"}, (302,), "job/web/move/"),
    Seen("a move that is done", "job/other/move/move", {"destination": "/team"}, (302,), "job/team/job/other/", changes=True),
    Seen("a creation from broken XML", "createItem?name=x", "<project><description>", (400, 404, 500)),
    Seen("a creation of an unknown kind", "createItem?name=x", "<no.such.Kind/>", (400, 404, 500)),
    Seen("a creation of a taken name", "createItem?name=web", "<project/>", (400,)),
    Seen("a creation without the right there", "job/shut/createItem?name=x", "<project/>", (403,)),
    Seen("a rename to a taken name", "job/web/confirmRename", {"newName": "other"}, (400,)),
    Seen("a rename", "job/web/confirmRename", {"newName": "x"}, (302,), "job/x", changes=True),
    Seen("a rename to the present name", "job/web/confirmRename", {"newName": "web"}, (400,)),
    Seen("a rename in a folder that changes only case", "job/team/job/web/confirmRename", {"newName": "WEB"}, (302,),
         "job/team/job/WEB", changes=True),
    Seen("a creation in a folder of a name in another case", "job/team/createItem?name=WEB", "<project/>", (200,), changes=True),
    Seen("a reading in a folder by another case", "job/team/job/WEB/config.xml", "", (404,), method="GET"),
    Seen("a reading at the top by another case", "job/TEAM/job/web/config.xml", "", (200,), method="GET"),
    Seen("a disabling", "job/web/disable", {}, (302,), changes=True),
    Seen("a deletion", "job/web/doDelete", {}, (302,), changes=True),
    Seen("a write without a crumb", "job/web/disable", {}, (403,), crumb=False),
    Seen("a write without a login", "job/web/disable", {}, (403,), token=""),
    Seen("a write with a wrong token", "job/web/disable", {}, (401,), token="wrong"),
    Seen("a scan, no properties in the strategy", "job/old/indexing/consoleText", "", (200,),
         text=r"java\.lang\.NullPointerException[\s\S]*getPropertiesFor", method="GET"),
    Seen("a scan", "job/new/indexing/consoleText", "", (200,), text="Finished: SUCCESS", method="GET"),
)  # fmt: skip


@dataclass
class Entry:
    """An item: its configuration as Jenkins keeps it, and how many builds it has, to see history kept."""

    root: str
    config: str
    builds: int = 0


@dataclass
class Refusal(Exception):  # noqa: N818
    status: int
    reason: str = ""


@dataclass
class Redirect:
    """An answer that leads to ``path`` below Jenkins' root; "" is the page that was asked from."""

    path: str = ""


@dataclass
class State:
    """What the stand-in is. ``old`` makes it a Hudson: no plugins, no crumbs, renames of the old kind.

    ``shut`` are folders where the account may not create, ``denied`` is a pattern of paths that it may not use.
    """

    old: bool = False
    plugins: tuple[str, ...] | None = PLUGINS
    user: str = ""
    token: str = ""
    scripts: bool = True
    prefix: str = ""
    shut: tuple[str, ...] = ()
    denied: str = ""
    items: dict[str, Entry] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    crumb: str = field(default_factory=lambda: secrets.token_hex(8))
    lock: threading.RLock = field(default_factory=threading.RLock)


class Standin:
    """Serves a ``State`` on loopback until ``close``; by TLS where ``certificate`` names a file with one and its key."""

    def __init__(self, certificate: Path | None = None, **state: Any) -> None:
        self.state = State(**state)
        handler = type("Handler", (_Handler,), {"state": self.state})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http{'s' if certificate else ''}://{self.address}{self.state.prefix}"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def writes(self) -> list[str]:
        """The requests with changes."""
        reads = ("/scriptText",)
        return [one for one in self.state.asked if one.startswith("POST") and not one.endswith(reads)]


class _Handler(BaseHTTPRequestHandler):
    state: State
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if "form" in self.headers.get("Content-Type", ""):
            query.update({key: values[0] for key, values in parse_qs(body.decode()).items()})
        leads = self.path.rpartition("/")[0] + "/"
        with self.state.lock:
            self.state.asked.append(f"{method} {unquote(parts.path)}")
            try:
                self._authorise(method)
                if not parts.path.startswith(self.state.prefix + "/"):
                    raise Refusal(404)
                path = unquote(parts.path[len(self.state.prefix) + 1 :])
                if self.state.denied and re.fullmatch(self.state.denied, path):
                    raise Refusal(403, f"{self.state.user} is missing a permission")
                status, kind, text = respond(self.state, method, path, query, body.decode("utf-8", "replace"))
                if status == 302 and text:
                    leads, text = f"{self.state.prefix}/{text}", ""
            except Refusal as refusal:
                status, kind, text = (
                    refusal.status,
                    "text/html",
                    f"<html>Error {refusal.status} {refusal.reason}</html>",
                )
        payload = text.encode()
        self.send_response(status)
        if not self.state.old:
            self.send_header("X-Jenkins", "2.541.1")
        if status == 302:
            self.send_header("Location", leads)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _authorise(self, method: str) -> None:
        state = self.state
        if state.user:
            login = base64.b64encode(f"{state.user}:{state.token}".encode()).decode()
            given = self.headers.get("Authorization")
            if given is None:
                raise Refusal(403, "anonymous is missing the Overall/Read permission")
            if given != f"Basic {login}":
                raise Refusal(401)
        if method == "POST" and not state.old and self.headers.get("Jenkins-Crumb") != state.crumb:
            raise Refusal(403, "No valid crumb was included in the request")


def respond(state: State, method: str, path: str, query: dict[str, str], body: str) -> tuple[int, str, str]:
    """Return status, content type and text of one response."""
    for pattern, asked, function in _ROUTES:
        found = re.fullmatch(pattern, path)
        if found and method == asked:
            groups = {key: _name(value or "") for key, value in found.groupdict().items()}
            answer = function(state, query, body, **groups)
            if isinstance(answer, Redirect):
                return 302, "text/html", answer.path
            if isinstance(answer, int):
                return answer, "text/html", ""
            return 200, "application/json" if isinstance(answer, dict) else "application/xml", _text(answer)
    raise Refusal(404)


def _text(answer: Any) -> str:
    return json.dumps(answer) if isinstance(answer, dict) else str(answer)


def _name(path: str) -> str:
    """``job/team/job/a/`` → ``team/a``."""
    return re.sub(r"(^|/)(job|view)/", r"\1", path).strip("/")


def _listing(state: State, query: dict[str, str], _body: str, name: str = "") -> dict[str, Any]:
    def below(folder: str) -> list[dict[str, Any]]:
        found = []
        for name, entry in sorted(state.items.items()):
            above, _slash, short = name.rpartition("/")
            if above == folder:
                one: dict[str, Any] = {
                    "name": short,
                    "description": ET.fromstring(_bare(entry.config)).findtext("description"),
                }
                if not state.old:
                    one["_class"] = KINDS[entry.root][0]
                if entry.root == FOLDER:
                    one["jobs"] = below(name)
                found.append(one)
        return found

    if name:
        _item(state, name)
    return {"mode": "NORMAL", **({"jobs": below(name)} if "jobs" in query.get("tree", "jobs") else {})}


def _crumb(state: State, _query: dict[str, str], _body: str) -> dict[str, Any]:
    if state.old:
        raise Refusal(404)
    return {"crumb": state.crumb, "crumbRequestField": "Jenkins-Crumb"}


def _plugins(state: State, _query: dict[str, str], _body: str) -> dict[str, Any]:
    if state.old:
        raise Refusal(404)
    if state.plugins is None:
        raise Refusal(403)
    return {"plugins": [{"shortName": name, "version": "1.0", "active": True} for name in state.plugins]}


def _script(state: State, query: dict[str, str], _body: str) -> str:
    """Executes the one script that seed sends."""
    if not state.scripts:
        raise Refusal(403)
    found = re.search(r"contains\('(.*?)'\)", query["script"])
    mark = found[1] if found else "?"
    fields = []
    for name, entry in state.items.items():
        fields += [name, KINDS[entry.root][0], entry.config if mark in entry.config else ""]
    return base64.b64encode(zlib.compress("".join(f"{field}\0" for field in fields).encode())).decode()


def _create(state: State, query: dict[str, str], body: str, folder: str = "") -> int:
    name = f"{folder}/{query['name']}".lstrip("/")
    if folder and _named(state, folder) is None:
        raise Refusal(404)
    if folder in state.shut:
        raise Refusal(403, f"{state.user} is missing the Job/Create permission")
    if _named(state, name) is not None:
        raise Refusal(400, f"A job already exists with the name {name}")
    state.items[name] = Entry(*_kept(state, body))
    return 200


def _kept(state: State, body: str) -> tuple[str, str]:
    """Return root element and configuration as Jenkins keeps them; refuses what its plugins do not know."""
    try:
        root = ET.fromstring(_bare(body))
    except ET.ParseError as error:
        raise Refusal(500, str(error)) from error
    known = KINDS.get(root.tag)
    if known is None or (known[1] and known[1] not in (state.plugins or PLUGINS)) or (state.old and known[1]):
        raise Refusal(500, f"CannotResolveClassException: {root.tag}")
    return root.tag, rewrite(root, state.old)


def _bare(text: str) -> str:
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)


def rewrite(root: ET.Element, old: bool = False) -> str:
    """Write a configuration as Jenkins would: its header, plugin versions, elements for every field, its own order."""
    for element in root.iter():
        if re.search(r"(workflow|git|gwt|folder)\.", element.get("class") or element.tag) and not old:
            element.set("plugin", "some-plugin@1.2.3")
        for tag, value in _FIELDS.get(element.get("class") or element.tag, {}).items():
            if element.find(tag) is None:
                ET.SubElement(element, tag).text = value
    root[:] = sorted(root, key=lambda child: child.tag)
    version = "1.0" if old else "1.1"
    return f"<?xml version='{version}' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode")


def _named(state: State, name: str) -> str | None:
    """Return the full name of the item that Jenkins finds by ``name``."""
    return next((one for one in state.items if _folded(one) == _folded(name)), None)


def _folded(name: str) -> str:
    """Jenkins distinguishes case in folders, but not at its top level."""
    top, slash, below = name.partition("/")
    return top.casefold() + slash + below


def _item(state: State, name: str) -> Entry:
    found = _named(state, name)
    if found is None:
        raise Refusal(404)
    return state.items[found]


def _read(state: State, _query: dict[str, str], _body: str, name: str) -> str:
    return _item(state, name).config


def _write(state: State, _query: dict[str, str], body: str, name: str) -> int:
    entry = _item(state, name)
    root, config = _kept(state, body)
    if root != entry.root:
        raise Refusal(500, f"Expecting {KINDS[entry.root][0]} but got {KINDS[root][0]}")
    entry.config = config
    return 200


def _able(state: State, name: str, disabled: bool) -> Redirect:
    entry = _item(state, name)
    root = ET.fromstring(_bare(entry.config))
    for old in root.findall("disabled"):
        root.remove(old)
    ET.SubElement(root, "disabled").text = str(disabled).lower()
    entry.config = rewrite(root, state.old)
    return Redirect()


def _disable(state: State, _query: dict[str, str], _body: str, name: str) -> Redirect:
    return _able(state, name, True)


def _enable(state: State, _query: dict[str, str], _body: str, name: str) -> Redirect:
    return _able(state, name, False)


def _delete(state: State, _query: dict[str, str], _body: str, name: str) -> Redirect:
    _item(state, name)
    gone = _folded(name)
    for one in [one for one in state.items if f"{_folded(one)}/".startswith(f"{gone}/")]:
        del state.items[one]
    return Redirect(_address(name.rpartition("/")[0]))


def _rename(state: State, query: dict[str, str], _body: str, name: str) -> Redirect:
    _item(state, name)
    above, _slash, _old = name.rpartition("/")
    target = f"{above}/{query['newName']}".lstrip("/")
    if _named(state, target) is not None:
        raise Refusal(500 if state.old else 400, f"The name {target} is already in use")
    return Redirect(_relocate(state, name, target).path.rstrip("/"))


def _confirm_rename(state: State, query: dict[str, str], body: str, name: str) -> Redirect:
    if state.old:
        raise Refusal(404)
    return _rename(state, query, body, name)


def _move(state: State, query: dict[str, str], _body: str, name: str) -> Redirect:
    """Move, or lead back to the page of the move where the folder is none of the destinations that it offers."""
    _item(state, name)
    folder = query["destination"].strip("/")
    target = f"{folder}/{name.rpartition('/')[2]}".lstrip("/")
    there = not folder or (folder in state.items and state.items[folder].root == FOLDER)
    if not there or folder in state.shut or _named(state, target) is not None:
        return Redirect(f"{_address(name)}move/")
    return _relocate(state, name, target)


def _relocate(state: State, name: str, target: str) -> Redirect:
    for one in [one for one in state.items if one == name or one.startswith(name + "/")]:
        state.items[target + one[len(name) :]] = state.items.pop(one)
    return Redirect(_address(target))


def _address(name: str) -> str:
    """``team/a`` → ``job/team/job/a/``."""
    return "".join(f"job/{quote(part)}/" for part in name.split("/") if part)


def _scan(state: State, _query: dict[str, str], _body: str, name: str) -> str:
    """Return the log of a scan for branches that begins and ends now."""
    strategy = ET.fromstring(_bare(_item(state, name).config)).find(".//jenkins.branch.BranchSource/strategy")
    if strategy is None or strategy.find("properties") is None:
        where = "jenkins.branch.DefaultBranchPropertyStrategy.getPropertiesFor(DefaultBranchPropertyStrategy.java:65)"
        return f"FATAL: Failed to recompute children of {name}\njava.lang.NullPointerException\n\tat {where}\n"
    return "Checking branches...\nFinished: SUCCESS\n"


def _view(state: State, _query: dict[str, str], _body: str, name: str) -> str:
    if name not in state.views:
        raise Refusal(404)
    return state.views[name]


def _write_view(state: State, _query: dict[str, str], body: str, name: str) -> int:
    _view(state, {}, "", name)
    return _keep_view(state, name, body)


def _keep_view(state: State, name: str, body: str) -> int:
    root = ET.fromstring(_bare(body))
    ET.SubElement(root, "name").text = name.rpartition("/")[2]
    state.views[name] = rewrite(root)
    return 200


def _create_view(state: State, query: dict[str, str], body: str, folder: str = "") -> int:
    name = f"{folder}/{query['name']}".lstrip("/")
    if name in state.views:
        raise Refusal(400)
    if folder in state.shut:
        raise Refusal(403)
    return _keep_view(state, name, body)


def _delete_view(state: State, _query: dict[str, str], _body: str, name: str) -> Redirect:
    _view(state, {}, "", name)
    del state.views[name]
    return Redirect()


_ITEM = r"(?P<name>job/[^/]+(?:/job/[^/]+)*)"
_VIEW = r"(?P<name>(?:job/[^/]+/)*view/[^/]+)"
_ABOVE = r"(?P<folder>(?:job/[^/]+/)*)"
_ROUTES: tuple[tuple[str, str, Any], ...] = (
    ("api/json", "GET", _listing),
    ("crumbIssuer/api/json", "GET", _crumb),
    ("pluginManager/api/json", "GET", _plugins),
    ("scriptText", "POST", _script),
    (_ABOVE + "createItem", "POST", _create),
    (_ITEM + "/api/json", "GET", _listing),
    (_ITEM + r"/config\.xml", "GET", _read),
    (_ITEM + r"/config\.xml", "POST", _write),
    (_ITEM + "/disable", "POST", _disable),
    (_ITEM + "/enable", "POST", _enable),
    (_ITEM + "/doDelete", "POST", _delete),
    (_ITEM + "/confirmRename", "POST", _confirm_rename),
    (_ITEM + "/doRename", "POST", _rename),
    (_ITEM + "/move/move", "POST", _move),
    (_ITEM + "/indexing/consoleText", "GET", _scan),
    (_ABOVE + "createView", "POST", _create_view),
    (_VIEW + r"/config\.xml", "GET", _view),
    (_VIEW + r"/config\.xml", "POST", _write_view),
    (_VIEW + "/doDelete", "POST", _delete_view),
)
