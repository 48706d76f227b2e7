"""The command that installs or updates a program fits the distribution."""

from __future__ import annotations

from container_pipeline.plan.packages import System, command
from unit.table import table

#: /etc/os-release of each, as its own base image has it, in the order in which doctor's program prints the lines.
DEBIAN = 'VERSION_ID="12"\nID=debian\n'
UBUNTU = 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n'
MINT = 'ID=linuxmint ID_LIKE="ubuntu debian" VERSION_ID="22"'
CENTOS_7 = 'ID="centos" ID_LIKE="rhel fedora" VERSION_ID="7"'
ROCKY = 'ID="rocky" ID_LIKE="rhel centos fedora" VERSION_ID="9.4"'
ORACLE = 'ID="ol" ID_LIKE="fedora" VERSION_ID="8.10"'
FEDORA = "ID=fedora VERSION_ID=42"
AMAZON_2 = 'ID="amzn" ID_LIKE="centos rhel fedora" VERSION_ID="2"'
AMAZON = 'ID="amzn" ID_LIKE="fedora" VERSION_ID="2023"'
ALIBABA_2 = 'ID="alinux" ID_LIKE="rhel fedora centos anolis" VERSION_ID="2.1903"'
ALIBABA_3 = 'ID="alinux" ID_LIKE="rhel fedora centos anolis" VERSION_ID="3"'
OPENEULER = 'ID="openEuler" VERSION_ID="22.03"'
LEAP = 'ID="opensuse-leap" ID_LIKE="suse opensuse" VERSION_ID="15.6"'
SLES = 'ID="sles" ID_LIKE="suse" VERSION_ID="15.6"'
ALPINE = "ID=alpine VERSION_ID=3.20.1"
FROM_DOCKER = (
    "sudo curl -fsSLo /etc/yum.repos.d/docker-ce.repo https://download.docker.com/linux/centos/docker-ce.repo "
    "&& sudo {} install docker-ce docker-compose-plugin"
)


@table(
    ("release", "flock", "docker", "compose"),
    [
        (DEBIAN, "apt-get install util-linux", "apt-get install docker.io", "apt-get install docker-compose"),
        (UBUNTU, "apt-get install util-linux", "apt-get install docker.io", "apt-get install docker-compose-v2"),
        (MINT, "apt-get install util-linux", "apt-get install docker.io", "apt-get install docker-compose-v2"),
        (FEDORA, "dnf install util-linux", "dnf install moby-engine", "dnf install docker-compose"),
        (AMAZON, "dnf install util-linux", "dnf install docker", ""),
        (AMAZON_2, "yum install util-linux", "yum install docker", ""),
        (OPENEULER, "dnf install util-linux", "dnf install docker-engine", ""),
        (LEAP, "zypper install util-linux", "zypper install docker", "zypper install docker-compose"),
        (SLES, "zypper install util-linux", "zypper install docker", "zypper install docker-compose"),
        (ALPINE, "apk add util-linux", "apk add docker", "apk add docker-cli-compose"),
    ],
)
def test_each_distribution_installs_its_own_packages(release: str, flock: str, docker: str, compose: str):
    found = [command(program, System.read(release)) for program in ("flock", "docker", "compose")]
    assert found == [f"sudo {words}" if words else "" for words in (flock, docker, compose)]


@table(
    ("release", "manager"),
    [(CENTOS_7, "yum"), (ALIBABA_2, "yum"), (ALIBABA_3, "dnf"), (ROCKY, "dnf"), (ORACLE, "dnf")],
)
def test_distributions_without_docker_take_docker_s_own(release: str, manager: str):
    assert command("flock", System.read(release)) == f"sudo {manager} install util-linux"
    for program in ("docker", "compose"):
        assert command(program, System.read(release)) == FROM_DOCKER.format(manager)


@table(
    ("release", "install", "update"),
    [
        (DEBIAN, "apt-get install", "apt-get install"),
        (ROCKY, "dnf install", "dnf upgrade"),
        (CENTOS_7, "yum install", "yum update"),
        (LEAP, "zypper install", "zypper update"),
        (ALPINE, "apk add", "apk add --upgrade"),
    ],
)
def test_docker_s_own_packages_stay_docker_s_own(release: str, install: str, update: str):
    system = System.read(release, community=True)
    assert command("compose", system) == f"sudo {install} docker-compose-plugin"
    assert command("compose", system, update=True) == f"sudo {update} docker-compose-plugin"
    assert command("docker", system, update=True) == f"sudo {update} docker-ce"
    assert command("client", system, update=True) == f"sudo {update} docker-ce-cli"


@table("release", ["", "ID=arch", "ID='", "VERSION_ID=", "no os-release at all"])
def test_unknown_distributions_get_no_command(release: str):
    assert [command(name, System.read(release)) for name in ("flock", "ssh", "docker", "compose", "buildx")] == [""] * 5
