"""Stacks of Docker Swarm, for tests of ``mode: swarm``."""

from __future__ import annotations

from lab.handle import Server
from real.site import Site

#: Added to a service of the convention, so that Swarm updates all tasks in parallel and watches them only for a moment.
AT_ONCE = "    deploy: {update_config: {parallelism: 0, monitor: 500ms}, restart_policy: {delay: 200ms}}\n"


def join(manager: Server, server: Server, role: str) -> None:
    token = manager.docker("swarm", "join-token", "-q", role).strip()
    server.docker("swarm", "join", "--token", token, f"{manager.host}:2377")


def stack(site: Site, *companions: str, image: str = "", version: str = "3.5") -> str:
    """Return a Compose file: the own service, and companions that show a mounted file and a config and then wait."""
    own = f"${{DOCKER_REGISTRY:-x}}/{site.code}:${{VERSION:-latest}}"
    text = f"""\
version: "{version}"
services:
  {site.code}:
    image: {own}
    env_file: [.env]
    environment: {{RELEASE: "${{VERSION}}"}}
{AT_ONCE}"""
    for companion in companions:
        text += f"""\
  {companion}:
    image: {image or own}
    healthcheck: {{disable: true}}
    command: [sh, -c, "cat /page /setting; trap 'exit 0' TERM; sleep 1000 & wait"]
    volumes: ["./page:/page:ro"]
    configs: [{{source: setting, target: /setting}}]
{AT_ONCE}"""
    return text + ("configs:\n  setting: {file: ./setting}\n" if companions else "")


def services(site: Site) -> set[str]:
    """Return the names of the stack's services, without the stack's own."""
    names = site.servers[0].docker("stack", "services", "--format", "{{.Name}}", site.code).split()
    return {name.removeprefix(f"{site.code}_") for name in names}


def tasks(site: Site, service: str) -> set[str]:
    """Return the ids of a service's tasks that should run."""
    running = ("--no-trunc", "-q", "--filter", "desired-state=running")
    return set(site.servers[0].docker("service", "ps", *running, f"{site.code}_{service}").split())
