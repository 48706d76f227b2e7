"""What every benchmark starts from."""

from __future__ import annotations

import compileall
from pathlib import Path

import pytest

from lab.handle import Lab


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """Compile the agent, as an installer does: where Python keeps no bytecode, each start would compile it anew."""
    compileall.compile_dir(Path(__file__).parents[2] / "agent", quiet=2)


#: What the lab does to save the tests' time: a cheap key exchange, settings for programs in Go, a script in front of Compose.
_AS_INSTALLED = r"""
sed -i '/^KexAlgorithms/d; /^SetEnv/d' /etc/ssh/lab_sshd_config
for process in /proc/[0-9]*; do
    grep -qs '[l]istener' "$process/cmdline" && kill -HUP "${process#/proc/}"
done
cd /usr/local/lib/docker/cli-plugins 2>/dev/null || exit 0
ln -sf /usr/local/libexec/docker-compose docker-compose
sleep 1
"""


@pytest.fixture(scope="session", autouse=True)
def as_installed(lab: Lab) -> None:
    """Make the servers what an installation gives: that is what is measured."""
    for server in lab.servers:
        server.run(_AS_INSTALLED)
