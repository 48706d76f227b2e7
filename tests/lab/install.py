"""System packages for the lab and the tests, on Debian and Ubuntu."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from lab.place import LabError
from lab.process import SYSTEM_PATH, run

# command → Debian package. busybox must be the static one: it goes into an image alone.
LAB = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "openssl": "openssl",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "iptables": "iptables",
    "sysctl": "procps",
    "tini": "tini",
    "unshare": "util-linux",
    "sudo": "sudo",
    "docker-compose": "docker-compose",
    "git": "git",
    "curl": "curl",
}
TESTS = {
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "nginx": "nginx-light",
    "psql": "postgresql",
    "chromium": "chromium",
}


def missing(commands: dict[str, str]) -> list[str]:
    """Return the Debian packages of missing commands."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
    packages = {package for command, package in commands.items() if not shutil.which(command, path=path)}
    if commands is LAB and not Path("/usr/share/doc/busybox-static").exists():
        packages.add("busybox-static")
    if importlib.util.find_spec("ensurepip") is None:
        packages.add("python3-venv")
    if importlib.util.find_spec("pip") is None:
        packages.add("python3-pip")
    return sorted(packages)


def install(packages: list[str]) -> None:
    """Install with apt, as root, without starting services: the lab starts its own."""
    if not packages:
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(
            f"missing: {', '.join(packages)}; on Debian or Ubuntu: sudo apt-get install {' '.join(packages)}"
        )
    print(f"installing {', '.join(packages)}", flush=True)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        run("apt-get", "update", "-qq", timeout=600)
        apt = ["apt-get", "install", "-qq", "-y", "--no-install-recommends"]
        run("env", "DEBIAN_FRONTEND=noninteractive", *apt, *packages, timeout=1800)
    finally:
        if ours:
            policy.unlink()
