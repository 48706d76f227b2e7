"""Helpers for projects before a build and images after it."""

from __future__ import annotations

import json
import os

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


def shown(engine: docker.APIClient, image: str, *command: str) -> str:
    """Return a command's output in a container of the image."""
    container = engine.create_container(image, list(command))
    try:
        engine.start(container)
        engine.wait(container)
        return str(engine.logs(container).decode())
    finally:
        engine.remove_container(container, force=True)


def files(engine: docker.APIClient, image: str) -> set[str]:
    return {line.removeprefix("/c/") for line in shown(engine, image, "find", "/c", "-type", "f").splitlines()}
