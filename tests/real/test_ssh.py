"""Connections to servers, and refusals."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from pathlib import Path

from lab.watcher import ArgvWatcher
from real.site import Site


def known_hosts(site: Site, tmp_path: Path, text: str) -> None:
    # As Jenkins names folders of branches: a per cent sign begins one of ssh's own tokens.
    path = tmp_path / "known hosts%2Fx"
    path.write_text(text)
    site.set("CONTAINER_PIPELINE_KNOWN_HOSTS", str(path))


def untouched(site: Site) -> bool:
    return site.servers[0].run(f"ls -d /docker/compose/{site.code} 2>/dev/null || true") == ""


def test_deploy_accepts_only_known_or_accepted_host_keys(site: Site, tmp_path: Path):
    version, host = site.publish(), site.servers[0]
    known_hosts(site, tmp_path, "")
    done = site("deploy", "--version", version)
    assert (done.code, "its host key is not known" in done.err, untouched(site)) == (1, True, True), done.err
    assert (tmp_path / "known hosts%2Fx").read_text() == ""
    # A changed key is refused even with the option.
    other = site.lab.servers[1].box.host_key.with_suffix(".pub").read_text().split()
    known_hosts(site, tmp_path, f"{host.name},{host.host} {other[0]} {other[1]}\n")
    done = site("deploy", "--version", version, "--accept-new-host-key")
    assert (done.code, "its host key has changed" in done.err, untouched(site)) == (1, True, True), done.err
    # The option records a new one.
    known_hosts(site, tmp_path, "")
    done = site("deploy", "--version", version, "--accept-new-host-key")
    assert done.code == 0, done.err
    assert host.host in (tmp_path / "known hosts%2Fx").read_text()
    assert site("status").code == 0


def test_rejected_ssh_key_reports_a_refused_login(site: Site, tmp_path: Path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    # An empty configuration: the lab's own would offer the right key as well.
    (tmp_path / "config").write_text(f"Host {site.servers[0].name}\n HostName {site.servers[0].host}\n User root\n")
    known_hosts(site, tmp_path, Path(site.lab.known_hosts).read_text())
    site.set("CONTAINER_PIPELINE_SSH_CONFIG", str(tmp_path / "config"))
    site.set("CONTAINER_PIPELINE_SSH_KEY", str(tmp_path / "key"))
    done = site("status")
    assert done.code == 1
    assert "the SSH login was refused" in done.err
    right = tmp_path / "right%2Fkey"
    right.write_bytes(site.lab.ssh_key.read_bytes())
    right.chmod(0o600)
    site.set("CONTAINER_PIPELINE_SSH_KEY", str(right))
    done = site("status")
    assert "nothing is deployed there" in done.out + done.err


def test_dead_and_silent_servers_block_no_other(site: Site):
    """One has no machine behind its address, and one accepts the connection and says nothing."""
    well = site.servers[0]
    dead = well.host.rpartition(".")[0] + ".253"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        silent = f"127.0.0.1:{listening.getsockname()[1]}"
        site.set("CONTAINER_PIPELINE_SERVERS", ",".join((dead, silent, well.name)))
        run = site.start("deploy", "--version", site.publish(), "--json")
        out, err = run.communicate(timeout=90)
    assert run.returncode == 1
    result = json.loads(out)
    status = {one["name"]: one["status"] for one in result["servers"]}
    assert status == {dead: "unreachable", silent: "unreachable", well.name: "ok"}
    assert result["error"]["message"] == f"deploy failed on 2 of 3 servers: {dead}, {silent}"
    # One table, on stderr because stdout holds the JSON.
    assert re.search(r"^server-1 +ok ", err, re.M)
    assert f"{dead}, {silent} — check the name, the port and the network" in err, err


def test_an_abort_while_ssh_connects_ends_with_143(site: Site):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site.set("CONTAINER_PIPELINE_SERVERS", f"127.0.0.1:{silent.getsockname()[1]}")
        run = site.start("status")
        held, _address = silent.accept()
        # Like Jenkins: children first.
        children = subprocess.run(["pgrep", "-P", str(run.pid)], capture_output=True, text=True, check=True).stdout
        for child in children.split():
            os.kill(int(child), signal.SIGTERM)
        time.sleep(0.5)
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=30)
        held.close()
    assert run.returncode == 143


def test_no_password_leaks_and_only_pull_login_travels(
    either: Site, server_factory, registry_factory, tmp_path: Path, monkeypatch
):
    """Not to ssh's arguments or environment, a log or a file; and the server gets the login for pulls alone."""
    # A server of its own: on a shared one, the runs of other tests remove a login that this one would leave.
    server = server_factory("server-1", compose=either.servers[0].compose)
    either.on(server)
    # Passwords of its own: below, the test itself has them in arguments.
    registry = registry_factory()
    either.use(registry)
    server.run("rm -rf /root/.docker; mkdir -p /root/.docker; echo '{}' > /root/.docker/config.json")
    either.write(".env", "ENV=test\nTOKEN=t0k3n-of-the-service\n")
    version = either.publish()
    reader = registry.add_user("reader")
    # What the deploy must not need: the registry would refuse it.
    either.set("DOCKER_REGISTRY_PASS", "push-canary")
    either.set("DOCKER_REGISTRY_PULL_USER", "reader")
    either.set("DOCKER_REGISTRY_PULL_PASS", reader)
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nenv >> {tmp_path}/environment\ntee -a {tmp_path}/sent | /usr/bin/ssh "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    login, pushes = (base64.b64encode(text.encode()) for text in (f"reader:{reader}", f"{registry.user}:push-canary"))
    words = (reader, login.decode(), "push-canary", "t0k3n-of-the-service")
    with ArgvWatcher(words) as watcher:
        done = either("deploy", "--version", version, "-v")
    assert done.code == 0, done.err
    assert either.container()
    assert watcher.seen == []
    sent = (tmp_path / "sent").read_bytes()
    assert (login in sent, pushes in sent, b"push-canary" in sent) == (True, False, False)
    environment = (tmp_path / "environment").read_text()
    assert ("PATH=" in environment, "DOCKER_" in environment) == (True, False)
    assert [word for word in words if word in done.out + done.err + environment] == []
    folders = f"/docker/compose/{either.code} /root/.docker /tmp"
    found = server.run(f"grep -rlF -e {login.decode()} -e {shlex.quote(reader)} {folders} 2>/dev/null || true")
    assert found == ""
    assert server.run("cat /root/.docker/config.json").strip() == "{}"
    assert either.left_over() == ""
