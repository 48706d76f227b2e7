"""Runs a container as `docker run --rm` does: start it, show its output, stop it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, Any

from container_pipeline.clients.engine import WHOLE, Engine, engine_errors, identity
from container_pipeline.i18n import _
from container_pipeline.model import ImageRef, RunOptions
from container_pipeline.outside import pick, read_json

#: Seconds for an interrupted container to end by itself; Jenkins gives the agent five in all.
GRACE = 4


def run(engine: Engine, image: ImageRef, options: RunOptions, out: IO[str], err: IO[str]) -> int:
    """Run a container until it ends; return its exit code, or 0 at once with ``detach``.

    Its output goes to ``out`` and ``err``; the id of a detached one to ``out``. An exception, such as from a signal,
    stops the container before it propagates.
    """
    from container_pipeline.clients import answers

    client = engine.client
    with engine_errors(_("{image} could not be run", image=image)):
        container: str = _create(engine, image, options)
        if options.detach:
            _start(client, container)
            print(container, file=out, flush=True)
            return 0
        try:
            output = client.attach(container, stream=True, demux=True)
            ended = _when_removed(client, container)
            _start(client, container)
            for stdout, stderr in output:
                _write(out, stdout)
                _write(err, stderr)
            answers.read(ended, 1 << 16, WHOLE)
            return pick(read_json(ended.content, dict), "StatusCode", int, 1)
        except BaseException:
            with contextlib.suppress(Exception):
                client.stop(container, timeout=GRACE)
            # Nothing else removes a container that was not started.
            with contextlib.suppress(Exception):
                client.remove_container(container, force=True, v=True)
            raise


def _create(engine: Engine, image: ImageRef, options: RunOptions) -> str:
    import docker.utils.ports

    client = engine.client
    bindings = docker.utils.ports.build_port_bindings(options.ports)
    created: dict[str, Any] = client.create_container(
        str(image),
        name=options.name or None,
        environment=dict(options.environment),
        ports=list(_exposed(bindings)),
        # A volume without a host path is anonymous.
        volumes=[volume for volume in options.volumes if ":" not in volume],
        host_config=client.create_host_config(
            port_bindings=bindings,
            binds=[volume for volume in options.volumes if ":" in volume],
            auto_remove=True,
        ),
    )
    return identity(created)


def _exposed(bindings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for port in bindings:
        number, _slash, protocol = port.partition("/")
        yield number, protocol or "tcp"


def _start(client: Any, container: str) -> None:
    """Start a container; remove one that cannot start, since nothing else would."""
    try:
        client.start(container)
    except BaseException:
        with contextlib.suppress(Exception):
            client.remove_container(container, force=True, v=True)
        raise


def _when_removed(client: Any, container: str) -> Any:
    """Return a response whose body arrives when the container ends; requested before the start, so that the end is not missed.

    docker-py's own ``wait`` returns only with the body.
    """
    url = f"{client.base_url}/v{client.api_version}/containers/{container}/wait"
    answer = client.post(url, params={"condition": "removed"}, stream=True, timeout=None)
    answer.raise_for_status()
    return answer


def _write(stream: IO[str], data: bytes | None) -> None:
    if data:
        stream.flush()
        binary = getattr(stream, "buffer", None)
        if binary:
            binary.write(data)
            binary.flush()
        else:
            stream.write(data.decode("utf-8", "replace"))
