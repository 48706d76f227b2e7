"""The commands that install or update a program on a machine, by its /etc/os-release. Pure: text in, commands out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Package manager → its words for installing a package and for updating one.
_MANAGERS = {
    "apt": ("apt-get install", "apt-get install"),
    "dnf": ("dnf install", "dnf upgrade"),
    "yum": ("yum install", "yum update"),
    "zypper": ("zypper install", "zypper update"),
    "apk": ("apk add", "apk add --upgrade"),
}
#: Family of distributions → its package manager. A distribution belongs to the first one that its ID or ID_LIKE names.
_FAMILIES = {
    "ubuntu": "apt",
    "debian": "apt",
    "amzn": "dnf",
    "openeuler": "dnf",
    "ol": "dnf",
    "rhel": "dnf",
    "centos": "dnf",
    "fedora": "dnf",
    "opensuse": "zypper",
    "suse": "zypper",
    "sles": "zypper",
    "alpine": "apk",
}
#: The last major version that has yum and no dnf.
_YUM = {"amzn": 2, "alinux": 2, "tencentos": 2}
_YUM_ELSE = 7
#: Docker's own packages, where its engine calls itself "Docker Engine - Community".
_COMMUNITY = {
    "docker": "docker-ce",
    "client": "docker-ce-cli",
    "compose": "docker-compose-plugin",
    "buildx": "docker-buildx-plugin",
}
#: Program → family → package; "" for all others. A family without an entry does not package it.
_PACKAGES: Mapping[str, Mapping[str, str]] = {
    "flock": {"": "util-linux"},
    "ssh": {"debian": "openssh-client", "ubuntu": "openssh-client", "alpine": "openssh-client", "": "openssh-clients"},
    "docker": {
        "debian": "docker.io",
        "ubuntu": "docker.io",
        "fedora": "moby-engine",
        "amzn": "docker",
        "openeuler": "docker-engine",
        "opensuse": "docker",
        "suse": "docker",
        "sles": "docker",
        "alpine": "docker",
    },
    "client": {
        "debian": "docker-cli",
        "ubuntu": "docker.io",
        "fedora": "docker-cli",
        "opensuse": "docker",
        "suse": "docker",
        "sles": "docker",
        "alpine": "docker-cli",
    },
    "compose": {
        "debian": "docker-compose",
        "ubuntu": "docker-compose-v2",
        "fedora": "docker-compose",
        "opensuse": "docker-compose",
        "suse": "docker-compose",
        "sles": "docker-compose",
        "alpine": "docker-cli-compose",
    },
    "buildx": {
        "debian": "docker-buildx",
        "ubuntu": "docker-buildx",
        "fedora": "docker-buildx",
        "opensuse": "docker-buildx",
        "suse": "docker-buildx",
        "alpine": "docker-cli-buildx",
    },
}
#: Distributions without packages of Docker, for which Docker has some.
_FROM_DOCKER = ("rhel", "centos", "ol")
_REPOSITORY = "https://download.docker.com/linux/centos/docker-ce.repo"


@dataclass(frozen=True)
class System:
    """A distribution; ``community``: its Docker comes from Docker's own packages."""

    name: str = ""
    like: tuple[str, ...] = ()
    version: str = ""
    community: bool = False

    @classmethod
    def read(cls, text: str, community: bool = False) -> System:
        """Parse /etc/os-release; its lines may be joined by blanks."""
        import shlex

        try:
            words = shlex.split(text, comments=True)
        except ValueError:
            words = []
        found = dict(word.lower().partition("=")[::2] for word in words)
        return cls(found.get("id", ""), tuple(found.get("id_like", "").split()), found.get("version_id", ""), community)

    @property
    def family(self) -> str:
        names = (self.name.partition("-")[0], *self.like)
        return next((name for name in names if name in _FAMILIES), "")

    @property
    def manager(self) -> str:
        manager = _FAMILIES.get(self.family, "")
        major = self.version.partition(".")[0]
        old = major.isdigit() and int(major) <= _YUM.get(self.name, _YUM_ELSE)
        return "yum" if manager == "dnf" and old else manager


def command(program: str, system: System, *, update: bool = False) -> str:
    """Return the command that installs (or updates) flock, ssh, docker, client, compose or buildx; "" if none is known."""
    packages = _PACKAGES[program]
    package = packages.get(system.family) or packages.get("", "")
    if system.community:
        package = _COMMUNITY.get(program, package)
    if package and system.manager:
        return f"sudo {_MANAGERS[system.manager][update]} {package}"
    if program in _COMMUNITY and system.family in _FROM_DOCKER:
        adding = f"sudo curl -fsSLo /etc/yum.repos.d/docker-ce.repo {_REPOSITORY}"
        return f"{adding} && sudo {system.manager} install docker-ce docker-compose-plugin"
    return ""
