"""Access to registries: token servers, private CAs, paths behind a proxy, company proxies, one host for both registries."""

from __future__ import annotations

import http.server
import secrets
import socket
import subprocess
import threading
from base64 import b64encode
from dataclasses import replace

import pytest

from container_pipeline.clients.registry import api, connection
from lab import ask, images
from lab.faultproxy import Fault
from lab.place import free_port
from lab.registry import Registry, configure
from lab.tokenserver import LEEWAY, TokenServer

VERSION = "20261124093015"
EVERYTHING = {"pull", "push", "delete"}


@pytest.fixture
def tokens(tmp_path):
    """A token server with two users: one with all permissions, one who may only read."""
    users = {"tester": (secrets.token_urlsafe(9), EVERYTHING), "reader": (secrets.token_urlsafe(9), {"pull"})}
    server = TokenServer(tmp_path / "tokens", users)
    yield server
    server.close()


@pytest.fixture
def guarded(tokens, tmp_path):
    """A registry that takes that server's tokens only; its files are there to be read."""
    folder = tmp_path / "guarded"
    one = Registry("guarded", folder, f"127.0.0.1:{free_port()}", "tester", tokens.users["tester"][0])
    configure(one, auth=False)
    tokens.guard(one)
    one.start()
    yield one
    one.stop()


def link(registry, code, tag):
    """Return the digest that a tag names, read from the registry's own store."""
    path = registry.storage / f"docker/registry/v2/repositories/{code}/_manifests/tags/{tag}/current/link"
    return path.read_text() if path.exists() else None


def test_promotion_requests_one_registry_token_per_scope(agent, development, guarded, tokens, code):
    agent.use("DOCKER_REGISTRY_PROD", guarded)
    image = images.put_image(development, code, VERSION, 300_000, 2000, 100)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 0, outcome.err
    assert link(guarded, code, VERSION) == link(guarded, code, "latest") == image.digest
    assert tokens.asked == [[f"repository:{code}:pull"], [f"repository:{code}:pull,push"]]


def test_a_token_that_ends_half_way_is_renewed(agent, development, guarded, tokens, code, fault_proxy):
    tokens.lifetimes = [300, 1]  # for reading; for writing, one that ends while the first layer is read
    slow = fault_proxy(development.address, Fault("GET", "/blobs/", delay=2.2))
    agent.use("DOCKER_REGISTRY", development, slow.address)
    agent.use("DOCKER_REGISTRY_PROD", guarded)
    image = images.put_image(development, code, VERSION, 300_000)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 0, outcome.err
    assert link(guarded, code, "latest") == image.digest
    assert tokens.asked.count([f"repository:{code}:pull,push"]) == 2


def test_token_is_not_used_after_its_stated_lifetime(agent, development, guarded, tokens, code, fault_proxy):
    tokens.said_lifetime = 1
    slow = fault_proxy(development.address, Fault("GET", "/blobs/", delay=1.2))
    agent.use("DOCKER_REGISTRY", development, slow.address)
    watched = fault_proxy(guarded.address)
    agent.use("DOCKER_REGISTRY_PROD", guarded, watched.address)
    images.put_image(development, code, VERSION, 300_000)
    assert agent("promote", "--version", VERSION).code == 0
    assert [one for one in watched.requests if one[2] == 401] == [("GET", "/v2/", 401)]


def test_a_wrong_password_is_refused_at_once(agent, development, guarded, tokens, code):
    agent.use("DOCKER_REGISTRY_PROD", replace(guarded, password="wrong"))
    images.put_image(development, code, VERSION)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert f"registry {guarded.address} refused user tester" in outcome.err
    assert "check DOCKER_REGISTRY_PROD_USER and DOCKER_REGISTRY_PROD_PASS" in outcome.err
    assert "retrying" not in outcome.err


def test_read_only_user_is_refused_after_token_renewal(agent, development, guarded, tokens, code):
    agent.use("DOCKER_REGISTRY_PROD", replace(guarded, user="reader", password=tokens.users["reader"][0]))
    images.put_image(development, code, VERSION)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert "refused user reader" in outcome.err
    assert len(tokens.asked) <= 1 + 2 * 2  # each of the two blobs asked for one more
    assert link(guarded, code, "latest") is None


def test_client_retries_a_busy_token_server(agent, development, guarded, tokens, code):
    tokens.failures = 2
    agent.use("DOCKER_REGISTRY_PROD", guarded)
    images.put_image(development, code, VERSION)
    assert agent("promote", "--version", VERSION).code == 0


@pytest.mark.parametrize("place", ["tokens.example", "127.evil.example", "localhost:x@evil.example", "[::1"])
def test_token_server_over_plain_http_gets_no_password(agent, development, fault_proxy, code, place):
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{place}/token",service="x"'}
    proxy = fault_proxy(development.address, Fault("", "", status=401, headers=challenge))
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    outcome = agent("images")
    assert outcome.code == 1
    assert "credentials never go to another host or to plain http" in outcome.err


