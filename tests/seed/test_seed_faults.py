"""Faults on the way to Jenkins, in front of a real Hudson and of the stand-in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from container_pipeline.clients.jenkins import Controller
from container_pipeline.plan.seed import configxml
from lab.faultproxy import Fault

FREESTYLE = "defaults: {kind: freestyle, repository: 'r/{code}'}\n"
THREE = FREESTYLE + "projects: [CODE-a, CODE-b, CODE-c]\n"


@pytest.fixture
def waits(monkeypatch):
    """The seconds of all waits, without waiting."""
    found: list[float] = []
    monkeypatch.setattr("container_pipeline.clients.jenkins_wire.time.sleep", found.append)
    return found


@pytest.fixture
def someone(hudson, administrator, fault_proxy):
    """someone(*faults) → an administrator whose way to a real Hudson has these faults."""

    def make(*faults):
        proxy = fault_proxy(hudson.url.removeprefix("http://"), *faults)
        return administrator(f"http://{proxy.address}"), proxy

    return make


def test_a_retry_waits_as_long_as_jenkins_asks(someone, waits):
    one, proxy = someone(Fault("POST", "createItem", status=429, headers={"Retry-After": "7"}, times=1))
    one.write(THREE)
    assert one.seed().code == 0
    assert waits == [7.0]
    assert proxy.count("POST", "createItem") == 4


def test_retries_are_bounded_and_other_jobs_continue(someone, waits):
    one, proxy = someone(Fault("POST", "createItem.*-b$", status=503))
    one.write(THREE)
    answer = one.seed()
    assert answer.code == 1
    assert "CODE-b  failed   Jenkins returned 503" in answer.out
    assert "2 created, 1 failed" in answer.out
    assert proxy.count("POST", "createItem") == 2 + 4


def test_a_rerun_creates_only_the_failed_jobs(someone, waits):
    one, _proxy = someone(Fault("POST", "createItem.*-b$", status=503, times=4))
    one.write(THREE)
    one.seed()
    assert one.seed().out.endswith("1 created, 2 unchanged\n")


def test_a_missing_permission_fails_without_retry(someone, waits):
    one, proxy = someone(Fault("POST", "createItem", status=403))
    one.write(FREESTYLE + "projects: [CODE-a]\n")
    assert "the account lacks the permission" not in (answer := one.seed()).out
    assert "Jenkins returned 403" in answer.out
    assert (waits, proxy.count("POST", "createItem")) == ([], 1)


def test_a_lost_create_response_does_no_harm(someone, waits):
    one, _proxy = someone(Fault("POST", "createItem", cut_after=0, times=1))
    one.write(FREESTYLE + "projects: [CODE-a]\n")
    assert one.seed().code == 0
    assert one.seed().out == "1 unchanged\n"


def test_a_job_created_during_seed_is_left_alone(hudson, administrator, monkeypatch):
    """Hudson refuses the second creation without reading it, and must not take its text for the next request."""
    one = administrator(hudson.url)
    one.write(THREE)
    read = Controller.items

    def items(self, mark):
        found = read(self, mark)
        for name in "abc":
            self.create(f"{one.prefix}-{name}", "<project><description>meanwhile</description></project>")
        return found

    monkeypatch.setattr(Controller, "items", items)
    answer = one.seed()
    assert (answer.code, answer.out.count("was left alone: somebody else created it meanwhile")) == (1, 3)
    assert [configxml.canonical(one.has(f"CODE-{name}")) for name in "abc"] == [["description: meanwhile"]] * 3


def test_a_cut_while_jobs_are_read_changes_nothing(someone, waits):
    one, proxy = someone(Fault("POST", "scriptText", cut_after=10))
    one.write(THREE)
    answer = one.seed()
    assert (answer.code, proxy.count("POST", "createItem")) == (1, 0)
    assert "cannot be reached" in answer.err


def test_a_login_page_instead_of_json_is_recognised(someone, waits):
    one, proxy = someone(Fault("GET", "pluginManager", status=200, body=b"<html>Sign in</html>"))
    one.write(THREE)
    answer = one.seed()
    assert (answer.code, proxy.count("POST", "createItem")) == (1, 0)
    assert "did not return JSON" in answer.err


@pytest.mark.parametrize("where", ["https://jenkins.example/ci/createItem", "/login?from=x"])
def test_a_redirected_write_counts_as_failed(someone, waits, where):
    one, _proxy = someone(Fault("POST", "createItem", status=302, headers={"Location": where}))
    one.write(FREESTYLE + "projects: [CODE-a]\n")
    answer = one.seed()
    assert answer.code == 1
    assert f"Jenkins redirects to {where.partition('?')[0]} instead of responding" in answer.out


def test_a_crumb_that_has_expired_is_fetched_anew(administrator, standin, fault_proxy, waits):
    jenkins = standin()
    refusal = Fault("POST", "createItem", status=403, body=b"No valid crumb was included in the request", times=1)
    one = administrator(f"http://{fault_proxy(jenkins.address, refusal).address}")
    one.write("projects: [{code: CODE-a, repository: r}]\n")
    assert one.seed().code == 0
    assert sum("crumbIssuer" in asked for asked in jenkins.state.asked) >= 2


def test_a_slow_jenkins_is_waited_for(someone):
    one, _proxy = someone(Fault("POST", "createItem", delay=1))
    one.write(THREE)
    assert one.seed().code == 0


def test_a_rerun_finishes_after_seed_is_killed(hudson, administrator):
    """SIGKILL, at the moment when the first jobs are there."""
    one = administrator(hudson.url)
    one.write(FREESTYLE + "projects: [" + ", ".join(f"CODE-{number:02}" for number in range(40)) + "]\n")
    command = [sys.executable, "-m", "container_pipeline", "seed", "--project", str(one.folder)]
    environment = {**os.environ, "PYTHONPATH": "agent"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while one.jenkins.config(f"{one.prefix}-03") is None:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert one.has("CODE-39") is None
    answer = one.seed()
    assert answer.code == 0, answer.out
    assert one.seed().out == "40 unchanged\n"


def test_terminated_while_jenkins_hangs_it_ends_at_once(administrator, standin, fault_proxy):
    """Jenkins' own abort gives five seconds, an answer may take sixty."""
    jenkins = standin()
    proxy = fault_proxy(jenkins.address, Fault("POST", "createItem", hang=True))
    one = administrator(f"http://{proxy.address}")
    one.write("defaults: {repository: r}\nprojects: [CODE-a, CODE-b, CODE-c]\n")
    command = [sys.executable, "-m", "container_pipeline", "seed", "--project", str(one.folder)]
    environment = {**os.environ, "PYTHONPATH": "agent"}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while proxy.count("POST", "createItem") < 3:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _out, err = child.communicate(timeout=30)
    assert (child.returncode, err.splitlines()[-1]) == (143, "container-pipeline: terminated")


def test_one_request_reads_all_jobs(someone):
    one, proxy = someone()
    one.write(THREE)
    one.seed()
    assert one.seed().out == "3 unchanged\n"
    assert (proxy.count("POST", "scriptText"), proxy.count("GET", "config.xml")) == (2, 0)


@pytest.mark.parametrize(
    "printed", [b"groovy.lang.MissingPropertyException: No such property: configFile", b"", b"eJxjYGBgAAAABAAB"]
)
def test_jobs_are_read_individually_if_the_script_fails(someone, printed):
    one, proxy = someone(Fault("POST", "scriptText", status=200, body=printed))
    one.write(THREE)
    one.seed()
    assert one.seed().out == "3 unchanged\n"
    assert proxy.count("GET", f"{one.prefix}.*config.xml") == 3
