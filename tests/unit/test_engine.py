"""Conversion of the engine's responses to sentences, hints and progress."""

from __future__ import annotations

import io
import tarfile
import time
from contextlib import ExitStack

import pytest
import requests

from container_pipeline.clients import engine, imagefiles
from container_pipeline.clients.engine import (
    BuildLog,
    BuildOptions,
    Engine,
    _Layers,
    _refused,
    engine_errors,
    read_events,
)
from container_pipeline.console import Console
from container_pipeline.errors import BuildError, EngineError, PipelineError
from container_pipeline.model import ImageRef, Registry, RegistryAccess, Repository
from container_pipeline.outside import Unreadable
from unit.table import table
from unit.test_lying_registry import DEEP, answer, chunk, flood, liar


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (PermissionError(13, "Permission denied"), "this user may not use Docker"),
        (FileNotFoundError(2, "No such file or directory"), "start it, or set DOCKER_HOST"),
        (requests.ConnectionError("refused"), "start it, or set DOCKER_HOST"),
    ],
)
def test_unreachable_engine_error_suggests_a_fix(error, hint):
    with pytest.raises(EngineError) as caught, engine_errors("it failed"):
        raise error
    assert caught.value.message.startswith("it failed: ")
    assert caught.value.hint.startswith(hint)


def test_closed_output_pipe_is_not_an_engine_error():
    with pytest.raises(BrokenPipeError), engine_errors("it failed"):
        raise BrokenPipeError(32, "Broken pipe")


def test_the_innermost_cause_is_told():
    error = requests.ConnectionError("wrapped\ntwice")
    error.__cause__ = OSError("the socket is gone")
    with pytest.raises(EngineError) as caught, engine_errors("it failed"):
        raise error
    assert caught.value.message == "it failed: the socket is gone"


@pytest.mark.parametrize(
    ("role", "said", "hint"),
    [
        ("development", "unauthorized: authentication required", "check DOCKER_REGISTRY_USER and DOCKER_REGISTRY_PASS"),
        ("production", "denied: no", "check DOCKER_REGISTRY_PROD_USER and DOCKER_REGISTRY_PROD_PASS"),
        ("production", "blob upload unknown", ""),
    ],
)
def test_refused_login_names_that_registrys_variables(role, said, hint):
    error = _refused("it failed", {"error": said}, RegistryAccess(role, Registry("r.example"), "me"))
    assert (error.message, error.hint) == (f"it failed: {said}", hint)