def test_a_registry_without_login_needs_none(agent, development, registry_factory, code, monkeypatch):
    one = registry_factory(auth=False)
    monkeypatch.setenv("DOCKER_REGISTRY_PROD", one.address)
    for name in ("USER", "PASS"):
        monkeypatch.delenv(f"DOCKER_REGISTRY_PROD_{name}")
    image = images.put_image(development, code, VERSION)
    assert agent("promote", "--version", VERSION).code == 0
    assert ask.digest(one, code, "latest") == image.digest


def test_promotion_logs_in_although_registry_ping_is_public(agent, development, production, code, fault_proxy):
    images.put_image(development, code, VERSION)
    agent.use(
        "DOCKER_REGISTRY", development, fault_proxy(development.address, Fault("GET", "/v2/$", status=200)).address
    )
    agent.use(
        "DOCKER_REGISTRY_PROD", production, fault_proxy(production.address, Fault("", "/v2/$", status=200)).address
    )
    assert agent("promote", "--version", VERSION).code == 0


def test_a_missing_login_names_the_variables(agent, development, code, monkeypatch):
    for name in ("USER", "PASS"):
        monkeypatch.delenv(f"DOCKER_REGISTRY_PROD_{name}")
    images.put_image(development, code, VERSION)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert "set DOCKER_REGISTRY_PROD_USER and DOCKER_REGISTRY_PROD_PASS" in outcome.err


@pytest.fixture
def secured(registry_factory, agent, development, code):
    """A production registry that speaks TLS with a certificate that no system trusts, and an image to promote."""
    one = registry_factory(tls=True)
    agent.use("DOCKER_REGISTRY_PROD", one)
    return one, images.put_image(development, code, VERSION, 200_000)


def test_docker_certs_folder_makes_a_private_ca_trusted(agent, secured, code, monkeypatch, tmp_path):
    one, image = secured
    folder = tmp_path / "certs.d" / one.address
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(one.certificate.read_bytes())
    monkeypatch.setattr(connection, "_CERTS", tmp_path / "certs.d")
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 0, outcome.err
    assert ask.digest(one, code, "latest") == image.digest


def test_requests_ca_bundle_makes_a_private_ca_trusted(agent, secured, code, monkeypatch):
    one, image = secured
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(one.certificate))
    assert agent("promote", "--version", VERSION).code == 0
    assert ask.digest(one, code, "latest") == image.digest


def test_unknown_ca_error_names_its_certificate_path(agent, secured, code):
    one, _image = secured
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert f"registry {one.address} is not trusted" in outcome.err
    assert f"/etc/docker/certs.d/{one.address}/ca.crt" in outcome.err
    assert ask.tags(one, code) == []


@pytest.fixture
def far(monkeypatch):
    """Loopback is treated like any other address."""
    monkeypatch.setattr(api, "is_loopback", lambda host: False)
    monkeypatch.setattr(connection, "is_loopback", lambda host: False)


def test_plain_http_requires_the_insecure_setting(agent, development, production, code, far, fault_proxy):
    proxy = fault_proxy(development.address)
    agent.use("DOCKER_REGISTRY", development, proxy.address)
    outcome = agent("images")
    assert outcome.code == 1
    assert f"registry {proxy.address} does not speak https" in outcome.err
    assert "insecure:" in outcome.err
    assert proxy.requests == []
    (agent.folder / "container-pipeline.yml").write_text(f"insecure: ['{proxy.address}', '{production.address}']\n")
    assert agent("images").code == 0


