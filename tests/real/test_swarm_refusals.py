"""Refusals of a deploy to a Swarm before any change, on real managers."""

from __future__ import annotations

import subprocess
import time

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.plan import stackfile
from lab import engine
from lab.handle import Lab
from real.site import Site
from real.stacks import join, managed, services, stack, tasks

pytestmark = pytest.mark.slow


@pytest.fixture
def two_managers(site: Site, server_factory) -> Site:
    """A Swarm of two managers, for a project with two files; without either of them it has no leader."""
    first, second = server_factory(compose="none"), server_factory(compose="none")
    managed(site, first)
    join(first, second, "manager")
    site.servers.append(second)
    site.set("CONTAINER_PIPELINE_FILES", "page,setting")
    site.write("page", "a page")
    site.write("setting", "a setting")
    return site


def until_no_leader(site: Site) -> None:
    end = time.monotonic() + 60
    while not site.servers[0].docker("info", "-f", "{{.Swarm.Error}}").strip():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_swarm_refuses_mounted_files_and_a_missing_leader(two_managers: Site):
    site = two_managers
    site.write("docker-compose.yml", stack(site, "proxy"))
    version = site.publish()
    refused = site("deploy", "--version", version)
    assert (refused.code, services(site)) == (1, set())
    assert "services mount page from `files:`, which only one node of the Swarm would have" in refused.err
    assert "use `configs:` or `secrets:`" in refused.err
    assert "a release" not in site.sh("ls -A releases .; echo a folder")

    site.write("docker-compose.yml", stack(site, "proxy").replace('    volumes: ["./page:/page:ro"]\n', ""))
    assert site("deploy", "--version", version).code == 0
    assert services(site) == {site.code, "proxy"}
    before = site.sh("ls -A . releases; cat releases/.current")

    site.servers[1].box.stop()
    until_no_leader(site)
    for command in (["deploy", "--version", version], ["status"], ["logs"], ["rollback"], ["doctor"]):
        told = site(*command)
        assert told.code == 1, (command, told.out, told.err)
        assert "the Swarm has no leader" in told.out + told.err, command
        assert "starting" not in told.err, command
    assert site.sh("ls -A . releases; cat releases/.current") == before


def test_docker_refuses_the_file_before_anything_is_touched(site: Site, server_factory):
    managed(site, server_factory(compose="none"))
    site.write("docker-compose.yml", stack(site) + "    healthcheck: {start_interval: 1s}\n")
    version = site.publish()
    refused = site("deploy", "--version", version)
    assert refused.code == 1
    assert "`docker stack` refuses docker-compose.yml" in refused.err
    assert "healthcheck Additional property start_interval is not allowed" in refused.err
    assert "starting" not in refused.err
    assert services(site) == set()
    assert "docker-compose.yml" not in site.sh("ls -A . releases")

    site.write("docker-compose.yml", stack(site))
    assert site("deploy", "--version", version).code == 0
    site.write("docker-compose.yml", stack(site, version="3.0") + "    init: true\n")
    before = site.sh("cat docker-compose.yml releases/.current"), tasks(site, site.code)
    refused = site("deploy", "--version", version)
    assert (refused.code, "property init is not allowed" in refused.err) == (1, True)
    assert (site.sh("cat docker-compose.yml releases/.current"), tasks(site, site.code)) == before


def test_swarm_deploy_requires_external_resources_before_any_change(site: Site, server_factory):
    managed(site, server_factory(compose="none"))
    uses = "    networks: [own, outside]\n    volumes: ['data:/data']\n    configs: [setting]\n    secrets: [{source: key}]\n"
    text = stack(site).replace("    env_file:", f"{uses}    env_file:")
    text += """\
networks: {own: {}, outside: {external: {name: front}}, unused: {external: true}}
volumes: {data: {external: true, name: "${ENV}-data"}}
configs: {setting: {external: true}, unused: {external: true}}
secrets: {key: {external: true, name: web.key}}
"""
    site.write("docker-compose.yml", text)
    version, manager = site.publish(), site.servers[0]
    for sentence, *make in (
        ("the external volume test-data does not exist", "volume create test-data"),
        ("the external config setting does not exist", "config create setting /etc/hostname"),
        ("the external secret web.key does not exist", "secret create web.key /etc/hostname"),
        # One of this server alone is none of the Swarm's.
        ("the Swarm has no network front", "network create front"),
        ("the Swarm has no network front", "network rm front", "network create --driver overlay front"),
    ):
        refused = site("deploy", "--version", version)
        assert (refused.code, sentence in refused.err, "starting" in refused.err) == (1, True, False), refused.err
        assert services(site) == set()
        assert "docker-compose.yml" not in site.sh("ls -A . releases")
        for command in make:
            manager.docker(*command.split())
    assert site("deploy", "--version", version).code == 0
    assert services(site) == {site.code}


#: Keys of a service that Compose knows, those of `docker stack` among them.
KEYS = (
    *("annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "cgroupns_mode"),
    *("command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period"),
    *("cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on", "deploy", "develop"),
    *("device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname", "entrypoint", "env_file"),
    *("environment", "expose", "extends", "external_links", "extra_hosts", "gpus", "group_add", "healthcheck", "hostname"),
    *("init", "ipc", "isolation", "label_file", "labels", "links", "logging", "mac_address", "mem_limit", "mem_reservation"),
    *("mem_swappiness", "memswap_limit", "models", "network_mode", "networks", "oom_kill_disable", "oom_score_adj", "pid"),
    *("pids_limit", "platform", "ports", "post_start", "pre_stop", "privileged", "profiles", "provider", "pull_policy"),
    *("read_only", "restart", "runtime", "scale", "secrets", "security_opt", "shm_size", "stdin_open", "stop_grace_period"),
    *("stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits", "user", "userns_mode", "uts", "volumes"),
    *("volumes_from", "working_dir"),
)  # fmt: skip


def test_docker_refuses_the_same_keys_of_a_service(lab: Lab):
    def docker_refuses(key: str) -> bool:
        text = f'version: "3.9"\nservices: {{web: {{image: x, {key}: 1.5}}}}\n'
        command = [engine.docker_command(), "-H", lab.docker_host, "stack", "deploy", "-c", "-", "x"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return "Additional property" in done.stderr or "unsupported options" in done.stderr

    def refused(key: str) -> bool:
        text = f'version: "3.9"\nservices: {{web: {{image: x, {key}: 1.5}}}}\n'
        try:
            stackfile.check(text.encode(), "docker-compose.yml", {})
        except SettingsError:
            return True
        return False

    assert {key for key in KEYS if refused(key)} == {key for key in KEYS if docker_refuses(key)}
