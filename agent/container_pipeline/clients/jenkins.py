"""A Jenkins controller over HTTP, through python-jenkins: items, their configuration, views, plugins.

Reads and writes are retried where Jenkins is only busy (429, 5xx, a cut connection), at most ``ATTEMPTS`` times.
A write that may have arrived before it failed is done in a way that can be done twice.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import re
import threading
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import jenkins
import requests

from container_pipeline.errors import JenkinsError
from container_pipeline.i18n import _
from container_pipeline.model import JenkinsAccess

ATTEMPTS = 4
#: Seconds that one answer may take; Jenkins can be slow while it saves or starts.
TIMEOUT = 60
#: Seconds that Retry-After is honoured for at most.
LONGEST_WAIT = 30.0
#: Requests at a time: what a controller bears beside its own work.
AT_ONCE = 8
#: Folders within folders that are looked into where the account may not run scripts.
DEPTH = 6
_FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"

#: Tells, in one request, what is there, and the configuration of what bears the mark. Reads only. Hudson knows it too.
_SCRIPT = """
def out = new StringBuilder()
def walk
walk = { group ->
  for (item in group.items) {
    def text = item.configFile.asString()
    def shown = text.contains('%(mark)s') ? text.getBytes('UTF-8').encodeBase64().toString() : '-'
    out << 'item ' << item.fullName.getBytes('UTF-8').encodeBase64() << ' ' << item.class.name << ' ' << shown << '\\n'
    if (item.class.name == '%(folder)s') { walk(item) }
  }
}
walk(hudson.model.Hudson.instance)
print(out)
"""


@dataclass(frozen=True)
class Found:
    """An item that Jenkins has; ``config`` is "" where it was not read."""

    name: str
    folder: bool
    config: str = ""


class RefusedError(JenkinsError):
    """Jenkins answered with an error; ``status`` is that of HTTP, 0 where there was no answer."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class Controller:
    """One Jenkins controller. Safe to use from several threads: each has its own connection and crumb."""

    def __init__(self, access: JenkinsAccess) -> None:
        self.access = access
        self._local = threading.local()

    def version(self) -> str:
        """Return Jenkins' version; "" where it does not tell, as Hudson. Raises JenkinsError where it is not reached."""
        return str(self._send("GET", "api/json?tree=mode").headers.get("X-Jenkins", ""))

    def plugins(self) -> dict[str, str] | None:
        """Return active plugins → version; None where the account may not list them; none on Hudson."""
        try:
            answer = self._json("pluginManager/api/json?tree=plugins[shortName,version,active,enabled]")
        except RefusedError as error:
            if error.status == 403:
                return None
            if error.status == 404:
                return {}
            raise
        return {one["shortName"]: one.get("version", "") for one in answer["plugins"] if one.get("active", True)}

    def items(self, mark: str, names: Collection[str] = ()) -> list[Found]:
        """Return all items, with the configuration of those that bear ``mark`` in it, and of ``names``.

        One request where the account may run scripts; else one for each such item, some at a time.
        """
        try:
            found = self._items_by_script(mark)
        except RefusedError as error:
            if error.status not in (403, 404):
                raise
            found = self._items_by_listing(mark)
        unread = [one.name for one in found if not one.config and not one.folder and one.name in set(names)]
        read = dict(zip(unread, self.each(self.config, unread)))
        return [Found(one.name, one.folder, read.get(one.name) or one.config) for one in found]

    def _items_by_script(self, mark: str) -> list[Found]:
        found = []
        for line in self.run_script(_SCRIPT % {"mark": mark, "folder": _FOLDER}).splitlines():
            word, *fields = line.split(" ")
            if word == "item" and len(fields) == 3:
                name, kind, config = fields
                text = "" if config == "-" else base64.b64decode(config).decode()
                found.append(Found(base64.b64decode(name).decode(), kind == _FOLDER, text))
            elif line.strip():
                raise JenkinsError(_("Jenkins' script console failed: {line}", line=line))
        return found

    def run_script(self, text: str, path: str = "scriptText") -> str:
        """Run Groovy on the controller, or by ``path`` on a node; return what it prints."""
        return str(self._send("POST", path, {"script": text}).text)

    def _items_by_listing(self, mark: str) -> list[Found]:
        tree = "jobs[name,_class,description]"
        for _level in range(DEPTH):
            tree = f"jobs[name,_class,description,{tree}]"
        found: list[Found] = []
        marked: list[str] = []

        def walk(jobs: Iterable[dict[str, Any]], above: str) -> None:
            for job in jobs:
                name = f"{above}{job['name']}"
                folder = job.get("_class") == _FOLDER
                found.append(Found(name, folder))
                if mark in (job.get("description") or ""):
                    marked.append(name)
                if folder:
                    walk(job.get("jobs", ()), f"{name}/")

        walk(self._json(f"api/json?tree={tree}").get("jobs", ()), "")
        read = dict(zip(marked, self.each(self.config, marked)))
        return [Found(one.name, one.folder, read.get(one.name) or "") for one in found]

    def each(self, function: Any, arguments: Iterable[Any]) -> list[Any]:
        """Call ``function`` for each argument, some at a time; return the answers in order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(function, arguments))

    def config(self, name: str) -> str | None:
        """Return an item's configuration, None where it is not there."""
        return self._text(f"{_item(name)}/config.xml")

    def view(self, name: str) -> str | None:
        """Return a view's configuration, None where it is not there; its full name is that of the folder beside it."""
        return self._text(f"{_view(name)}/config.xml")

    def create(self, name: str, config: str) -> None:
        above, short = _split(name)
        self._create(f"{above}createItem?name={quote(short)}", name, config)

    def create_view(self, name: str, config: str) -> None:
        above, short = _split(name)
        try:
            self._write(f"{above}createView?name={quote(short)}", config)
        except RefusedError as error:
            if error.status != 400 or self.view(name) is None:
                raise
            self.write_view(name, config)

    def _create(self, path: str, name: str, config: str) -> None:
        """Create; what is there already (an earlier attempt arrived after all) is written over."""
        try:
            self._write(path, config)
        except RefusedError as error:
            if error.status not in (400, 500) or self.config(name) is None:
                raise
            self.write(name, config)

    def write(self, name: str, config: str) -> None:
        self._write(f"{_item(name)}/config.xml", config)

    def write_view(self, name: str, config: str) -> None:
        self._write(f"{_view(name)}/config.xml", config)

    def replace(self, name: str, config: str) -> None:
        """Remove an item and make it anew: Jenkins changes everything about a job but its kind."""
        self.delete(name)
        self.create(name, config)

    def disable(self, name: str) -> None:
        self._act(f"{_item(name)}/disable")

    def delete(self, name: str) -> None:
        """Remove an item; one that is not there (any more) is right too."""
        with _gone_is_right():
            self._act(f"{_item(name)}/doDelete")

    def delete_view(self, name: str) -> None:
        with _gone_is_right():
            self._act(f"{_view(name)}/doDelete")

    def move(self, source: str, target: str) -> None:
        """Bring an item, with its builds, to another folder and name; done again after half of it, it does the rest."""
        from_folder, _slash, old = source.rpartition("/")
        to_folder, _slash, new = target.rpartition("/")
        if from_folder != to_folder:
            self._act(f"{_item(source)}/move/move", {"destination": f"/{to_folder}"})
        if old != new:
            self._rename(f"{to_folder}/{old}".lstrip("/"), new)

    def _rename(self, name: str, new: str) -> None:
        """Jenkins since 2.110 renames by confirmRename; Hudson and older ones by doRename."""
        try:
            self._act(f"{_item(name)}/confirmRename", {"newName": new})
        except RefusedError as error:
            if error.status != 404:
                raise
            self._act(f"{_item(name)}/doRename", {"newName": new})

    def json(self, path: str) -> Any:
        """Return what the JSON API answers at ``path``, None where it is not there or not allowed."""
        try:
            return self._json(path)
        except RefusedError as error:
            if error.status in (401, 403, 404):
                return None
            raise

    def _json(self, path: str) -> Any:
        answer = self._send("GET", path)
        try:
            return json.loads(answer.text)
        except ValueError as error:
            raise RefusedError(
                _(
                    "{url} did not answer with JSON: a login page or a proxy answers in Jenkins' place",
                    url=self.access.url,
                ),
                _("check JENKINS_URL, with its path prefix"),
            ) from error

    def _text(self, path: str) -> str | None:
        try:
            answer = self._send("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        answer.encoding = "utf-8"
        return answer.text

    def _write(self, path: str, config: str) -> None:
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        answer = self._send("POST", path, config.encode(), headers)
        if answer.is_redirect:
            raise _redirected(answer)

    def _act(self, path: str, form: dict[str, str] | None = None) -> None:
        """Ask for an action; Jenkins answers it by leading to the page of what came of it."""
        self._send("POST", path, form or {})

    def _send(
        self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        url = self.access.url.rstrip("/") + "/" + path
        for attempt in range(1, ATTEMPTS + 1):
            request = requests.Request(method, url, data=data, headers=dict(headers or {}))
            try:
                answer: requests.Response = self._server().jenkins_request(request, add_crumb=method == "POST")
            except (jenkins.JenkinsException, requests.RequestException) as error:
                failed = _response(error)
                if method == "POST":  # Winstone may not have read all of it, and would take the rest for a new request
                    self._server()._session.close()
                wait = self._wait(failed, attempt)
                if wait is None:
                    raise _refused(method, self.access.url, path, failed, error) from error
                time.sleep(wait)
                continue
            if "X-Jenkins" not in answer.headers:  # Hudson's server loses requests on connections that are kept
                self._server()._session.headers["Connection"] = "close"
            if answer.is_redirect and _leads_elsewhere(method, url, answer):
                raise _redirected(answer)
            return answer
        raise AssertionError("unreachable")

    def _wait(self, failed: requests.Response | None, attempt: int) -> float | None:
        """Return the seconds to wait before the next attempt; None where there is none."""
        if attempt == ATTEMPTS:
            return None
        if failed is not None and failed.status_code == 403 and attempt == 1 and "crumb" in failed.text.lower():
            self._server().crumb = None
            return 0.0
        if failed is not None and failed.status_code != 429 and failed.status_code < 500:
            return None
        asked = failed.headers.get("Retry-After", "") if failed is not None else ""
        return min(float(asked), LONGEST_WAIT) if asked.isdigit() else 0.25 * 2**attempt

    def _server(self) -> Any:
        """Return this thread's connection. Redirects are not followed: they would lead past a proxy or prefix."""
        server = getattr(self._local, "server", None)
        if server is None:
            user, token = self.access.user, self.access.token.reveal()
            login = (user, token) if user and token else (None, None)
            server = jenkins.Jenkins(self.access.url, *login, timeout=TIMEOUT)
            server._session.get_redirect_target = lambda _answer: None
            self._local.server = server
        return server


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


def _response(error: BaseException) -> requests.Response | None:
    """python-jenkins raises its own errors while it handles that of requests, which knows the answer."""
    for one in (error, error.__context__):
        found = getattr(one, "response", None)
        if found is not None:
            response: requests.Response = found
            return response
    return None


def _leads_elsewhere(method: str, url: str, answer: requests.Response) -> bool:
    """Tell a redirect to a login page or to another address of the same thing from one that shows what was done."""
    target = urlsplit(answer.headers.get("Location", ""))
    login = "/login" in target.path or "securityRealm" in target.path
    return method == "GET" or login or target.path == urlsplit(url).path


def _redirected(answer: requests.Response) -> RefusedError:
    where = answer.headers.get("Location", "").split("?")[0]
    return RefusedError(
        _("Jenkins leads to {where} instead of answering", where=where),
        _("check JENKINS_URL (https, prefix), JENKINS_USER and JENKINS_TOKEN"),
        answer.status_code,
    )


def _refused(method: str, url: str, path: str, answer: requests.Response | None, error: Exception) -> RefusedError:
    if answer is None:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return RefusedError(
            _("Jenkins at {url} cannot be reached: {reason}", url=url, reason=reason),
            _("check JENKINS_URL, the proxy, and REQUESTS_CA_BUNDLE where its certificate is of a private CA"),
        )
    status = answer.status_code
    hints = {
        401: _("check JENKINS_USER and JENKINS_TOKEN"),
        403: _("the account lacks the permission, or no JENKINS_USER and JENKINS_TOKEN are set"),
    }
    where = f"{method} {path.split('?')[0]}"
    reason = answer.headers.get("X-Error") or _cause(answer.text) or answer.reason or ""
    message = _("Jenkins answered {status} {reason} to {where}", status=status, reason=reason, where=where)
    return RefusedError(message, hints.get(status, ""), status)


def _cause(page: str) -> str:
    """Return what an error page says went wrong: the innermost cause of its stack trace, where it shows one."""
    causes = re.findall(r"^Caused by: (?:[\w.$]+(?:Exception|Error): )?(.+)$", html.unescape(page), re.MULTILINE)
    return str(causes[-1])[:200] if causes else ""
