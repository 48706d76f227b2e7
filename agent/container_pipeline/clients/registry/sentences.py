"""Error messages for registries: each names the registry, the request, and what to check."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urljoin, urlsplit

from container_pipeline import outside
from container_pipeline.errors import RegistryError
from container_pipeline.i18n import _
from container_pipeline.model import RegistryAccess

#: Statuses with which a registry refuses a kind of manifest.
REFUSALS = (400, 403, 404, 405, 415, 422)


def is_final(error: Exception) -> bool:
    """Whether a connection that failed like this would fail again: wrong certificate, invalid address, dead host."""
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
            _("if it speaks plain http on purpose, list {host} under `insecure:`", host=host),
        )
    cause = getattr(error, "verify_message", None) or error.reason or str(error)
    return RegistryError(
        _("registry {host} is not trusted: {cause}", host=host, cause=cause),
        _("put its CA into /etc/docker/certs.d/{host}/ca.crt, or into the system's store", host=host),
    )


def joined(access: RegistryAccess, base: str, address: str) -> str:
    """Return the address that a response from ``base`` redirects to; raises RegistryError if it is invalid."""
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
                "registry {host} redirects to {address!r}, which is not an address",
                host=access.registry.host,
                address=outside.short(address, 100),
            ),
            _("check the proxy in front of the registry"),
        ) from None
    return url


def too_large(access: RegistryAccess, host: str, limit: int) -> RegistryError:
    return RegistryError(
        _("registry {host} sent more than {size} MB", host=host, size=limit >> 20),
        _("check {variable} and the proxy in front of the registry", variable=access.variable),
    )


def no_address(access: RegistryAccess) -> RegistryError:
    return RegistryError(
        _("no request can be sent to registry {host}: its address or a header is malformed", host=access.registry.host),
        _("check {variable} and the proxy in front of the registry", variable=access.variable),
    )


def endless(access: RegistryAccess, what: str) -> RegistryError:
    return RegistryError(
        _("the list that registry {host} sends for {what} has no end", host=access.registry.host, what=what),
        _("check the proxy in front of the registry"),
    )


def no_list(access: RegistryAccess, what: str, problem: str) -> RegistryError:
    """Return the error for a list of referrers that cannot be read."""
    return RegistryError(
        _(
            "the list of what refers to {what} in registry {host} cannot be read: {problem}",
            what=what,
            host=access.registry.host,
            problem=outside.short(problem, 100),
        ),
        _("check the registry; a damaged tag `sha256-…` has to be deleted, and what it listed attached again"),
    )


def too_long(host: str, seconds: float) -> RegistryError:
    return RegistryError(
        _("registry {host} asks to retry in {seconds} s", host=host, seconds=round(seconds)),
        _("run it again then; what has arrived is not sent again"),
    )


def redirected(host: str, target: str) -> RegistryError:
    return RegistryError(
        _("registry {host} redirects to {target}, which is not followed", host=host, target=outside.short(target)),
        _("credentials never go to another host or to plain http: set the registry's own address"),
    )


def no_registry(access: RegistryAccess, host: str, status: int) -> RegistryError:
    return RegistryError(
        _("{host} returned {status}, but is not a registry", host=host, status=status),
        _("check {variable}: it must be host[:port] of the registry, not of its web page", variable=access.variable),
    )


def denied(access: RegistryAccess, what: str) -> RegistryError:
    """Return the error for a 401: no login, or the wrong one."""
    name = access.login_variable
    if not access.user:
        return RegistryError(
            _("registry {host} needs a login for {what}", host=access.registry.host, what=what),
            _("set {variable}_USER and {variable}_PASS", variable=name),
        )
    return RegistryError(
        _("registry {host} refused user {user} for {what}", host=access.registry.host, user=access.user, what=what),
        _("check {variable}_USER and {variable}_PASS", variable=name),
    )


def answered(access: RegistryAccess, method: str, what: str, status: int, body: bytes) -> RegistryError:
    """Return the error for any other failed response."""
    host, said = access.registry.host, _said(body)
    if status == 403:
        return RegistryError(
            _(
                "registry {host} forbids {method} on {what} for user {user}{said}",
                host=host,
                user=access.user or "-",
                method=method,
                what=what,
                said=said,
            ),
            _("give that user the permission there, or check {variable}_USER", variable=access.login_variable),
        )
    if status == 404:
        return RegistryError(
            _("registry {host} has no {what}{said}", host=host, what=what, said=said),
            _("`container-pipeline images` lists what the registry holds"),
        )
    if status == 413:
        return RegistryError(
            _("registry {host} refuses {what} as too large (413)", host=host, what=what),
            _("raise the limit of the proxy in front of it, such as nginx's client_max_body_size"),
        )
    if status == 412 or "immutable" in said:
        return RegistryError(
            _(
                "registry {host} does not let {what} change: its tags are immutable{said}",
                host=host,
                what=what,
                said=said,
            ),
            immutable(),
        )
    return RegistryError(
        _(
            "registry {host} returned {status} for {method} {what}{said}",
            host=host,
            status=status,
            method=method,
            what=what,
            said=said,
        ),
        _("its own log says more; it is safe to run this again") if status >= 429 else "",
    )


def refused(access: RegistryAccess, what: str, status: int, body: bytes, *, attested: bool) -> RegistryError | None:
    """Return the error for a manifest of a kind that a registry does not take, None if it refused it for another reason.

    Aliyun's denies it with 403. Others call it invalid (Harbor, Artifactory), or miss what it refers to (GitLab).
    """
    said = _said(body)
    if "manifest class" in said:
        hint = without_attestations() if attested else _artifact()
    elif attested and status != 403:
        hint = without_attestations()
    else:
        return None
    return RegistryError(
        _(
            "registry {host} does not take the kind of manifest that {what} is{said}",
            host=access.registry.host,
            what=what,
            said=said,
        ),
        hint,
    )


def without_attestations() -> str:
    """Return what to do where a registry does not take what BuildKit attached to an image."""
    return _("set `attest: false`, and build again; or promote with --without-attestations")


def _artifact() -> str:
    return _(
        "something refers to the image in the form of an OCI artifact; attach it in the older form, as `sign` and `sbom` do"
    )


def immutable() -> str:
    """Return what to do where a registry refuses to move a tag, as Harbor and ECR do."""
    return _("set `latest: false`, or exempt the tag `latest` in the registry; a version's own tag is never moved")


def corrupt(access: RegistryAccess, what: str, found: str) -> RegistryError:
    return RegistryError(
        _(
            "registry {host} sent the wrong bytes for {what}: {found}",
            host=access.registry.host,
            what=what,
            found=found,
        ),
        _("nothing was tagged; check its storage and the proxy in front of it"),
    )


def cut(access: RegistryAccess, what: str, done: int, size: int) -> RegistryError:
    return RegistryError(
        _(
            "registry {host} ended {what} after {done} of {size} bytes",
            host=access.registry.host,
            what=what,
            done=done,
            size=size,
        ),
        _("check its storage and the proxy in front of it; it is safe to run this again"),
    )


def lost(access: RegistryAccess, what: str) -> RegistryError:
    """Return the error for content that the registry accepted but does not have."""
    return RegistryError(
        _("registry {host} accepted {what}, but does not have it", host=access.registry.host, what=what),
        _("check its storage and the proxy in front of it; it is safe to run this again"),
    )


def _said(body: bytes) -> str:
    """Return the message in the registry's error body (OCI distribution spec, "error codes"), or ""."""
    try:
        first = outside.maps(outside.read_json(body, dict), "errors")[0]
    except (ValueError, LookupError):
        return ""
    text = outside.short(outside.pick(first, "message", str) or outside.pick(first, "code", str))
    return f": {text}" if text else ""