def test_push_shows_each_layer_once_and_keeps_digest():
    stream = io.StringIO()
    with ExitStack() as tasks:
        layers = _Layers(Console(stream=stream), tasks)
        for event in (
            {"status": "Preparing", "id": "aaa"},
            {"status": "Pushing", "id": "aaa", "progressDetail": {"current": 5, "total": 10}},
            {"status": "Pushing", "id": "bbb", "progressDetail": {"current": 1, "total": 2}},
            {"status": "Pushing", "id": "aaa", "progressDetail": {"current": 10, "total": 10}},
            {"status": "Pushed", "id": "aaa", "progressDetail": {}},
            {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:" + "a" * 64, "Size": 7}},
        ):
            layers.see(event)
        assert list(layers._layers) == ["aaa", "bbb"]
        assert layers._done == {"aaa": 10, "bbb": 1}
    assert layers.digest == "sha256:" + "a" * 64


JSON = "Content-Type: application/json"
IMAGE = ImageRef(Registry("r.example"), Repository("x"), "1")
LIES = {
    "deep json": answer(DEEP, JSON),
    "a list": answer("[[]]", JSON),
    "a text": answer('"x"', JSON),
    "null": answer("null", JSON),
    "other types": answer('{"Id":7,"RepoDigests":7,"Size":"x","Created":[]}', JSON),
    "entries of other types": answer('[{"Id":7,"RepoTags":[7]},{"ImageID":[]}]', JSON),
    "a number without end": answer('{"Id":' + "9" * 100_000 + "}", JSON),
    "not utf-8": answer(b'{"Id":"\xff"}', JSON),
    "a flood": flood(chunk(b"x" * 65536)),
    "a refusal of a megabyte": answer('{"message":"' + "x" * 1_000_000 + '"}', JSON, status="500 x"),
    "an event that is a list": answer(chunk(b"[]\n") + chunk(b""), "Transfer-Encoding: chunked"),
    "an error that is a map": answer(chunk(b'{"error":{"a":[]}}\n') + chunk(b""), "Transfer-Encoding: chunked"),
    "a digest that is none": answer(chunk(b'{"aux":{"Digest":7}}\n') + chunk(b""), "Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("name", LIES)
def test_an_engine_that_lies_is_one_sentence(name, monkeypatch):
    version = answer('{"ApiVersion":"1.44"}', JSON)
    with liar(lambda _method, path: version if path == "/version" else LIES[name]) as address:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")
        engine = Engine(Console(stream=io.StringIO()))
        for ask in (
            lambda: engine.image(IMAGE),
            lambda: engine.tags(IMAGE),
            engine.used,
            lambda: engine.push(IMAGE, RegistryAccess("development", Registry("r.example"), "me")),
            lambda: engine.pull(IMAGE, RegistryAccess("development", Registry("r.example"), "me")),
            lambda: imagefiles.config(engine, "x"),
            lambda: imagefiles.listing(engine, "x"),
        ):
            try:
                ask()
            except PipelineError as error:
                assert len(error.message) < 2500  # noqa: PT017


@table(
    "said",
    ["{}", "[]", "7", '{"ApiVersion":7}', '{"ApiVersion":"x.y"}', '{"ApiVersion":"1.1.' + "9" * 100 + '"}', DEEP],
)
def test_invalid_engine_versions_raise_an_engine_error(said, monkeypatch):
    with liar(lambda _method, _path: answer(said, JSON)) as address:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")
        with pytest.raises(EngineError, match="the Docker engine cannot be reached"):
            Engine(Console(stream=io.StringIO()))


@table(
    "event",
    [{"stream": 7}, {"status": [], "id": 7}, {"errorDetail": 7}, {"id": "a", "progressDetail": 7}, {"aux": [7]},
     {"id": "a", "progressDetail": {"current": "x", "total": []}}, {"id": "a", "progressDetail": {"current": 5, "total": "x"}}],
)  # fmt: skip
def test_an_event_of_another_shape_is_passed_over(event):
    console = Console(stream=io.StringIO(), out=io.StringIO())
    BuildLog(console).see(event)
    with ExitStack() as tasks:
        _Layers(console, tasks).see(event)


def test_an_error_of_another_shape_ends_the_build():
    with pytest.raises(BuildError, match="the build failed"):
        BuildLog(Console(stream=io.StringIO())).see({"error": {"a": 1}, "errorDetail": {"code": "x"}})


def test_events_come_whole_however_they_are_cut():
    text = b'{"stream":"a"}\r\n{"stream":"b"}\r\n{"stream":"c"}'
    for size in (1, 3, 100):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        assert [event["stream"] for event in read_events(pieces)] == ["a", "b", "c"]


def test_an_event_without_end_is_refused():
    with pytest.raises(Unreadable, match="its response does not end"):
        list(read_events(b"x" * 65536 for _ in iter(int, 1)))


def packed(*entries: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as archive:
        for entry in entries:
            archive.addfile(entry, io.BytesIO(b"x" * entry.size))
    return file.getvalue()


def header(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("a")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.GNU_FORMAT)


def test_image_files_with_long_names_are_read():
    entry = tarfile.TarInfo("a/" * 200 + "\u00e9")
    entry.size = 3
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        (found,) = imagefiles.entries([packed(entry, format=kind)]).items()
        assert (found[0], found[1][4]) == (entry.name, 3)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"x" * 100_000],
        [header(tarfile.XHDTYPE, 1 << 33), b"x" * 2_000_000],
        [header(tarfile.GNUTYPE_LONGNAME, 1 << 33), b"x" * 2_000_000],
        [header(tarfile.GNUTYPE_SPARSE, 512), b"x" * 10_000],
        [header(b"Z", 512), b"x" * 10_000],
        [header(tarfile.XHDTYPE, 512), b"9" * 600],
        [header(tarfile.REGTYPE, -5)],
        [header(tarfile.REGTYPE, 10_000), b"x" * 600],
        [b""],
    ],
    ids=["noise", "pax", "long name", "sparse", "unknown", "bad pax", "negative", "cut", "empty"],
)
def test_unreadable_exported_images_raise_an_engine_error(chunks):
    with (
        pytest.raises(EngineError, match="it failed: the engine's response cannot be read"),
        engine_errors("it failed"),
    ):
        imagefiles.entries(chunks)


def test_more_files_than_the_bound_are_refused(monkeypatch):
    monkeypatch.setattr(imagefiles, "MOST", 50)
    with pytest.raises(Unreadable, match="more than 50 values"):
        imagefiles.entries([packed(*(tarfile.TarInfo(f"a{n}") for n in range(60)))])


def test_an_export_that_never_ends_is_ended(monkeypatch):
    monkeypatch.setattr(imagefiles, "_WHOLE", 0.2)
    begun = time.monotonic()
    with pytest.raises(Unreadable, match="its response does not end"):
        imagefiles.entries(piece for piece in iter(lambda: packed(tarfile.TarInfo("a"))[:512], b""))
    assert time.monotonic() - begun < 30


def stalling():
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield chunk(b'{"stream":"Step 1/2 : FROM a\\n"}\n')
    time.sleep(30)


def cut():
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100\r\n{"


def endless():
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield chunk(b'{"stream":"."}\n')
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (cut, "IncompleteRead"),
        (stalling, "the engine stopped responding"),
        (endless, "the engine's response cannot be read: its response does not end"),
    ],
)
def test_engine_builds_that_never_finish_are_aborted(tmp_path, monkeypatch, stream, said):
    monkeypatch.setattr(engine, "QUIET", 0.2 if stream is stalling else 30)
    monkeypatch.setattr(engine, "LONGEST", 0.2 if stream is endless else 60)
    (tmp_path / "Dockerfile").write_text("FROM a\nRUN b\n")
    image = ImageRef(Registry("r.example"), Repository("web"), "20261124093015")
    options = BuildOptions(str(tmp_path / "Dockerfile"))
    version = answer('{"ApiVersion":"1.41","Version":"20","MinAPIVersion":"1.12"}')
    with liar(lambda _method, path: stream() if "/build" in path else version) as address:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{address}")
        begun = time.monotonic()
        with pytest.raises(EngineError, match=f"web:20261124093015 could not be built: {said}"):
            Engine(Console(stream=io.StringIO(), out=io.StringIO())).build(tmp_path, image, options)
        assert time.monotonic() - begun < 20
