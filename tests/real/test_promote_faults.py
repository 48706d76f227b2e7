"""Promotion with faults between the registries: the message, and the tags in production afterwards."""

from __future__ import annotations

import http.server
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from container_pipeline.clients.registry.transport import ATTEMPTS
from lab import ask, images
from lab.faultproxy import Fault
from lab.watcher import ArgvWatcher

OLD, NEW = "20261123080000", "20261124093015"
SIZE = 3_000_000


@pytest.fixture
def promoted(agent, development, production, code):
    """OLD is in production as `latest`; NEW is in development. Return both images."""
    old = images.put_image(development, code, OLD)
    assert agent("promote", "--version", OLD).code == 0
    return old, images.put_image(development, code, NEW, SIZE, 4000)


@pytest.fixture
def between(agent, development, production, fault_proxy):
    """Return a function that connects the agent to a registry through a faulty proxy."""

    def place(role, *faults):
        one = development if role == "development" else production
        proxy = fault_proxy(one.address, *faults)
        agent.use("DOCKER_REGISTRY" if role == "development" else "DOCKER_REGISTRY_PROD", one, proxy.address)
        return proxy

    return place


@pytest.fixture
def unchanged(promoted, production, code):
    """Assert that the tags in production are unchanged."""

    def check():
        assert ask.tags(production, code) == [OLD, "latest"]
        assert ask.digest(production, code, "latest") == promoted[0].digest

    return check


@pytest.fixture
def arrived(promoted, production, code):
    """Assert that production has the new version and its bytes."""

    def check():
        new = promoted[1]
        assert ask.digest(production, code, NEW) == ask.digest(production, code, "latest") == new.digest
        for layer in new.layers:
            stored = ask.registry(production, "GET", f"/v2/{code}/blobs/{layer}")
            assert images.digest_of(stored.body) == layer

    return check


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("development", "GET", "/manifests/"),
        ("development", "GET", "/blobs/"),
        ("production", "HEAD", "/blobs/"),
        ("production", "POST", "/blobs/uploads/"),
        ("production", "PUT", "/blobs/uploads/"),
        ("production", "PUT", "/manifests/latest"),
        ("production", "GET", "/v2/$"),
    ],
)
@pytest.mark.parametrize("status", [429, pytest.param(503, marks=pytest.mark.matrix)])
def test_promotion_retries_a_busy_registry(agent, between, arrived, role, method, path, status):
    proxy = between(role, Fault(method, path, status=status, headers={"Retry-After": "0"}, times=2))

    outcome = agent("promote", "--version", NEW)

    assert outcome.code == 0, outcome.err
    assert proxy.faults[0].seen > 2
    arrived()


def test_retry_waits_as_long_as_the_registry_asks(agent, between, arrived):
    between("production", Fault("PUT", "/manifests/", status=429, headers={"Retry-After": "1"}, times=1))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 0
    assert "retrying in 1.0 s" in outcome.err
    arrived()


def test_promotion_fails_if_requested_retry_wait_is_excessive(agent, between, unchanged):
    between("production", Fault("POST", "/uploads/", status=429, headers={"Retry-After": "3600"}))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "asks to retry in 3600 s" in outcome.err
    unchanged()


@pytest.mark.parametrize(
    ("role", "method", "path"),
    [
        ("development", "GET", "/blobs/"),
        ("development", "GET", "/manifests/"),
        ("production", "PUT", "/blobs/uploads/"),
        ("production", "PUT", f"/manifests/{NEW}"),
    ],
)
def test_promotion_moves_no_tag_if_registry_keeps_failing(agent, between, unchanged, role, method, path):
    fault = Fault(method, path, status=500, body=b'{"errors": [{"code": "UNKNOWN", "message": "disk is full"}]}')
    proxy = between(role, fault)

    outcome = agent("promote", "--version", NEW, "--json")

    assert outcome.code == 1
    error = outcome.result["error"]
    assert error["category"] == "registry"
    assert f"returned 500 for {method}" in error["message"]
    assert "disk is full" in error["message"]
    assert proxy.count(method, path) <= 3 * ATTEMPTS  # two layers and the config at once
    unchanged()


