"""Refusals of a deploy to a Swarm before any change, on real managers."""

from __future__ import annotations

import subprocess

import pytest

from container_pipeline.errors import SettingsError
from container_pipeline.plan import stackfile
from lab import engine
from lab.handle import Lab
from real.site import Site
from real.stacks import managed, services, stack, tasks

pytestmark = pytest.mark.slow


def test_swarm_refusals_leave_everything_as_it_was(site: Site, server_factory):
    """Before the first deploy, and with a release that runs."""
    managed(site, server_factory(compose="none"))
    version, manager = site.publish(), site.servers[0]

    def refused(text: str, *sentences: str) -> None:
        site.write("docker-compose.yml", text)
        done = site("deploy", "--version", version)
        assert (done.code, [one for one in sentences if one not in done.err]) == (1, []), done.err
        assert "starting" not in done.err

    def nothing_is_there() -> None:
        assert services(site) == set()
        assert "docker-compose.yml" not in site.sh("ls -A . releases")

    # Docker refuses the file.
    refused(
        stack(site) + "    healthcheck: {start_interval: 1s}\n",
        "`docker stack` refuses docker-compose.yml",
        "healthcheck Additional property start_interval is not allowed",
    )
    nothing_is_there()

    # What the file only uses does not exist.
    uses = "    networks: [own, outside]\n    volumes: ['data:/data']\n    configs: [setting]\n    secrets: [{source: key}]\n"
    text = stack(site).replace("    env_file:", f"{uses}    env_file:")
    text += """\
networks: {own: {}, outside: {external: {name: front}}, unused: {external: true}}
volumes: {data: {external: true, name: "${ENV}-data"}}
configs: {setting: {external: true}, unused: {external: true}}
secrets: {key: {external: true, name: web.key}}
"""
    for sentence, *make in (
        ("the external volume test-data does not exist", "volume create test-data"),
        ("the external config setting does not exist", "config create setting /etc/hostname"),
        ("the external secret web.key does not exist", "secret create web.key /etc/hostname"),
        # One of this server alone is none of the Swarm's.
        ("the Swarm has no network front", "network create front"),
        ("the Swarm has no network front", "network rm front", "network create --driver overlay front"),
    ):
        refused(text, sentence)
        nothing_is_there()
        for command in make:
            manager.docker(*command.split())
    done = site("deploy", "--version", version)
    assert (done.code, services(site)) == (0, {site.code}), done.err

    # The release goes on.
    before = site.sh("cat docker-compose.yml releases/.current"), tasks(site, site.code)
    refused(stack(site, version="3.0") + "    init: true\n", "property init is not allowed")
    assert (site.sh("cat docker-compose.yml releases/.current"), tasks(site, site.code)) == before


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