def test_plain_http_uses_company_proxy_with_its_login(agent, development, code, monkeypatch):
    images.put_image(development, code, VERSION)
    seen = []

    class Forwarder(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Proxy-Authorization")))
            path = self.path.partition("registry.example")[2]
            answer = ask.registry(development, self.command, path)
            self.send_response(answer.status)
            for name in ("content-type", "docker-content-digest", "docker-distribution-api-version"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(answer.body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forwarder) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://me:pass%2Fword@127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("DOCKER_REGISTRY", "registry.example")
        monkeypatch.delenv("DOCKER_REGISTRY_PROD")
        (agent.folder / "container-pipeline.yml").write_text("insecure: [registry.example]\n")
        outcome = agent("images")
        proxy.shutdown()
    assert outcome.code == 0, outcome.err
    assert VERSION in outcome.out
    login = "Basic " + b64encode(b"me:pass/word").decode()
    assert seen[0] == ("http://registry.example/v2/", login)
    assert {header for _path, header in seen} == {login}


def test_https_uses_company_proxy_unless_no_proxy_applies(agent, secured, code, monkeypatch, far, development):
    one, image = secured
    asked = []

    class Tunnel(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            host, _colon, port = self.path.partition(":")
            with socket.create_connection((host, int(port))) as other:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                threading.Thread(target=self._pump, args=(other, self.connection), daemon=True).start()
                self._pump(self.connection, other)

        def _pump(self, source: socket.socket, target: socket.socket) -> None:
            try:
                while data := source.recv(65536):
                    target.sendall(data)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(one.certificate))
    (agent.folder / "container-pipeline.yml").write_text(f"insecure: ['{development.address}']\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.setenv("no_proxy", one.address)
        assert agent("images", "--prod").code == 0
        assert asked == []
        monkeypatch.delenv("no_proxy")
        outcome = agent("promote", "--version", VERSION)
        proxy.shutdown()
    assert outcome.code == 0, outcome.err
    assert set(asked) == {one.address}
    assert ask.digest(one, code, "latest") == image.digest


_NGINX = """
daemon off; user root; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen {address}; client_max_body_size {limit}; proxy_set_header Host $http_host;
        location = /v2/ {{ proxy_pass http://{target}; }}
        location /v2/team/ {{
            proxy_pass http://{target}/v2/;
            proxy_redirect ~^https?://[^/]+/v2/(.*)$ /v2/team/$1;
        }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp_path):
    """Return a function that puts nginx before a registry: its repositories are at HOST:PORT/team there."""
    processes = []

    def start(target, limit="0"):
        folder = tmp_path / f"nginx-{len(processes)}"
        folder.mkdir()
        address = f"127.0.0.1:{free_port()}"
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, address=address, target=target, limit=limit))
        command = ["nginx", "-e", str(folder / "error.log"), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        processes.append(subprocess.Popen(command))
        for _turn in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(address.partition(":")[2]))) == 0:
                    return f"{address}/team"
            threading.Event().wait(0.02)
        raise AssertionError((folder / "error.log").read_text())

    yield start
    for process in processes:
        process.terminate()
        process.wait()


def test_a_registry_behind_a_path_is_promoted_to(agent, development, production, code, nginx):
    """Its upload addresses come back relative to the host, as the proxy rewrites them, and with a query."""
    agent.use("DOCKER_REGISTRY_PROD", production, nginx(production.address))
    image = images.put_image(development, code, VERSION, 3_000_000, 100)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 0, outcome.err
    assert ask.digest(production, code, "latest") == image.digest


def test_proxy_body_limit_error_names_the_nginx_setting(agent, development, production, code, nginx):
    agent.use("DOCKER_REGISTRY_PROD", production, nginx(production.address, limit="1m"))
    images.put_image(development, code, VERSION, 20_000_000)
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 1
    assert "client_max_body_size" in outcome.err
    assert "retrying" not in outcome.err
    assert ask.tags(production, code) == []


def test_promotion_within_one_registry_mounts_layers_without_copying(agent, development, code, fault_proxy):
    image = images.put_image(development, f"dev/{code}", VERSION, 3_000_000)
    proxy = fault_proxy(development.address)
    agent.use("DOCKER_REGISTRY", development, f"{proxy.address}/dev")
    agent.use("DOCKER_REGISTRY_PROD", development, f"{proxy.address}/prod")
    outcome = agent("promote", "--version", VERSION)
    assert outcome.code == 0, outcome.err
    assert ask.digest(development, f"prod/{code}", "latest") == image.digest
    assert proxy.count("GET", "/blobs/") == 0
    assert proxy.count("PUT", "/uploads/") == 0


def test_where_mounting_is_refused_the_layers_are_moved(agent, development, code, fault_proxy):
    image = images.put_image(development, f"dev/{code}", VERSION, 3_000_000)
    proxy = fault_proxy(development.address, Fault("POST", "mount=", status=405))
    agent.use("DOCKER_REGISTRY", development, f"{proxy.address}/dev")
    agent.use("DOCKER_REGISTRY_PROD", development, f"{proxy.address}/prod")
    assert agent("promote", "--version", VERSION).code == 0
    assert ask.digest(development, f"prod/{code}", "latest") == image.digest


def test_lab_registry_accepts_expired_tokens_for_sixty_seconds(tokens, guarded, code):
    """What the test of renewal stands on: without it that token would be good for a minute more."""
    assert LEEWAY == 60
    tokens.lifetimes = [-2]
    token = tokens.token("tester", [f"repository:{code}:pull"])
    refused = ask.registry(guarded, "GET", f"/v2/{code}/tags/list", Authorization=f"Bearer {token}")
    assert refused.status == 401
    token = tokens.token("tester", [f"repository:{code}:pull"])
    assert ask.registry(guarded, "GET", f"/v2/{code}/tags/list", Authorization=f"Bearer {token}").status == 404
