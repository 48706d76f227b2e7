"""Notifies a chat's webhook. Its address contains a token, so it is a secret and never shown."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from container_pipeline.errors import PipelineError
from container_pipeline.i18n import _
from container_pipeline.model import Secret
from container_pipeline.outside import read_json, short

#: Host → message format.
HOSTS = {
    "oapi.dingtalk.com": "dingtalk",
    "qyapi.weixin.qq.com": "wecom",
    "open.feishu.cn": "feishu",
    "open.larksuite.com": "feishu",
    "hooks.slack.com": "slack",
}
FORMATS = ("dingtalk", "wecom", "feishu", "slack")
TIMEOUT = 10.0
#: Longest response in bytes; each format's is shorter than a kilobyte.
_LARGEST = 1 << 16


def payload(kind: str, text: str) -> dict[str, Any]:
    """Return the request body with a plain text for the webhook format ``kind``."""
    if kind in ("dingtalk", "wecom"):
        return {"msgtype": "text", "text": {"content": text}}
    if kind == "feishu":
        return {"msg_type": "text", "content": {"text": text}}
    return {"text": text}


def format_of(address: str) -> str:
    """Return the format for the address's host; Slack's, which many others accept, for an unknown host."""
    return HOSTS.get(urlsplit(address).hostname or "", "slack")


def send(address: Secret, text: str, kind: str = "") -> None:
    """Send one message; raises PipelineError, without the address, if it did not arrive."""
    import requests

    from container_pipeline.clients import answers

    url = address.reveal().strip()
    try:
        parts = urlsplit(url)
        host = short(parts.hostname or "") if parts.scheme in ("https", "http") and parts.port != 0 else ""
    except ValueError:
        host = ""
    if not host:
        raise PipelineError(_("the webhook's address is not an http address")) from None
    try:
        # A redirect would send the token to somebody else.
        with requests.Session() as session:
            session.mount(f"{parts.scheme}://", answers.Adapter(TIMEOUT))
            answer = session.post(
                url,
                json=payload(kind or format_of(url), text),
                timeout=TIMEOUT,
                allow_redirects=False,
                headers={"Accept-Encoding": "identity"},
                stream=True,
            )
            answers.read(answer, _LARGEST, TIMEOUT)
    except (requests.RequestException, ValueError) as error:
        # The exception's text contains the address.
        raise PipelineError(
            _("webhook at {host} cannot be reached: {problem}", host=host, problem=type(error).__name__)
        ) from None
    if not answer.ok or answer.is_redirect or _refused(answer):
        raise PipelineError(
            _("webhook at {host} refused the message: HTTP {status}", host=host, status=answer.status_code)
        )


def _refused(answer: Any) -> bool:
    """Return whether the webhook refused: DingTalk and WeCom (errcode) and Feishu (code) do so with HTTP 200."""
    try:
        body = read_json(answer.content, dict)
    except ValueError:
        return False
    return bool(body.get("errcode") or body.get("code"))
