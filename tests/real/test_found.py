"""A service that an operator started before the first deploy is kept as the previous release, and never lost."""

from __future__ import annotations

import shlex

import pytest

from real.site import Site

BY_HAND = """\
services:
  CODE:
    image: REGISTRY/CODE:TAG
    container_name: CODE
    ports: ["PORT:8080"]
    environment: {VERSION: by-hand}
    volumes: ["data:/data"]
  helper:
    image: REGISTRY/CODE:TAG
    command: [sleep, "3600"]
    stop_grace_period: 0s
volumes: {data: {}}
"""


def start_by_hand(site: Site, name: str, options: str = "") -> str:
    """Start a service like an operator, from a file ``name``; return the image's id."""
    version = site.publish("plain")
    text = BY_HAND.replace("CODE", site.code).replace("PORT", str(site.port))
    text = text.replace("REGISTRY", site.registry.address).replace("TAG", version)
    server = site.servers[0]
    file = server.folder / "compose" / site.code / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    (file.parent / ".env").write_text("# an operator's\nA=1\n")
    if name == "compose.yaml":
        # An earlier file of theirs, which Compose ignores beside this one, has the name of the release's.
        (file.parent / "docker-compose.yml").write_text("# no longer in use\n")
    login = f"docker login -u {site.registry.user} -p {shlex.quote(site.registry.password)} {site.registry.address}"
    tool = "docker compose" if server.compose == "v2" else "docker-compose"
    server.run(
        f"{login} && cd /docker/compose/{site.code} && {tool} {options} up -d && rm -f /root/.docker/config.json"
    )
    return server.docker("inspect", "-f", "{{.Image}}", site.code).strip()


def of_folder(site: Site) -> str:
    return f"label=com.docker.compose.project.working_dir=/docker/compose/{site.code}"


def folder(site: Site) -> dict[str, bytes]:
    """The files of the operator, and what else lies beside them."""
    place = site.servers[0].folder / "compose" / site.code
    return {file.name: file.read_bytes() for file in place.iterdir() if file.is_file() and file.name != ".lock"}


@pytest.mark.parametrize(
    ("name", "options"),
    [("compose.yaml", ""), pytest.param("docker-compose.yaml", "-p shop", marks=pytest.mark.matrix)],
)
def test_failed_first_deploy_restores_the_manual_service_exactly(either: Site, name: str, options: str):
    if either.servers[0].compose == "v1" and name == "compose.yaml":
        options = f"-f {name}"  # v1 does not look for it
    image = start_by_hand(either, name, options)
    files = folder(either)
    status = either("status", "--json").result["servers"][0]
    assert (status["version"], status["differs"]) == ("", ["found"])
    assert {one["service"]: one["state"] for one in status["containers"]} == {
        either.code: "running",
        "helper": "running",
    }
    # One whose file is gone could not be brought back: it is not touched.
    container = either.container()
    either.sh(f"mv {name} kept.yml")
    done = either("deploy", "--version", either.publish("plain"))
    assert (done.code, name in done.err, either.container()) == (1, True, container), done.err
    either.sh(f"mv kept.yml {name}")
    done = either("deploy", "--version", either.publish("unhealthy"))
    assert done.code == 3, done.err
    assert folder(either) == files
    assert either.servers[0].get(either.port).strip() == "by-hand"
    assert either.servers[0].docker("inspect", "-f", "{{.Image}}", either.code).strip() == image
    status = either("status", "--json")
    found = status.result["servers"][0]
    assert found["version"].startswith("found-"), (
        found,
        status.err,
        either.sh("ls -la . releases; cat releases/.current releases/.log"),
    )
    assert {one["service"]: one["state"] for one in found["containers"]} == {
        either.code: "running",
        "helper": "running",
    }
    # One that is well replaces it, and a person's own `up -d` gives the same.
    either.set("CONTAINER_PIPELINE_KEEP", "2")
    either.deployed("plain")
    before = either.container()
    either.sh("docker compose up -d" if either.servers[0].compose == "v2" else "docker-compose up -d")
    assert either.container() == before
    helpers = f"docker ps -aq --filter label=com.docker.compose.service=helper --filter {of_folder(either)}"
    assert either.sh(helpers) == ""
    # Of the releases it is the last to be removed, and it can come back.
    version = either.deployed("plain")
    assert either.running() == version
    assert {name.partition("-")[0] for name in either.sh("ls releases").split()} == {version, "found"}
    back = either("rollback")
    assert back.code == 0, back.err
    assert folder(either) == files
    assert either.servers[0].get(either.port).strip() == "by-hand"
    # Its project is not named after the code: nobody else removes it.
    either.sh(f"docker rm -f $(docker ps -aq --filter {of_folder(either)})")
