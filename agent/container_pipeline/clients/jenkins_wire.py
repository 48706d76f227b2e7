"""Requests to a Jenkins controller with python-jenkins: login, crumbs, retries, one-sentence errors.

Reads and writes are retried if Jenkins is only busy (429, 5xx, a cut connection), at most ``ATTEMPTS`` times.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import jenkins
import requests

from container_pipeline.clients import answers
from container_pipeline.errors import JenkinsError
from container_pipeline.i18n import _
from container_pipeline.model import JenkinsAccess
from container_pipeline.outside import read_json, seconds, short

ATTEMPTS = 4
#: Seconds without a byte of a response; Jenkins can be slow while it saves or starts.
TIMEOUT = 60
#: Bounds of one response: bytes, and seconds in all.
LARGEST = 24 << 20
WHOLE = 300
#: Longest Retry-After that is honoured, in seconds.
LONGEST_WAIT = 30.0


class RefusedError(JenkinsError):
    """Jenkins returned an error; ``status`` is the HTTP status, 0 without a response."""

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.status = status


class Wire:
    """Sends requests to one controller. Thread-safe: each request has its own connection and crumb."""

    def __init__(self, access: JenkinsAccess) -> None:
        self.access = access
        self._idle: list[Any] = []

    def run_script(self, text: str, path: str = "scriptText") -> str:
        """Run Groovy on the controller, or with ``path`` on a node; return its output."""
        return str(self.send("POST", path, {"script": text}).text)

    def json(self, path: str) -> Any:
        """Return the JSON API's response at ``path``, None if it is missing or not allowed."""
        try:
            return self.get_json(path)
        except RefusedError as error:
            if error.status in (401, 403, 404):
                return None
            raise

    def get_json(self, path: str) -> Any:
        answer = self.send("GET", path)
        try:
            return read_json(answer.content, dict, LARGEST)
        except ValueError as error:
            raise RefusedError(
                _(
                    "{url} did not return JSON: a login page or a proxy responds instead of Jenkins",
                    url=self.access.url,
                ),
                _("check JENKINS_URL, with its path prefix"),
            ) from error

    def get_text(self, path: str) -> str | None:
        try:
            answer = self.send("GET", path)
        except RefusedError as error:
            if error.status == 404:
                return None
            raise
        answer.encoding = "utf-8"
        return answer.text

    def post_xml(self, path: str, config: str) -> None:
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        answer = self.send("POST", path, config.encode(), headers)
        if answer.is_redirect:
            raise _redirected(answer)

    def act(self, path: str, form: dict[str, str] | None = None) -> None:
        """Request an action; Jenkins responds with a redirect to the resulting page."""
        self.send("POST", path, form or {})

    def send(
        self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None
    ) -> requests.Response:
        with self._connection() as server:
            return self._try(server, method, path, data, headers)

    def _try(self, server: Any, method: str, path: str, data: Any, headers: dict[str, str] | None) -> requests.Response:
        url = self.access.url.rstrip("/") + "/" + path
        for attempt in range(1, ATTEMPTS + 1):
            request = requests.Request(method, url, data=data, headers=dict(headers or {}))
            try:
                answer: requests.Response = server.jenkins_request(request, add_crumb=method == "POST")
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                # The crumb is missing or invalid in a header; it is not shown.
                raise RefusedError(
                    _("the response of Jenkins at {url} cannot be read", url=self.access.url),
                    _("check JENKINS_URL, with its path prefix"),
                ) from error
            except (jenkins.JenkinsException, requests.RequestException) as error:
                failed = _response(error)
                if method == "POST":  # Winstone may not have read all of it, and would read the rest as a new request
                    server._session.close()
                if failed is not None and failed.status_code == 403 and "crumb" in failed.text.lower():
                    server.crumb = None
                wait = None if isinstance(error, answers.UnboundedError) else _wait(failed, attempt)
                if wait is None:
                    raise _refused(method, self.access.url, path, failed, error) from error
                time.sleep(wait)
                continue
            if answer.is_redirect and _leads_elsewhere(method, url, answer):
                raise _redirected(answer)
            return answer
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Any]:
        """Return a connection for this thread alone. Redirects are not followed, because they bypass proxy and prefix."""
        try:
            server = self._idle.pop()
        except IndexError:
            user, token = self.access.user, self.access.token.reveal()
            login = (user, token) if user and token else (None, None)
            server = jenkins.Jenkins(self.access.url, *login, timeout=TIMEOUT)
            server._session.get_redirect_target = lambda _answer: None
            server._session.headers["Accept-Encoding"] = "identity"
            for scheme in ("http://", "https://"):
                server._session.mount(scheme, answers.Adapter(WHOLE))
            server._session.hooks["response"].append(_read_bounded)
        try:
            yield server
        finally:
            self._idle.append(server)


