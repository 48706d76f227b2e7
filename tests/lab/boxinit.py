"""The first process of a server, inside its new namespaces: sets up the machine, then becomes its init.

The root file system is this machine's, under a layer in memory: changes by the server do not reach this machine.
Home, temporary and runtime folders start empty.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SYSTEM = {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys", "usr", "var"}
EMPTY = ("/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var/tmp")
# Time for tests: OpenSSH's default key exchange takes a tenth of a second of computing at each side; and programs in Go, which
# each command on a server starts several of, need no second thread and no collector for the moment that they live.
SSHD = """\
Port 22
KexAlgorithms curve25519-sha256,ecdh-sha2-nistp256
SetEnv GOGC=off GOMAXPROCS=1
AddressFamily inet
HostKey /etc/ssh/lab_host_key
AuthorizedKeysFile /etc/ssh/lab_authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 100:30:200
MaxSessions 100
Subsystem sftp internal-sftp
"""
# `docker` asks a plugin for its metadata before each use: that would start the large program twice.
PLUGIN = """\
#!/bin/sh
[ "$1" = docker-cli-plugin-metadata ] || exec /usr/local/libexec/docker-compose "$@"
cat << 'END'
METADATA
END
"""
START = """\
/usr/sbin/sshd -D -e -f /etc/ssh/lab_sshd_config &
while :; do
    "$@"
    echo "the engine ended with $?"
    sleep 1
done &
wait
"""


def main(spec_file: str) -> None:
    spec = json.loads(Path(spec_file).read_text())
    root = Path(spec["folder"], "root")
    _mount_root(root, spec)
    _change_root(root)
    socket.sethostname(spec["name"])
    _write_files(spec)
    _choose_tools(spec)
    _wait_for_eth0()
    for command in spec["network"]:
        _run(*command)
    os.environ.clear()
    os.environ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    # The engine starts itself anew for each layer and each network: less to collect in that moment.
    os.environ["GOGC"] = "400"
    os.execv("/usr/bin/tini", ["tini", "-g", "--", "/bin/sh", "-c", START, "server", *_engine_command(spec)])


def _engine_command(spec: dict[str, Any]) -> list[str]:
    if spec["engine"] != "own":
        return ["sleep", "infinity"]
    hosts = ["-H", "unix:///run/docker.sock", "-H", "unix:///run/lab/docker.sock"]
    return ["dockerd", *hosts, *spec["dockerd"], *spec["runtime"]]


def _mount_root(root: Path, spec: dict[str, Any]) -> None:
    layer = Path(spec["folder"], "layer")
    for folder in (root, layer):
        folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", "size=512m,mode=755", "tmpfs", layer)
    for name in ("upper", "work"):
        (layer / name).mkdir()
    options = f"lowerdir=/,upperdir={layer}/upper,workdir={layer}/work"
    _mount("-t", "overlay", "-o", options, "overlay", root)
    runtime = _runtime_script(spec)
    for folder in ("/sys", "/dev"):
        _mount("--rbind", folder, f"{root}{folder}")
    _mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", f"{root}/dev/shm")
    _mount("-t", "proc", "proc", f"{root}/proc")
    others = {f"/{entry.name}" for entry in os.scandir("/") if entry.is_dir(follow_symlinks=False)}
    for folder in sorted({*EMPTY, *others} - {f"/{name}" for name in SYSTEM}):
        _make(f"{root}{folder}")
        _mount("-t", "tmpfs", "-o", f"mode={'1777' if 'tmp' in folder else '755'}", "tmpfs", f"{root}{folder}")
    if runtime:
        _make(f"{root}/usr/local/libexec")
        Path(f"{root}/usr/local/libexec/oci-runtime").write_text(runtime)
        Path(f"{root}/usr/local/libexec/oci-runtime").chmod(0o755)
    _bind(Path(spec["folder"], "engine"), f"{root}/var/lib/docker")
    _bind(Path(spec["sockets"] if spec["engine"] in ("own", "none") else spec["engine"]), f"{root}/run/lab")
    if spec["disk"]:
        _make(f"{root}/docker")
        _mount("-t", "tmpfs", "-o", f"size={spec['disk']},mode=755", "tmpfs", f"{root}/docker")
    else:
        _bind(Path(spec["folder"], "docker"), f"{root}/docker")
    if spec["compose"] == "v2":
        program, plugin = (
            f"{root}/usr/local/libexec/docker-compose",
            f"{root}/usr/local/lib/docker/cli-plugins/docker-compose",
        )
        for path in (program, plugin):
            _make(os.path.dirname(path))
        Path(program).touch()
        _mount("--bind", spec["compose_v2"], program)
        _write(plugin, PLUGIN.replace("METADATA", spec["compose_metadata"]), 0o755)


def _runtime_script(spec: dict[str, Any]) -> str:
    """Read the configuration now, since its path may be hidden soon; set the engine's options to paths on the server."""
    for index, word in enumerate(spec["runtime"]):
        if word.startswith("lab="):
            spec["runtime"][index] = "lab=/usr/local/libexec/oci-runtime"
            return Path(word[len("lab=") :]).read_text()
    return ""


