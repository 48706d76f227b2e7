"""Parsing of headers and manifests in the registry client."""

from __future__ import annotations

import json
import threading
import time
from email.message import Message
from email.utils import formatdate

import pytest

from container_pipeline.clients.registry import Manifest, transport
from container_pipeline.clients.registry.auth import challenges
from container_pipeline.clients.registry.connection import is_loopback, origin
from container_pipeline.clients.registry.transport import ATTEMPTS, Passing, Reply, Transport
from container_pipeline.errors import RegistryError
from container_pipeline.execute import verification
from container_pipeline.model import Digest, Registry, RegistryAccess, Repository, Secret
from container_pipeline.parallel import in_parallel
from unit.table import table


@table(
    ("header", "expected"),
    [
        ('Basic realm="Registry"', {"basic": {"realm": "Registry"}}),
        ("Basic", {"basic": {}}),
        (
            'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
            {
                "bearer": {
                    "realm": "https://auth.example/token",
                    "service": "registry.example",
                    "scope": "repository:a/b:pull,push",
                }
            },
        ),
        ("bearer realm = https://auth.example/token", {"bearer": {"realm": "https://auth.example/token"}}),
        (
            'Negotiate, Basic realm="a \\"b\\"", Bearer realm="https://auth.example/"',
            {"basic": {"realm": 'a "b"'}, "bearer": {"realm": "https://auth.example/"}},
        ),
        ("Negotiate", {}),
        ("", {}),
    ],
)
def test_a_challenge_is_read_whatever_its_form(header, expected):
    assert challenges(header) == expected


def answer(**headers: str) -> Reply:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    return Reply("http://registry.example/v2/", 429, message)


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("7", 7), (" 30 ", 30)])
def test_seconds_to_wait_are_taken_as_they_are(value, seconds):
    assert answer(Retry_After=value).retry_after == seconds


@pytest.mark.parametrize(("ahead", "low", "high"), [(60, 50, 61), (-60, 0, 0)])
def test_a_moment_to_wait_for_becomes_seconds(ahead, low, high):
    moment = formatdate(time.time() + ahead, usegmt=True)
    assert low <= answer(Retry_After=moment).retry_after <= high


@table("value", ["soon", "-1", "1.5", ""])
def test_what_is_no_time_to_wait_is_none(value):
    assert answer(Retry_After=value).retry_after is None


