"""The faulty proxy applies exactly its configured faults."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable
from dataclasses import replace

import pytest

from lab import ask
from lab.faultproxy import Fault, FaultProxy
from lab.registry import Registry
from lab.tcpproxy import TcpProxy

BLOB = bytes(range(256)) * 1000


@pytest.fixture
def registry(registry_factory: Callable[..., Registry]) -> Registry:
    return registry_factory()


def through(registry: Registry, proxy: FaultProxy) -> Registry:
    return replace(registry, address=proxy.address)


def upload(registry: Registry, blob: bytes = BLOB) -> ask.Answer:
    """Upload like a client: POST, then PUT to the returned location."""
    begun = ask.registry(registry, "POST", "/v2/some/image/blobs/uploads/")
    location = begun.headers["location"].split("/v2/", 1)[1]
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    return ask.registry(registry, "PUT", f"/v2/{location}&digest={digest}", blob)


def blob_path(blob: bytes = BLOB) -> str:
    return "/v2/some/image/blobs/sha256:" + hashlib.sha256(blob).hexdigest()


def test_without_faults_uploads_and_downloads_pass_unchanged(registry, fault_proxy):
    proxied = through(registry, fault_proxy(registry.address))
    assert upload(proxied).status == 201
    assert ask.registry(proxied, "GET", blob_path()).body == BLOB


def test_locations_lead_through_the_proxy(registry, fault_proxy):
    proxy = fault_proxy(registry.address)
    begun = ask.registry(through(registry, proxy), "POST", "/v2/some/image/blobs/uploads/")
    assert begun.headers["location"].startswith(f"http://{proxy.address}/")


def test_a_status_fault_repeats_as_often_as_configured(registry, fault_proxy):
    fault = Fault("GET", "/v2/$", status=503, headers={"Retry-After": "1"}, body=b"busy", skip=1, times=2)
    proxy = fault_proxy(registry.address, fault)
    answers = [ask.registry(through(registry, proxy), "GET", "/v2/") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 503, 503, 200]
    assert (answers[1].headers["retry-after"], answers[1].body) == ("1", b"busy")
    assert proxy.count("GET", "/v2/") == 4


def test_an_answer_is_cut_in_the_middle(registry, fault_proxy):
    upload(registry)
    proxy = fault_proxy(registry.address, Fault("GET", "/blobs/", cut_after=1000, times=1))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        ask.registry(through(registry, proxy), "GET", blob_path())
    assert ask.registry(through(registry, proxy), "GET", blob_path()).body == BLOB


def test_a_request_is_cut_in_the_middle(registry, fault_proxy):
    proxied = through(registry, fault_proxy(registry.address, Fault("PUT", cut_request_after=1000, times=1)))
    with pytest.raises((OSError, http.client.HTTPException)):
        upload(proxied)
    assert ask.registry(registry, "HEAD", blob_path()).status == 404
    assert upload(proxied).status == 201


def test_one_byte_is_changed(registry, fault_proxy):
    upload(registry)
    proxy = fault_proxy(registry.address, Fault("GET", "/blobs/", flip=70_000))
    got = ask.registry(through(registry, proxy), "GET", blob_path()).body
    assert [at for at, byte in enumerate(got) if byte != BLOB[at]] == [70_000]


def test_a_dead_target_is_a_broken_connection(registry, fault_proxy):
    proxied = through(registry, fault_proxy(registry.address))
    registry.stop()
    with pytest.raises((OSError, http.client.HTTPException)):
        ask.registry(proxied, "GET", "/v2/")


def test_the_tcp_proxy_passes_bytes_and_cuts_connections(registry, tcp_proxy: Callable[..., TcpProxy]):
    proxy = tcp_proxy(registry.address, round_trip=0.01)
    proxied = replace(registry, address=proxy.address)
    assert upload(proxied).status == 201
    assert ask.registry(proxied, "GET", blob_path()).body == BLOB
    lasting = http.client.HTTPConnection(proxy.address, timeout=5)
    lasting.request("GET", "/v2/")
    lasting.getresponse().read()
    proxy.cut()
    with pytest.raises((OSError, http.client.HTTPException)):
        ask_again(lasting)


def ask_again(connection: http.client.HTTPConnection) -> None:
    connection.request("GET", "/v2/")
    connection.getresponse()