def _change_root(root: Path) -> None:
    os.chdir(root)
    _make(f"{root}/.machine")
    _run("pivot_root", ".", ".machine")
    os.chdir("/")
    _run("umount", "--lazy", "/.machine")
    os.rmdir("/.machine")


def _write_files(spec: dict[str, Any]) -> None:
    name = spec["name"]
    shutil.rmtree("/etc/docker", ignore_errors=True)  # this machine's daemon.json is not the server's
    for path in ("/run/sshd", "/run/lock", "/root/.ssh", "/home/deploy"):
        _make(path)
    _write("/etc/hostname", f"{name}\n")
    _write("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
    _write("/etc/ssh/lab_sshd_config", SSHD)
    _write("/etc/ssh/lab_host_key", spec["host_key"], 0o600)
    _write("/etc/ssh/lab_authorized_keys", spec["authorized_key"])
    # A user without access to Docker, but with sudo, as on many companies' servers.
    _append("/etc/passwd", "deploy:x:4242:4242::/home/deploy:/bin/sh\n")
    _append("/etc/group", "deploy:x:4242:\n")
    _append("/etc/shadow", "deploy:*:20000:0:99999:7:::\n")
    os.chown("/home/deploy", 4242, 4242)
    if os.path.isdir("/etc/sudoers.d"):
        _write("/etc/sudoers.d/deploy", "deploy ALL=(root) NOPASSWD: ALL\n", 0o440)
    for path, text in spec["appended"]:
        _append(path, text)
    if spec["engine"] not in ("own", "none"):
        os.symlink("/run/lab/docker.sock", "/run/docker.sock")


def _choose_tools(spec: dict[str, Any]) -> None:
    """Hide all Compose and Docker commands except those that this server should have."""
    unwanted = ["/usr/libexec/docker/cli-plugins/docker-compose", "/usr/lib/docker/cli-plugins/docker-compose"]
    if spec["compose"] != "v1":
        unwanted.append("/usr/bin/docker-compose")
    if spec["engine"] == "none":
        unwanted += ["/usr/bin/docker", "/usr/sbin/dockerd"]
    # Debian's Compose v1 needs no setuptools. Where they are installed, this file makes every start of it load them: twice the time.
    unwanted.append("/usr/lib/python3/dist-packages/distutils-precedence.pth")
    for path in unwanted:
        if os.path.lexists(path):
            os.unlink(path)


def _wait_for_eth0() -> None:
    end = time.monotonic() + 20
    while "eth0" not in (name for _, name in socket.if_nameindex()):
        if time.monotonic() > end:
            raise SystemExit("no eth0 was plugged in within 20 s")
        time.sleep(0.01)


def _mount(*arguments: str | Path) -> None:
    _run("mount", *map(str, arguments))


def _bind(source: Path, target: str) -> None:
    _make(target)
    _mount("--bind", source, target)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})


def _make(folder: str) -> None:
    os.makedirs(folder, exist_ok=True)


def _write(path: str, text: str, mode: int = 0o644) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)


def _append(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1])