def test_latest_is_unchanged_if_its_move_fails(agent, between, promoted, production, code):
    between("production", Fault("PUT", "/manifests/latest", status=500))
    assert agent("promote", "--version", NEW).code == 1
    assert ask.digest(production, code, "latest") == promoted[0].digest


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "refused user releaser"),
        (403, "for user releaser"),
        (404, "has no"),
        (413, "client_max_body_size"),
    ],
)
def test_permanent_upload_error_fails_at_once_with_advice(agent, between, unchanged, status, said):
    proxy = between("production", Fault("PUT", "/blobs/uploads/", status=status))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert said in outcome.err
    assert "retrying" not in outcome.err
    assert proxy.count("PUT") <= 3  # two layers and the config, under way at once
    unchanged()


@pytest.mark.parametrize("after", [400_000, pytest.param(SIZE // 2, marks=pytest.mark.matrix)])
def test_interrupted_layer_download_resumes_at_the_same_byte(agent, between, arrived, promoted, after):
    proxy = between("development", Fault("GET", f"/blobs/{promoted[1].layers[0]}", cut_after=after, times=2))
    production = between("production")

    outcome = agent("promote", "--version", NEW)

    assert outcome.code == 0, outcome.err
    assert [status for method, path, status in proxy.requests if "/blobs/" in path and status == 206]
    assert production.count("POST", "/blobs/uploads/") == 3  # two layers and the config: none was begun again
    arrived()


def test_registry_without_ranges_resends_the_whole_layer(agent, between, arrived, development, promoted):
    """A proxy that responds with 200 to a range request, as some caches do."""
    big = promoted[1].layers[0]
    whole = ask.registry(development, "GET", f"/v2/{agent.code}/blobs/{big}").body
    proxy = between("development", Fault("GET", f"/blobs/{big}", cut_after=SIZE // 2, times=1))
    proxy.faults.append(Fault("GET", f"/blobs/{big}", status=200, body=whole, times=1))

    assert agent("promote", "--version", NEW).code == 0
    arrived()


def test_promotion_fails_if_source_keeps_disconnecting(agent, between, unchanged):
    between("development", Fault("GET", "/blobs/", cut_after=1000))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert " ended " in outcome.err
    unchanged()


def test_an_upload_that_is_cut_begins_again(agent, between, arrived):
    between("production", Fault("PUT", "/blobs/uploads/", cut_request_after=SIZE // 2, times=2))
    assert agent("promote", "--version", NEW).code == 0
    arrived()


def test_promotion_fails_if_every_upload_is_cut(agent, between, unchanged):
    between("production", Fault("PUT", "/blobs/uploads/", cut_request_after=1000))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "cannot be reached" in outcome.err
    unchanged()


def test_corrupt_layer_is_rejected_before_production_stores_it(agent, between, unchanged, promoted, production, code):
    big = promoted[1].layers[0]
    between("development", Fault("GET", f"/blobs/{big}", flip=SIZE // 3))

    outcome = agent("promote", "--version", NEW)

    assert outcome.code == 1
    assert "sent the wrong bytes for" in outcome.err
    assert ask.registry(production, "HEAD", f"/v2/{code}/blobs/{big}").status == 404
    unchanged()


def test_promotion_rejects_a_corrupt_manifest(agent, between, unchanged):
    between("development", Fault("GET", "/manifests/", flip=40))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "sent the wrong bytes for" in outcome.err
    unchanged()


def test_promotion_fails_if_accepted_layer_is_missing(agent, between, unchanged):
    between("production", Fault("HEAD", "/blobs/", status=404))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "but does not have it" in outcome.err
    unchanged()


def test_latest_stays_if_accepted_version_tag_is_missing(agent, between, promoted, production, code):
    between("production", Fault("HEAD", f"/manifests/{NEW}", status=404))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "but does not have it" in outcome.err
    assert ask.digest(production, code, "latest") == promoted[0].digest


def test_promotion_never_moves_version_set_by_concurrent_run(agent, between, production, development, code, promoted):
    other = images.put_image(production, code, "20261124093016", 500)
    # The first look at the tag, for the plan, finds none; the one before it is set finds the other run's.
    between("production", Fault("HEAD", f"/manifests/{NEW}", status=404, times=1))
    images.put_manifest(production, code, NEW, other.document)

    outcome = agent("promote", "--version", NEW)

    assert outcome.code == 1
    assert "a version never changes" in outcome.err
    assert ask.digest(production, code, NEW) == other.digest
    assert ask.digest(production, code, "latest") == promoted[0].digest


@pytest.mark.parametrize("path", ["/v2/$", "/manifests/", "/blobs/"])
def test_promotion_reports_a_web_page_instead_of_registry(agent, between, unchanged, path):
    page = {"Content-Type": "text/html; charset=utf-8"}
    between("development", Fault("", path, status=200, headers=page, body=b"<html>Sign in</html>"))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    assert "is not a registry" in outcome.err
    unchanged()


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A storage on another host, as a redirect target; records the headers of each request."""

    content = b""
    seen: list[dict[str, str]]

    def do_GET(self) -> None:
        self.seen.append(dict(self.headers))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_no_credentials_follow_a_redirect_to_another_host(agent, between, arrived, development, promoted, code):
    big = promoted[1].layers[0]
    handler = type("Handler", (_Elsewhere,), {"seen": []})
    handler.content = ask.registry(development, "GET", f"/v2/{code}/blobs/{big}").body
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as store:
        threading.Thread(target=store.serve_forever, args=(0.02,), daemon=True).start()
        address = f"http://127.0.0.1:{store.server_port}/signed?key=1"
        between("development", Fault("GET", f"/blobs/{big}", status=307, headers={"Location": address}))
        outcome = agent("promote", "--version", NEW)
        store.shutdown()
    assert outcome.code == 0, outcome.err
    assert len(handler.seen) == 1
    assert "Authorization" not in handler.seen[0]
    arrived()


def test_upload_address_on_another_host_gets_no_credentials(agent, between, unchanged, fault_proxy, production):
    stranger = fault_proxy(production.address)
    elsewhere = {"Location": f"http://{stranger.address}/v2/x/blobs/uploads/1?_state=a"}
    between("production", Fault("POST", "/blobs/uploads/", status=202, headers=elsewhere))
    outcome = agent("promote", "--version", NEW)
    assert outcome.code == 1
    # The stranger is the very registry, which takes these credentials: it was not shown them. (0: it hung up after its 401.)
    assert 401 in {status for _method, _path, status in stranger.requests} <= {0, 401}
    unchanged()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "container_pipeline", *arguments]


def test_terminated_promotion_exits_143_and_moves_no_tag(agent, between, unchanged):
    proxy = between("development", Fault("GET", "/blobs/", hang=True))
    arguments = ("promote", "--version", NEW, "--code", agent.code, "--project", str(agent.folder))
    process = subprocess.Popen(_command(*arguments), stderr=subprocess.PIPE, text=True)
    for _turn in range(500):
        if proxy.faults[0].seen:
            break
        threading.Event().wait(0.02)
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert "terminated" in err
    unchanged()


def test_promotion_keeps_passwords_from_arguments_logs_and_files(
    agent, between, development, production, tmp_path, code, promoted
):
    between("production", Fault("PUT", "/blobs/uploads/", status=503, headers={"Retry-After": "0"}, times=1))
    home = tmp_path / "home"
    home.mkdir()
    arguments = ("promote", "--version", NEW, "--code", code, "--project", str(agent.folder), "-v", "--json")
    with ArgvWatcher([development.password, production.password]) as watcher:
        done = subprocess.run(
            _command(*arguments), env={**os.environ, "HOME": str(home)}, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert watcher.seen == []
    assert [path for path in home.rglob("*") if path.is_file() and path.stat().st_size] == []
    assert list(Path(agent.folder).iterdir()) == []
    for one in (development, production):
        assert one.password not in done.stdout + done.stderr