def _read_bounded(answer: requests.Response, *_given: Any, **_named: Any) -> None:
    answers.read(answer, LARGEST, WHOLE)


def _wait(failed: requests.Response | None, attempt: int) -> float | None:
    """Return the seconds to wait before the next attempt; None if there is none."""
    if attempt == ATTEMPTS:
        return None
    if failed is not None and failed.status_code == 403 and attempt == 1 and "crumb" in failed.text.lower():
        return 0.0
    if failed is not None and failed.status_code != 429 and failed.status_code < 500:
        return None
    asked = seconds(failed.headers.get("Retry-After", "")) if failed is not None else None
    return 0.25 * 2**attempt if asked is None else min(asked, LONGEST_WAIT)


def _response(error: BaseException) -> requests.Response | None:
    """Return the response from the exception of requests that python-jenkins was handling."""
    for one in (error, error.__context__):
        found = getattr(one, "response", None)
        if found is not None:
            response: requests.Response = found
            return response
    return None


def _leads_elsewhere(method: str, url: str, answer: requests.Response) -> bool:
    """Return whether a redirect shows the result of an action, and not a login page or another address of Jenkins."""
    try:
        target = urlsplit(answer.headers.get("Location", ""))
    except ValueError:
        return True
    login = "/login" in target.path or "securityRealm" in target.path
    return method == "GET" or login or target.path == urlsplit(url).path


def _redirected(answer: requests.Response) -> RefusedError:
    where = short(answer.headers.get("Location", "").split("?")[0])
    return RefusedError(
        _("Jenkins redirects to {where} instead of responding", where=where),
        _("check JENKINS_URL (https, prefix), JENKINS_USER and JENKINS_TOKEN"),
        answer.status_code,
    )


def _refused(method: str, url: str, path: str, answer: requests.Response | None, error: Exception) -> RefusedError:
    if answer is None:
        # requests wraps the operating system's words in its own.
        said = re.search(r"\[Errno -?\d+\] ([\w ]+)", str(error))
        reason = short(said[1] if said else str(error) or type(error).__name__)
        return RefusedError(
            _("Jenkins at {url} cannot be reached: {reason}", url=url, reason=reason),
            _("check JENKINS_URL, the proxy and, if a private CA signed its certificate, REQUESTS_CA_BUNDLE"),
        )
    status = answer.status_code
    hints = {
        401: _("check JENKINS_USER and JENKINS_TOKEN"),
        403: _("the account lacks the permission, or no JENKINS_USER and JENKINS_TOKEN are set"),
    }
    where = f"{method} {path.split('?')[0]}"
    reason = short(answer.headers.get("X-Error") or _cause(answer.text) or answer.reason or "")
    message = _("Jenkins returned {status} {reason} for {where}", status=status, reason=reason, where=where)
    return RefusedError(message, hints.get(status, ""), status)


def _cause(page: str) -> str:
    """Return the error on an error page: the innermost cause of its stack trace, if it has one."""
    import html

    causes = re.findall(
        r"^Caused by: (?:[\w.$]+(?:Exception|Error): )?(.+)$", html.unescape(page[:200_000]), re.MULTILINE
    )
    return str(causes[-1])[:200] if causes else ""
