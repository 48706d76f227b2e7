"""A registry that lies, floods, stalls or nests costs one sentence. It is a socket that answers with whatever a test says."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Callable

import pytest

from container_pipeline.__main__ import main
from container_pipeline.clients.registry import connection
from unit.table import table

ROOT = Path(__file__).parents[2]
V = "20261124093015"
DIGEST = "sha256:" + "a" * 64
Lie = Callable[[str, str], Iterable[bytes]]


def answer(body: bytes | str = b"", *headers: str, status: str = "200 OK") -> list[bytes]:
    data = body if isinstance(body, bytes) else body.encode()
    length = (
        []
        if any(header.startswith(("Transfer", "Content-Length")) for header in headers)
        else [f"Content-Length: {len(data)}"]
    )
    return ["\r\n".join([f"HTTP/1.1 {status}", *headers, *length, "", ""]).encode("latin-1"), data]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Late:
    """A response that is made when it is first sent: to list the tests takes no time then."""

    def __init__(self, make: Callable[[], list[bytes]]) -> None:
        self._make = functools.cache(make)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._make())


@contextmanager
def liar(lie: Lie) -> Iterator[str]:
    """Yield the address of a server that answers each request with ``lie(method, path)``, for as long as somebody reads it."""
    closing = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve(peer: socket.socket) -> None:
            with peer, suppress(OSError):
                while not closing.is_set():
                    head = b""
                    while b"\r\n\r\n" not in head:
                        data = peer.recv(65536)
                        if not data:
                            return
                        head += data
                    method, path, _version = head.split(b"\r\n")[0].decode().split(" ")
                    # At once: a delay of the other side's acknowledgement costs 40 ms for each answer.
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    for piece in lie(method, path):
                        peer.sendall(piece)
                    if b"Transfer" in head:
                        # Closed with a body that nobody read, the connection would be reset before the answer is read.
                        peer.shutdown(socket.SHUT_WR)
                        while peer.recv(65536):
                            pass
                        return

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        closing.set()
        server.shutdown(socket.SHUT_RDWR)


def registry(**lies: Iterable[bytes]) -> Lie:
    """Return a registry with one version; ``lies`` replace what it answers for ping, tags, manifest, config."""
    config = json.dumps({"created": "2026-11-24T09:30:15Z"}).encode()
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"digest": digest, "size": len(config)},
            "layers": [],
        }
    ).encode()

    def reply(method: str, path: str) -> Iterable[bytes]:
        kinds = ("referrers", "tags", "manifest", "blob", "token")
        kind = "ping" if path == "/v2/" else next(k for k in kinds if k in path)
        if "/manifests/sha256-" in path:
            return answer(b"", status="404 x")
        usual = {
            "referrers": answer(b"", status="404 x"),
            "ping": answer(),
            "tags": answer(json.dumps({"tags": [V]})),
            "manifest": answer(manifest, "Content-Type: application/vnd.oci.image.manifest.v1+json"),
            "blob": answer(config),
        }
        said = list(usual[kind]) if kind not in lies else lies[kind]
        return said[:1] if method == "HEAD" and isinstance(said, list) else said

    return reply


def flood(piece: bytes, head: bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") -> Iterator[bytes]:
    yield head
    while True:
        yield piece


def manifest(**document: object) -> list[bytes]:
    return answer(json.dumps({"schemaVersion": 2, **document}), "Content-Type: application/json")


DEEP = "[" * 100_000 + "]" * 100_000
NESTED = '{"tags":' * 70 + "[]" + "}" * 70
OCI_INDEX = "Content-Type: application/vnd.oci.image.index.v1+json"
MANY = json.dumps({"manifests": [{"digest": f"sha256:{number:064x}"} for number in range(3000)]})
#: 50 megabytes of blanks in 50 kilobytes.
BLANKS = Late(lambda: answer(gzip.compress(b" " * 50_000_000, 1), "Content-Encoding: gzip"))
LIES: dict[str, dict[str, Iterable[bytes]]] = {
    "deep json": {"tags": answer(DEEP)},
    "deeper than the bound": {"tags": answer(NESTED)},
    "deep json object": {"tags": answer('{"tags":' * 50_000)},
    "deep manifest": {"manifest": answer('{"a":' + DEEP + "}")},
    "number of 5000 digits": {"tags": answer('{"tags":[' + "9" * 5000 + "]}")},
    "number of a million digits": {"manifest": answer('{"size":' + "9" * 1_000_000 + "}")},
    "not a number": {"manifest": manifest(config={"digest": DIGEST, "size": float("nan")})},
    "an infinite size": {"manifest": answer('{"layers":[{"digest":"' + DIGEST + '","size":1e999}]}')},
    "a huge size": {"manifest": manifest(layers=[{"digest": DIGEST, "size": 10**18}])},
    "a size of true": {"manifest": manifest(layers=[{"digest": DIGEST, "size": True}])},
    "a negative size": {"manifest": manifest(layers=[{"digest": DIGEST, "size": -1}])},
    "tags are a number": {"tags": answer('{"tags":7}')},
    "tags are numbers": {"tags": answer('{"tags":[7]}')},
    "tags are maps": {"tags": answer('{"tags":[{}]}')},
    "a list in place of a map": {"tags": answer("[]")},
    "a text in place of a map": {"tags": answer('"x"')},
    "null": {"tags": answer("null")},
    "layers are a number": {"manifest": manifest(layers=7)},
    "layers are a text": {"manifest": manifest(layers="abc")},
    "layers are lists": {"manifest": manifest(layers=[[]])},
    "layers without end": {"manifest": manifest(layers=[{"digest": DIGEST, "size": 1}] * 3000)},
    "a digest is a list": {"manifest": manifest(config={"digest": [DIGEST], "size": 1})},
    "a digest that is none": {"manifest": manifest(config={"digest": "x" * 100_000, "size": 1})},
    "not utf-8": {"tags": answer(b'{"tags":["\xff\xfe"]}')},
    "nul bytes": {"tags": answer(b"\x00" * 1000)},
    "utf-16": {"tags": answer('{"tags":[]}'.encode("utf-16"))},
    "a lone surrogate": {"tags": answer('{"tags":["\\ud800"]}')},
    "gzip although not asked": {"tags": BLANKS},
    "redirect to no address": {"tags": answer(b"", "Location: http://[::1", status="307 x")},
    "redirect to a bad port": {"tags": answer(b"", "Location: http://127.0.0.1:99999/", status="307 x")},
    "redirect to a port that is no number": {"ping": answer(b"", "Location: http://127.0.0.1:x/", status="302 x")},
    "redirect to a name that is none": {"tags": answer(b"", "Location: http://a..b/", status="307 x")},
    "redirect beyond ascii": {"tags": answer(b"", "Location: /v2/\xe9", status="307 x")},
    "redirect with a blank": {"tags": answer(b"", "Location: /v2/tags a", status="307 x")},
    "redirect to itself": {"tags": answer(b"", "Location: tags", status="307 x")},
    "the next page is no address": {"tags": answer('{"tags":[]}', "Link: <http://[>; rel=next")},
    "the next page is this page": {"tags": answer('{"tags":[]}', "Link: </v2/x/tags/list>; rel=next")},
    "a link of signs": {"tags": answer('{"tags":7}', "Link: " + "<" * 60_000)},
    "wait for ever": {"tags": answer(b"", "Retry-After: " + "9" * 400, status="429 x")},
    "wait for a power": {"tags": answer(b"", "Retry-After: \xb2", status="429 x")},
    "wait until the year 1": {"tags": answer(b"", "Retry-After: Mon, 01 Jan 0001 00:00:00 +2359", status="429 x")},
    "too many headers": {"tags": answer(b"", *(f"X-{n}: 1" for n in range(200)))},
    "a header without end": {"tags": answer(b"", "X: " + "x" * 100_000)},
    "no status": {"tags": [b"SSH-2.0-OpenSSH_9.2\r\n", b"\r\n" * 100]},
    "a status that is none": {"tags": [b"HTTP/1.1 abc x\r\n\r\n"]},
    "a length that is none": {"tags": answer(b"[]", "Content-Length: abc")},
    "a negative length": {"tags": answer(b"[]", "Content-Length: -5")},
    "a chunk that is none": {"tags": answer(b"zz\r\n", "Transfer-Encoding: chunked")},
    "a realm that is no address": {"ping": answer(b"", 'WWW-Authenticate: Bearer realm="http://[x"', status="401 x")},
    "a realm elsewhere": {"ping": answer(b"", 'WWW-Authenticate: Bearer realm="gopher://x/"', status="401 x")},
    "a challenge of signs": {"ping": answer(b"", "WWW-Authenticate: " + "a" * 60_000, status="401 x")},
    "an error that is a map": {"tags": answer('{"errors":[{"message":{"a":1}}]}', status="400 x")},
    "an error of a megabyte": {
        "tags": answer(json.dumps({"errors": [{"message": "x\x1b[2J\n" * 200_000}]}), status="400 x")
    },
    "referrers of deep json": {"referrers": answer(DEEP, OCI_INDEX)},
    "referrers are a number": {"referrers": answer('{"manifests":7}', OCI_INDEX)},
    "referrers are lists": {"referrers": answer('{"manifests":[[]]}', OCI_INDEX)},
    "a referrer's digest is a list": {"referrers": answer('{"manifests":[{"digest":[1]}]}', OCI_INDEX)},
    "referrers without end": {"referrers": answer(MANY, OCI_INDEX)},
    "the next page of referrers is this page": {
        "referrers": answer('{"manifests":[]}', OCI_INDEX, "Link: <x>; rel=next")
    },
    "errors are a text": {"tags": answer('{"errors":"x"}', status="400 x")},
}


def run(address: str, monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    for role in ("DOCKER_REGISTRY", "DOCKER_REGISTRY_PROD"):
        monkeypatch.setenv(role, address)
        monkeypatch.setenv(f"{role}_USER", "user")
        monkeypatch.setenv(f"{role}_PASS", "a-long-password")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    monkeypatch.setattr("container_pipeline.clients.registry.transport.FIRST_WAIT", 0.001)
    return main([*words, "--project", str(folder), "--code", "x"])


CASES = [("images", name) for name in LIES]
CASES += [("promote", name) for name, lies in LIES.items() if {"manifest", "referrers"} & set(lies)]


@table(("command", "name"), CASES)
def test_false_response_gives_one_error_naming_the_registry(name, command, monkeypatch, capsys, tmp_path):
    begun = time.monotonic()
    with liar(registry(**LIES[name])) as address:
        code = run(address, monkeypatch, tmp_path, *{"promote": ["promote", "--version", V]}.get(command, [command]))
    out, err = capsys.readouterr()
    assert "unexpected" not in err
    assert "Traceback" not in err
    assert all(char.isprintable() or char == "\n" for char in out + err)
    # One about an image may be a bad row of a table, and an error that cannot be read is one without words.
    assert code in (0, 1)
    if code:
        last = next(line for line in err.splitlines() if line.startswith("container-pipeline: "))
        assert len(last) < 700
        assert "registry" in last or "manifest" in last or address in last
    elif "tags" in LIES[name] and name != "not utf-8":  # a false list of tags is never shown as tags
        assert not out.strip().splitlines()[1:]
    assert time.monotonic() - begun < 20


@table(
    "token",
    ['{"token":"a\\nb"}', '{"token":"\\u4e2d"}', '{"token":7}', '{"token":["x"]}', "[]", '{"token":""}', DEEP],
)
def test_token_invalid_in_a_header_is_not_shown(token, monkeypatch, capsys, tmp_path):
    challenge = 'WWW-Authenticate: Bearer realm="http://{}/token"'

    def lie(method: str, path: str) -> Iterable[bytes]:
        return answer(token) if "token" in path else answer(b"", challenge.format(home), status="401 x")

    with liar(lie) as home:
        assert run(home, monkeypatch, tmp_path, "images") == 1
    err = capsys.readouterr().err
    assert f"the token server http://{home}/token returned" in err
    assert "4e2d" not in err
    assert "\\n" not in err


@table("life", ["1e999", "-5", '"x"', "[]", "null", "9" * 300, "NaN", "true"])
def test_token_with_invalid_lifetime_is_used_or_refused(life, monkeypatch, capsys, tmp_path):
    honest = registry()
    asked = []

    def lie(method: str, path: str) -> Iterable[bytes]:
        if "token" in path:
            return answer('{"token":"t","expires_in":' + life + "}")
        if path == "/v2/" and not asked.append(path) and len(asked) == 1:
            return answer(b"", f'WWW-Authenticate: Bearer realm="http://{home}/token"', status="401 x")
        return honest(method, path)

    with liar(lie) as home:
        code = run(home, monkeypatch, tmp_path, "images")
    assert "unexpected" not in capsys.readouterr().err
    assert code in (0, 1)


def test_repeated_children_of_an_index_are_read_once(monkeypatch, capsys, tmp_path):
    """Ten levels of ten references each would be ten billion requests."""
    kind = "application/vnd.oci.image.index.v1+json"
    known: dict[str, bytes] = {}
    digest, size = "", 0
    for level in range(10):
        body = json.dumps(
            {"level": level, "manifests": [{"digest": digest, "size": size}] * 10 if digest else []}
        ).encode()
        digest, size = "sha256:" + hashlib.sha256(body).hexdigest(), len(body)
        known[digest] = body
    asked = []

    def lie(method: str, path: str) -> Iterable[bytes]:
        asked.append(path)
        if method == "HEAD":
            return answer(status="404 Not Found")[:1]
        if "manifests" not in path:
            return answer()
        return answer(known.get(path.rpartition("/")[2], known[digest]), f"Content-Type: {kind}")

    with liar(lie) as address:
        assert run(address, monkeypatch, tmp_path, "promote", "--version", V) == 1
    assert "nests indexes too deeply" in capsys.readouterr().err
    assert len(asked) < 50


@pytest.mark.parametrize("name", ["bytes", "json", "100s", "trickle", "trickle of a head", "silence", "pages"])
def test_what_never_ends_is_ended(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(connection, "WHOLE", 0.2)
    monkeypatch.setattr(connection, "SILENCE", 0.2)
    pages = iter(range(10**9))

    def slowly(head: bytes) -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(0.05)
            yield b" "

    def lie(method: str, path: str) -> Iterable[bytes]:
        if path == "/v2/":
            return answer()
        length = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
        return {
            "bytes": lambda: flood(chunk(b"x" * 65536)),
            "json": lambda: flood(chunk(b"[]," * 20_000)),
            "100s": lambda: flood(b"HTTP/1.1 100 Continue\r\n\r\n", b""),
            "trickle": lambda: slowly(length),
            "trickle of a head": lambda: slowly(b"HTTP/1.1 200 OK\r\nX: "),
            "silence": lambda: (time.sleep(2) or b"" for _ in range(1)),
            "pages": lambda: answer(
                json.dumps({"tags": [f"t{next(pages)}"] * 1000}), f"Link: </v2/x/tags/list?l={next(pages)}>; rel=next"
            ),
        }[name]()

    begun = time.monotonic()
    with liar(lie) as address:
        assert run(address, monkeypatch, tmp_path, "images") == 1
    assert "unexpected" not in capsys.readouterr().err
    assert time.monotonic() - begun < 30


def test_a_flood_takes_less_than_150_megabytes(tmp_path):
    """Of a process of its own: the peak of this one is that of the tests before."""
    # Not getrusage: its peak includes that of the process that started this one.
    code = (
        "import os, re, sys; from container_pipeline.__main__ import main\n"
        "for os.environ['DOCKER_REGISTRY'] in sys.argv[3:]: print('code', main(['images', *sys.argv[1:3], '--code', 'x']))\n"
        "print(re.search('VmHWM:\\\\s+([0-9]+)', open('/proc/self/status').read())[1])"
    )
    empties = b'{"tags":[' + b"[]," * 2_700_000 + b"[]]}"
    lies = (flood(chunk(b"x" * 65536)), answer(empties), answer(b'{"tags":["' + b"x" * 8_000_000 + b'"]}'))
    with ExitStack() as liars:
        addresses = [liars.enter_context(liar(registry(tags=lie))) for lie in lies]
        command = [sys.executable, "-c", code, "--project", str(tmp_path), *addresses]
        environ = {**os.environ, "PYTHONPATH": str(ROOT / "agent"), "LC_ALL": "C"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    *lines, peak = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("code ")] == ["code 1", "code 1", "code 0"]
    assert int(peak) < 150_000
    assert "unexpected" not in done.stderr


def test_invalid_proxy_address_does_not_show_its_password(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("https_proxy", "http://user:pa/ss-word@proxy:3128")
    assert run("registry.example", monkeypatch, tmp_path, "images") == 1
    err = capsys.readouterr().err
    assert "the address in http_proxy or https_proxy cannot be read" in err
    assert "ss-word" not in err


def test_non_utf_8_login_is_sent_unchanged(monkeypatch, capsys, tmp_path):
    with liar(registry(ping=answer(b"", "WWW-Authenticate: Basic", status="401 x"))) as address:
        monkeypatch.setattr(os, "environ", {**os.environ})
        run(address, monkeypatch, tmp_path, "images")
        monkeypatch.setenv("DOCKER_REGISTRY_PASS", b"p\xe4ss-wort".decode("utf-8", "surrogateescape"))
        assert main(["images", "--project", str(tmp_path), "--code", "x"]) == 0
    assert "unexpected" not in capsys.readouterr().err
