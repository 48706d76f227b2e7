"""What the engine's answers become: sentences, hints, progress."""

from __future__ import annotations

import io
from contextlib import ExitStack

import pytest
import requests

from container_pipeline.clients.engine import _Layers, _refused, engine_errors
from container_pipeline.console import Console
from container_pipeline.errors import EngineError
from container_pipeline.model import Registry, RegistryAccess


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (PermissionError(13, "Permission denied"), "this user may not use Docker"),
        (FileNotFoundError(2, "No such file or directory"), "start it, or name one in DOCKER_HOST"),
        (requests.ConnectionError("refused"), "start it, or name one in DOCKER_HOST"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_told_with_what_to_do(error, hint):
    with pytest.raises(EngineError) as caught, engine_errors("it failed"):
        raise error
    assert caught.value.message.startswith("it failed: ")
    assert caught.value.hint.startswith(hint)


def test_our_own_reader_that_went_away_is_no_fault_of_the_engine():
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
def test_a_refused_login_names_the_variables_of_that_registry(role, said, hint):
    error = _refused("it failed", {"error": said}, RegistryAccess(role, Registry("r.example"), "me"))
    assert (error.message, error.hint) == (f"it failed: {said}", hint)


def test_a_push_shows_each_layer_once_and_keeps_the_digest():
    stream = io.StringIO()
    with ExitStack() as tasks:
        layers = _Layers(Console(stream=stream), tasks)
        for event in (
            {"status": "Preparing", "id": "aaa"},
            {"status": "Pushing", "id": "aaa", "progressDetail": {"current": 5, "total": 10}},
            {"status": "Pushing", "id": "bbb", "progressDetail": {"current": 1, "total": 2}},
            {"status": "Pushing", "id": "aaa", "progressDetail": {"current": 10, "total": 10}},
            {"status": "Pushed", "id": "aaa", "progressDetail": {}},
            {"progressDetail": {}, "aux": {"Tag": "1", "Digest": "sha256:abc", "Size": 7}},
        ):
            layers.see(event)
        assert list(layers._layers) == ["aaa", "bbb"]
        assert layers._done == {"aaa": 10, "bbb": 1}
    assert layers.digest == "sha256:abc"
