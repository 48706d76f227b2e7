"""What a registry's failures are called: each names the registry, what was asked of it, and what to check."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urljoin, urlsplit

from container_pipeline import outside
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import RegistryAccess


def is_final(error: Exception) -> bool:
    """Whether a line that failed so would fail again: a wrong certificate, an address that is none, a dead host."""
    return isinstance(error, (ssl.SSLError, TimeoutError, http.client.InvalidURL)) and not isinstance(
        error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)
    )


def unreachable(access: RegistryAccess, host: str, error: Exception) -> RegistryError:
    if isinstance(error, ssl.SSLError) and is_final(error):
        return _untrusted(host, error)
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RegistryError(
        _("registry {host} cannot be reached: {cause}", host=host, cause=cause),
        _("check {variable}, the network and the proxy's settings", variable=access.variable),
    )


def _untrusted(host: str, error: ssl.SSLError) -> RegistryError:
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return RegistryError(
            _("registry {host} does not speak https", host=host),
            _("if it is meant to be spoken to by plain http, name {host} under `insecure:`", host=host),
        )
    cause = getattr(error, "verify_message", None) or error.reason or str(error)
    return RegistryError(
        _("registry {host} is not trusted: {cause}", host=host, cause=cause),
        _("put its CA into /etc/docker/certs.d/{host}/ca.crt, or into the system's store", host=host),
    )


def joined(access: RegistryAccess, base: str, address: str) -> str:
    """Return the address that an answer at ``base`` leads to; raises RegistryError where it is none."""
    try:
        url = urljoin(base, address)
        parts = urlsplit(url)
        if (
            not (parts.hostname or parts.scheme not in ("http", "https"))
            or parts.port == 0
            or not url.isascii()
            or not url.isprintable()
            or len(url) > 8192
        ):
            raise ValueError
    except ValueError:
        raise RegistryError(
            _(
                "registry {host} leads to {address!r}, which is no address",
                host=access.registry.host,
                address=outside.short(address, 100),
            ),
            _("check the proxy before the registry"),
        ) from None
    return url


def too_large(access: RegistryAccess, host: str, limit: int) -> RegistryError:
    return RegistryError(
        _("registry {host} answers with more than {size} MB", host=host, size=limit >> 20),
        _("check {variable} and the proxy before the registry", variable=access.variable),
    )


def no_address(access: RegistryAccess) -> RegistryError:
    return RegistryError(
        _("registry {host} cannot be asked: its address or a header is malformed", host=access.registry.host),
        _("check {variable} and the proxy before the registry", variable=access.variable),
    )


def endless(access: RegistryAccess, what: str) -> RegistryError:
    return RegistryError(
        _("registry {host} lists the tags of {what} without end", host=access.registry.host, what=what),
        _("check the proxy before the registry"),
    )


def too_long(host: str, seconds: float) -> RegistryError:
    return RegistryError(
        _("registry {host} asks to come back in {seconds} s", host=host, seconds=round(seconds)),
        _("run it again then; what is there already is not sent again"),
    )


def redirected(host: str, target: str) -> RegistryError:
    return RegistryError(
        _("registry {host} redirects to {target}, which is not followed", host=host, target=outside.short(target)),
        _("no credentials go to another host or to plain http: name the registry itself"),
    )


def no_registry(access: RegistryAccess, host: str, status: int) -> RegistryError:
    return RegistryError(
        _("{host} answers {status}, but not as a registry does", host=host, status=status),
        _("check {variable}: host[:port] of the registry, not of a web page beside it", variable=access.variable),
    )


def denied(access: RegistryAccess, what: str) -> RegistryError:
    """401: nobody, or the wrong user, asked."""
    name = access.login_variable
    if not access.user:
        return RegistryError(
            _("registry {host} wants a login for {what}", host=access.registry.host, what=what),
            _("set {variable}_USER and {variable}_PASS", variable=name),
        )
    return RegistryError(
        _("registry {host} refused user {user} for {what}", host=access.registry.host, user=access.user, what=what),
        _("check {variable}_USER and {variable}_PASS", variable=name),
    )


def answered(access: RegistryAccess, method: str, what: str, status: int, body: bytes) -> RegistryError:
    """Any other answer that ends the work."""
    host, said = access.registry.host, _said(body)
    if status == 403:
        return RegistryError(
            _(
                "registry {host} forbids user {user} {method} on {what}{said}",
                host=host,
                user=access.user or "-",
                method=method,
                what=what,
                said=said,
            ),
            _("give that user the right to it there, or check {variable}_USER", variable=access.login_variable),
        )
    if status == 404:
        return RegistryError(
            _("registry {host} has no {what}{said}", host=host, what=what, said=said),
            _("`container-pipeline images` lists what is there"),
        )
    if status == 413:
        return RegistryError(
            _("registry {host} refuses the size of {what} (413)", host=host, what=what),
            _("raise the limit of the proxy before it, such as nginx's client_max_body_size"),
        )
    return RegistryError(
        _(
            "registry {host} answered {status} to {method} {what}{said}",
            host=host,
            status=status,
            method=method,
            what=what,
            said=said,
        ),
        _("its own log says more; running it again is harmless") if status >= 429 else "",
    )


def corrupt(access: RegistryAccess, what: str, found: str) -> RegistryError:
    return RegistryError(
        _(
            "registry {host} sent other bytes than those of {what}: {found}",
            host=access.registry.host,
            what=what,
            found=found,
        ),
        _("nothing was tagged; look for a fault in its store or in a proxy before it"),
    )


def cut(access: RegistryAccess, what: str, done: int, size: int) -> RegistryError:
    return RegistryError(
        _(
            "registry {host} broke off {what} after {done} of {size} bytes",
            host=access.registry.host,
            what=what,
            done=done,
            size=size,
        ),
        _("look at its store and at what stands before it; running it again is harmless"),
    )


def lost(access: RegistryAccess, what: str) -> RegistryError:
    """It was stored, said the registry, but it is not there."""
    return RegistryError(
        _("registry {host} took {what}, but does not have it", host=access.registry.host, what=what),
        _("look at its store and at what stands before it; running it again is harmless"),
    )


def _said(body: bytes) -> str:
    """Return the registry's own words in its error body (OCI distribution spec, "error codes"), or ""."""
    try:
        first = outside.maps(outside.read_json(body, dict), "errors")[0]
    except (ValueError, LookupError):
        return ""
    text = outside.short(outside.pick(first, "message", str) or outside.pick(first, "code", str))
    return f": {text}" if text else ""