@table("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_is_known(host):
    assert is_loopback(host)


@table("host", ["registry.example", "localhost.example", "127.evil.example", "128.0.0.1", "10.0.0.1", "::", ""])
def test_other_hosts_are_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("other", ["http://a.example/x", "https://a.example:444/x", "https://b.example/x"])
def test_credentials_are_for_scheme_host_and_port(other):
    assert origin("https://A.example/v2/") == origin("https://a.example:443/token")
    assert origin("https://a.example/v2/") != origin(other)


def persist(failures: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    """Return how often something was tried that fails so many times, and what was told."""
    monkeypatch.setattr(transport, "FIRST_WAIT", 0)
    told: list[str] = []
    tries = 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        if tries <= failures:
            raise Passing(RegistryError("busy"))

    access = RegistryAccess("development", Registry("registry.example"))
    try:
        Transport(access, told.append).persist(attempt)
    except RegistryError as error:
        told.append(f"gave up: {error.message}")
    return tries, told


def test_temporary_failures_are_retried_up_to_a_limit(monkeypatch):
    assert persist(0, monkeypatch) == (1, [])
    assert persist(2, monkeypatch) == (3, ["busy; retrying in 0.0 s"] * 2)
    assert persist(99, monkeypatch) == (ATTEMPTS, ["busy; retrying in 0.0 s"] * (ATTEMPTS - 1) + ["gave up: busy"])


DIGEST = "sha256:" + "a" * 64


def manifest(**document: object) -> Manifest:
    return Manifest(json.dumps(document).encode(), "application/vnd.oci.image.manifest.v1+json")


def test_manifest_of_unknown_type_keeps_its_bytes():
    unknown = Manifest(b'{"hello":  "world"}', "application/vnd.example+json")
    assert (unknown.blobs, unknown.children, unknown.config) == ((), (), None)
    assert unknown.body == b'{"hello":  "world"}'


@table("entry", [{"digest": DIGEST}, {"digest": "md5:1", "size": 1}, {"digest": DIGEST, "size": -1}, 7])
def test_invalid_descriptor_error_names_the_manifest(entry):
    one = manifest(layers=[entry])
    with pytest.raises(RegistryError, match=str(one.digest)):
        _ = one.blobs


@table("body", [b"", b"<html>", b"[]", b"\xff"])
def test_what_is_not_json_is_no_manifest(body):
    with pytest.raises(RegistryError, match="is not a valid manifest"):
        _ = Manifest(body, "").document


def test_nondistributable_layers_are_not_required():
    kinds = ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar")
    layers = [{"digest": "sha256:" + letter * 64, "size": 1, "mediaType": kind} for letter, kind in zip("ab", kinds)]
    assert [blob.digest[-1] for blob in manifest(layers=layers).blobs] == ["b"]


def test_parallel_work_returns_results_in_order():
    assert in_parallel(lambda number: number * 2, range(50), 7) == [number * 2 for number in range(50)]
    assert in_parallel(lambda number: number, [], 7) == []


def test_interrupted_parallel_work_is_waited_for():
    began, stop, ended = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        if number:
            began.set()
            stop.wait(30)
            ended.append(number)
        else:
            began.wait(30)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(9), 2, stop.set)
    assert ended == [1]


def test_first_failure_stops_parallel_work():
    begun = []
    hold = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise RegistryError("first")
        hold.wait(5)

    with pytest.raises(RegistryError, match="first"):
        in_parallel(work, range(100), 2)
    hold.set()
    assert len(begun) == 2


def follow(start: str, *targets: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Return each address that was asked, and whether it was shown the secret, along redirects to ``targets``."""
    asked: list[tuple[str, bool]] = []
    waiting = list(targets)

    def send(_self: Transport, _method: str, url: str, headers: dict[str, str], **_more: object) -> Reply:
        asked.append((url, "Authorization" in headers))
        found = answer(Location=waiting.pop(0)) if waiting else answer()
        return Reply(url, 307 if "Location" in found.headers else 200, found.headers)

    monkeypatch.setattr(Transport, "send", send)
    access = RegistryAccess("development", Registry("registry.example"))
    Transport(access, lambda _line: None).follow("GET", start, {}, {"Authorization": "secret"})
    return asked


def test_a_secret_goes_to_its_own_origin_alone(monkeypatch):
    asked = follow(
        "https://a.example/v2/x", "/v2/y", "https://b.example/z", "https://a.example:8443/", monkeypatch=monkeypatch
    )
    assert asked == [
        ("https://a.example/v2/x", True),
        ("https://a.example/v2/y", True),
        ("https://b.example/z", False),
        ("https://a.example:8443/", False),
    ]


@table("target", ["http://a.example/v2/x", "http://b.example/", "ftp://a.example/", "file:///etc/passwd"])
def test_no_redirect_leads_from_https_to_anything_else(monkeypatch, target):
    with pytest.raises(RegistryError, match="redirects to"):
        follow("https://a.example/v2/x", target, monkeypatch=monkeypatch)


def test_redirects_in_a_circle_end(monkeypatch):
    with pytest.raises(RegistryError, match="redirects to"):
        follow("https://a.example/1", *["/2", "/1"] * 10, monkeypatch=monkeypatch)


@pytest.mark.parametrize(
    ("host", "name", "key"),
    [
        ("docker.io/team", "index.docker.io/team/web", "https://index.docker.io/v1/"),
        ("registry.example:5000/team", "registry.example:5000/team/web", "registry.example:5000"),
    ],
)
def test_cosign_finds_the_login_of_each_registry(host, name, key):
    access = RegistryAccess("development", Registry(host), "user", Secret("pass"))
    image = verification.named(access, Repository("web"), Digest(f"sha256:{'a' * 64}"))
    assert image.name.partition("@")[0] == name
    assert list(json.loads(image.login.reveal())["auths"]) == [key]
