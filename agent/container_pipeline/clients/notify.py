"""Notifies a chat's webhook. Its address contains a token, so it is a secret and never shown."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

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
TIMEOUT = 10.0
#: Longest response in bytes; each format's is shorter than a kilobyte.
_LARGEST = 1 << 16
#: Longest text in bytes, by format: WeCom refuses one of more than 4096 in Markdown, and of more than 2048 without.
_LONGEST = {"wecom": 4000}
_LONGEST_ELSE, _LONGEST_PLAIN = 15_000, 2000
#: Formats whose robots can ask for a signature.
_SIGNED = ("dingtalk", "feishu")


@dataclass(frozen=True)
class ChatText:
    """One message in the forms that chats take; ``colour`` is that of a card: green, red, blue."""

    title: str
    markdown: str
    plain: str
    colour: str = "green"


def format_of(address: str) -> str:
    """Return the format for the address's host; Slack's, which many others accept, for an unknown host."""
    return HOSTS.get(urlsplit(address).hostname or "", "slack")


def payload(kind: str, text: ChatText, mention: Sequence[str] = ()) -> dict[str, Any]:
    """Return the request body for the webhook format ``kind``; ``mention`` are numbers or ids of people, or "all"."""
    people = [one for one in mention if one != "all"]
    everybody = len(people) < len(mention)
    body = _cut(text.markdown, _LONGEST.get(kind, _LONGEST_ELSE))
    if kind == "dingtalk":
        called = " ".join(f"@{one}" for one in people)
        told = "\n\n".join(filter(None, (f"### {text.title}", body, called)))
        at = {"atMobiles": people, "isAtAll": everybody}
        return {"msgtype": "markdown", "markdown": {"title": text.title, "text": told}, "at": at}
    if kind == "wecom" and mention:
        # Its Markdown calls nobody by number.
        numbers = [*people, *(["@all"] if everybody else [])]
        plain = {"content": _cut(text.plain, _LONGEST_PLAIN), "mentioned_mobile_list": numbers}
        return {"msgtype": "text", "text": plain}
    if kind == "wecom":
        return {"msgtype": "markdown", "markdown": {"content": _cut(f"**{text.title}**\n{body}", _LONGEST[kind])}}
    if kind == "feishu":
        called = "".join(f"<at id={one}></at>" for one in mention)
        card = {
            "header": {"title": {"tag": "plain_text", "content": text.title}, "template": text.colour},
            "elements": [{"tag": "markdown", "content": "\n".join(filter(None, (body, called))) or "-"}],
        }
        return {"msg_type": "interactive", "card": card}
    called = " ".join("<!channel>" if one == "all" else f"<@{one}>" for one in mention)
    body = re.sub(r"\[([^\]\n]*)\]\(([^)\n]*)\)", r"<\2|\1>", body.replace("&", "&amp;"))
    body = re.sub(r"^(- )?\*\*([^*\n]+)\*\*", r"\1*\2*", body, flags=re.MULTILINE)
    title = text.title.replace("&", "&amp;")
    return {"text": "\n".join(filter(None, (f"*{title}*", body, called)))}


def _cut(text: str, longest: int) -> str:
    """Return ``text`` in at most ``longest`` bytes, without its last lines if it is longer."""
    data = text.encode()
    if len(data) <= longest:
        return text
    return data[: longest - 4].decode(errors="ignore").rpartition("\n")[0] + "\n…"


def signed(kind: str, url: str, body: dict[str, Any], secret: Secret, now: float) -> tuple[str, dict[str, Any]]:
    """Return address and body with the signature that the robot's security setting asks for; ``now`` in seconds of Unix time.

    DingTalk (open.dingtalk.com, "customize robot security settings"): in the address, milliseconds, keyed with the secret.
    Feishu (open.feishu.cn, "custom bot guide"): in the body, seconds, keyed with time and secret, over nothing.
    """
    if not secret:
        return url, body
    if kind not in _SIGNED:
        raise PipelineError(_("a webhook of format {kind} takes no signing secret", kind=kind))
    time_ = str(int(now * 1000) if kind == "dingtalk" else int(now))
    text = f"{time_}\n{secret.reveal()}".encode()
    if kind == "dingtalk":
        sign = base64.b64encode(hmac.digest(secret.reveal().encode(), text, "sha256")).decode()
        more = urlencode({"timestamp": time_, "sign": sign})
        return f"{url}{'&' if '?' in url else '?'}{more}", body
    sign = base64.b64encode(hmac.digest(text, b"", "sha256")).decode()
    return url, {"timestamp": time_, "sign": sign, **body}


def send(
    address: Secret, text: ChatText, kind: str = "", *, secret: Secret | None = None, mention: Sequence[str] = ()
) -> None:
    """Send one message, signed with ``secret`` if there is one; raises PipelineError, without the address, if it did not arrive."""
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
    kind = kind or format_of(url)
    url, body = signed(kind, url, payload(kind, text, mention), secret or Secret(""), time.time())
    try:
        # A redirect would send the token to somebody else.
        with requests.Session() as session:
            session.mount(f"{parts.scheme}://", answers.Adapter(TIMEOUT))
            answer = session.post(
                url,
                json=body,
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
    reason = _refusal(answer)
    if reason:
        raise PipelineError(_("webhook at {host} refused the message: {reason}", host=host, reason=reason))


def _refusal(answer: Any) -> str:
    """Return why the webhook refused, "" if it did not: DingTalk and WeCom (errcode) and Feishu (code) refuse with HTTP 200."""
    try:
        body = read_json(answer.content, dict)
    except ValueError:
        body = {}
    if answer.ok and not answer.is_redirect and not (body.get("errcode") or body.get("code")):
        return ""
    return short(body.get("errmsg") or body.get("msg") or f"HTTP {answer.status_code}")
