"""The lab has real and separate parts, and leaves nothing behind."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab import ask
from lab.handle import Lab, Server
from lab.project import Project
from lab.registry import Registry


def test_each_registry_knows_its_own_user_only(lab: Lab):
    for mine, other in ((lab.development, lab.production), (lab.production, lab.development)):
        assert ask.registry(mine, "GET", "/v2/").status == 200
        stranger = replace(mine, user=other.user, password=other.password)
        assert ask.registry(stranger, "GET", "/v2/").status == 401


def test_each_server_has_only_one_compose_version(lab: Lab):
    first, second = lab.servers[:2]
    assert first.run("docker compose version --short").startswith("2.")
    assert first.run("command -v docker-compose", check=False) == ""
    if second.compose == "v1":
        assert second.run("docker-compose version --short").startswith("1.")
        assert second.run("docker compose version", check=False) == ""


def test_servers_share_neither_files_nor_containers(lab: Lab, code: str):
    first, second = lab.servers[:2]
    first.run(f"mkdir -p /docker/compose/{code}; touch /tmp/{code}")
    assert (first.folder / "compose" / code).is_dir()
    assert second.run(f"ls -d /docker/compose/{code} /tmp/{code}", check=False) == ""
    assert not Path("/tmp", code).exists()
    assert first.run("docker info -f {{.ID}}") != second.run("docker info -f {{.ID}}")


def test_servers_reach_the_registries_at_the_same_address(lab: Lab):
    for registry in (lab.development, lab.production):
        status = lab.servers[0].run(f"curl -s -o /dev/null -w %{{http_code}} http://{registry.address}/v2/")
        assert status == "401"


def test_a_person_without_dockers_rights_has_sudo(lab: Lab):
    assert lab.servers[0].run("docker ps", user="deploy", check=False) == ""
    assert "CONTAINER ID" in lab.servers[0].run("sudo -n docker ps", user="deploy")


def test_an_unknown_host_key_is_refused(lab: Lab, server_factory: Callable[..., Server]):
    own = server_factory(engine="none", compose="none")
    own.ssh_config.write_text(own.ssh_config.read_text().replace(str(own.ssh_config.parent), "/nowhere"))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        own.run("true")
    assert "Host key verification failed" in failed.value.stderr


@pytest.mark.matrix
def test_the_conventional_project_runs_on_both_servers(lab: Lab, project: Project):
    image = f"{lab.production.address}/{project.code}:1"
    lab.docker("build", "-q", "-t", image, str(project.folder))
    push(lab, lab.production, image)
    assert ask.tags(lab.production, project.code) == ["1"]
    for server in lab.servers[:2]:
        folder = server.folder / "compose" / project.code
        folder.mkdir(parents=True)
        for name in ("docker-compose.yml", ".env"):
            (folder / name).write_text((project.folder / name).read_text())
        with (folder / ".env").open("a") as env:
            env.write(f"VERSION=1\nDOCKER_REGISTRY={lab.production.address}\n")
        compose = "docker compose" if server.compose == "v2" else "docker-compose"
        login(server, lab.production)
        server.run(f"cd /docker/compose/{project.code} && DOCKER_CONFIG=/tmp/login {compose} up -d")
    for server in lab.servers[:2]:
        assert server.get(project.port) == {"version": "1", "env": "test", "text": "hello"}


def push(lab: Lab, registry: Registry, image: str) -> None:
    folder = lab.home / "login"
    folder.mkdir(exist_ok=True)
    docker = [str(lab.bin / "docker"), "-H", lab.docker_host, "--config", str(folder)]
    command = [*docker, "login", "-u", registry.user, "--password-stdin", registry.address]
    subprocess.run(command, input=registry.password, text=True, check=True, capture_output=True)
    subprocess.run([*docker, "push", "-q", image], check=True, capture_output=True)


def login(server: Server, registry: Registry) -> None:
    script = f"DOCKER_CONFIG=/tmp/login docker login -u {registry.user} --password-stdin {registry.address}"
    command = ["ssh", "-F", str(server.ssh_config), f"root@{server.name}", script]
    subprocess.run(command, input=registry.password, text=True, check=True, capture_output=True)


def test_a_private_server_can_be_without_docker(server_factory: Callable[..., Server]):
    assert server_factory(engine="none").run("command -v docker", check=False) == ""


def test_a_private_server_can_use_a_shared_engine(lab: Lab, server_factory: Callable[..., Server]):
    own = server_factory(engine="server-1", compose="none")
    assert own.run("docker info -f {{.ID}}") == lab.servers[0].run("docker info -f {{.ID}}")
    assert own.run("ls /docker") == ""
    assert own.run("docker compose version", check=False) == ""


def test_a_private_server_can_have_a_small_disk(server_factory: Callable[..., Server]):
    own = server_factory(engine="server-1", disk="1m")
    with pytest.raises(subprocess.CalledProcessError, match="dd"):
        own.run("dd if=/dev/zero of=/docker/big bs=1M count=2")


def test_stopping_a_private_server_ends_its_processes(lab: Lab, server_factory: Callable[..., Server]):
    own = server_factory()
    init = own.box.init()
    assert own.run("docker info -f {{.ServerVersion}}")
    own.box.stop()
    assert not Path(f"/proc/{init}").exists()
    with pytest.raises(subprocess.CalledProcessError):
        own.run("true")


def test_secrets_are_the_owners_alone(lab: Lab):
    for name in ("lab.json", "env.sh", "registries/production/config.yml", "ssh/id_ed25519"):
        assert stat.S_IMODE((lab.home / name).stat().st_mode) == 0o600


def test_env_sh_sets_what_a_build_node_needs(lab: Lab):
    script = f'. {lab.home}/env.sh; printf "%s" "$DOCKER_REGISTRY_PROD_PASS"; command -v ssh'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"{lab.production.password}{lab.bin}/ssh\n"


@pytest.fixture
def second(lab: Lab, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the lab's command on its own folder."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LAB_DIR": str(tmp_path / "second")}
    env["DOCKER_HOST"] = lab.docker_host
    env.pop("LAB_PORT_BASE", None)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "lab", *arguments]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return call


def processes_below(folder: Path) -> list[str]:
    """Return command lines that contain the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_up_again_restarts_only_what_died(second, tmp_path: Path):
    home = tmp_path / "second"
    assert second("status").returncode == 3
    try:
        first = second("up", "--servers", "1")
        assert first.returncode == 0, first.stderr
        before = processes_below(home)
        assert len(before) == 3, before  # two registries and a server
        assert second("up", "--servers", "1").returncode == 0
        assert processes_below(home) == before
        assert second("status").returncode == 0

        registries = [line for line in before if "docker-registry" in line]
        pids = {path: path.read_text() for path in home.rglob("*.pid")}
        (pid,) = [text for path, text in pids.items() if path.parent.name == "production"]
        os.kill(int(pid.split('"pid": ')[1].split(",")[0]), 9)
        assert second("status").returncode == 3
        assert second("up", "--servers", "1").returncode == 0
        assert sorted(line for line in processes_below(home) if "docker-registry" in line) == sorted(registries)
        changed = {path.parent.name for path, text in pids.items() if path.read_text() != text}
        assert changed == {"production"}
    finally:
        ended = second("down")
    assert ended.returncode == 0, ended.stderr
    assert processes_below(home) == []
    assert not home.exists()
    assert str(home) not in Path("/proc/self/mountinfo").read_text()
    assert second("down").returncode == 0


def test_the_lab_starts_and_stops_its_own_engine(tmp_path: Path):
    # In its own network and mount namespace, without an engine's socket.
    home, result = tmp_path / "home", tmp_path / "result"
    script = f"""
        mount -t tmpfs tmpfs /run && ip link set lo up || exit 1
        python3 -m lab up --servers 1 && . {home}/env.sh || exit 1
        docker run --rm --ulimit memlock=-1:-1 busybox echo "it runs at $DOCKER_HOST" > {result}
        python3 -m lab down
    """
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "LAB_DIR": str(home)}
    env.pop("DOCKER_HOST", None)
    command = ["unshare", "--mount", "--net", "sh", "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "(started by the lab)" in done.stdout
    assert result.read_text().startswith("it runs at unix://")
    assert processes_below(home) == []
    assert not home.exists()


def test_without_root_it_says_so_in_one_line():
    command = ["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-m", "lab", "up"]
    env = {"PYTHONPATH": str(Path(__file__).parents[1]), "LAB_DIR": "/nonexistent/lab", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "root" in done.stderr
