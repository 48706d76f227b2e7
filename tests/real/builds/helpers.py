"""Helpers for projects before a build and images after it."""

from __future__ import annotations

import io
import json
import os
import tarfile

import docker

from real.agent import Agent


def write(agent: Agent, **files: str) -> None:
    for name, text in files.items():
        (agent.folder / name).write_text(text, encoding="utf-8")


def settings(agent: Agent, **keys: object) -> None:
    write(agent, **{"container-pipeline.yml": json.dumps(keys)})


def built(agent: Agent) -> str:
    """Return the name of the image that was built last."""
    version = (agent.folder / ".docker_build_version").read_text().strip()
    return f"{os.environ['DOCKER_REGISTRY']}/{agent.code}:{version}"


def content(engine: docker.APIClient, image: str, path: str) -> dict[str, str]:
    """Return the text of each file at or below a path of the image, by its name from there; no container is started."""
    container = engine.create_container(image, ["none"])
    try:
        stream, _about = engine.get_archive(container, path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            found = [entry for entry in archive if entry.isfile()]
            return {entry.name.partition("/")[2]: archive.extractfile(entry).read().decode() for entry in found}  # type: ignore[union-attr]
    finally:
        engine.remove_container(container, force=True)


def files(engine: docker.APIClient, image: str) -> set[str]:
    return set(content(engine, image, "/c"))
