"""The stand-in behaves like Hudson and like the responses of a real Jenkins.

Requests that Hudson supports go to both; for the others, there is a table of Jenkins' responses.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

import pytest
import requests

from container_pipeline.plan.seed import configxml, jobxml
from container_pipeline.plan.seed.jobs import Job
from lab.hudson import Hudson
from seed.standin import FOLDER, MULTIBRANCH, SEEN, SEEN_ON, Entry, Seen, Standin

JOB = Job(
    "t", "web", "git@x:web.git", "web", kind="freestyle", branches=("main",), keep_builds=3, triggers={"cron": "@daily"}
)
CONFIG = jobxml.job_xml(JOB)
BROKEN = "<project><description>"
UNKNOWN = "<flow-definition/>"
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}

#: Method, path (N is a name that nobody else has), what is sent.
QUESTIONS: tuple[tuple[str, str, str | dict[str, str]], ...] = (
    ("GET", "job/N/config.xml", ""),
    ("POST", "createItem?name=N", CONFIG),
    ("GET", "job/N/config.xml", ""),
    ("GET", "job/UPPER/config.xml", ""),
    ("POST", "createItem?name=N", CONFIG),
    ("POST", "createItem?name=UPPER", CONFIG),
    ("POST", "createItem?name=N-broken", BROKEN),
    ("POST", "createItem?name=N-pipeline", UNKNOWN),
    ("GET", "job/N-broken/config.xml", ""),
    ("POST", "job/N/config.xml", CONFIG.replace("@daily", "@weekly")),
    ("GET", "job/N/config.xml", ""),
    ("POST", "job/N/config.xml", BROKEN),
    ("GET", "job/N/config.xml", ""),
    ("POST", "job/N/disable", {}),
    ("GET", "job/N/config.xml", ""),
    ("POST", "job/N/enable", {}),
    ("GET", "job/N/config.xml", ""),
    ("POST", "job/N/confirmRename", {"newName": "N-new"}),
    ("POST", "job/N/doRename", {"newName": "N-new"}),
    ("GET", "job/N/config.xml", ""),
    ("GET", "job/N-new/config.xml", ""),
    ("POST", "job/N-gone/doRename", {"newName": "N-x"}),
    ("POST", "job/N-gone/config.xml", CONFIG),
    ("POST", "job/N-gone/disable", {}),
    ("POST", "createItem?name=N-other", CONFIG),
    ("POST", "job/N-new/doRename", {"newName": "N-other"}),
    ("POST", "job/N-new/doDelete", {}),
    ("POST", "job/N-new/doDelete", {}),
    ("GET", "job/N-new/config.xml", ""),
    ("POST", "job/N-other/doDelete", {}),
    ("GET", "pluginManager/api/json", ""),
    ("GET", "crumbIssuer/api/json", ""),
    ("GET", "view/N/config.xml", ""),
)


def answers(url: str) -> Iterator[tuple[str, int, list[str]]]:
    """Yield each question with status and, where a configuration came, what it says."""
    name = f"s{secrets.token_hex(4)}"
    for method, path, data in QUESTIONS:
        form = {key: value.replace("N", name) for key, value in data.items()} if isinstance(data, dict) else data
        sent = form.encode() if isinstance(form, str) else form
        headers = HEADERS if isinstance(data, str) else {}
        place = path.replace("UPPER", name.upper()).replace("N", name)
        answer = requests.request(
            method, f"{url}/{place}", data=sent, headers=headers, allow_redirects=False, timeout=30
        )
        answer.encoding = "utf-8"
        config = configxml.canonical(answer.text) if method == "GET" and answer.ok else []
        yield f"{method} {path}", answer.status_code, config


def test_the_stand_in_answers_as_hudson_does(hudson: Hudson, standin):
    other: Standin = standin(old=True)
    assert list(answers(other.url)) == list(answers(hudson.url))


def test_hudson_and_the_stand_in_list_identical_items(hudson: Hudson, standin, administrator):
    name = f"s{secrets.token_hex(4)}"
    found = []
    for url in (hudson.url, standin(old=True).url):
        controller = administrator(url).jenkins
        controller.create(name, CONFIG)
        controller.create(f"{name}-by-hand", "<project/>")
        ours = [one for one in controller.items("Seeded by container-pipeline") if one.name.startswith(name)]
        found.append(
            [(one.name, one.folder, one.config and configxml.canonical(one.config)) for one in sorted(ours, key=str)]
        )
    assert found[0] == found[1]
    assert {one: bool(config) for one, _folder, config in found[0]} == {name: True, f"{name}-by-hand": False}


def branches(strategy: str) -> Entry:
    return Entry(
        MULTIBRANCH,
        f"<m><sources><data><jenkins.branch.BranchSource>{strategy}</jenkins.branch.BranchSource></data></sources></m>",
    )


@pytest.fixture
def jenkins(standin) -> Standin:
    """The Jenkins that the questions of SEEN were put to."""
    job = "<project><description/></project>"
    items = {
        **{name: Entry("project", job) for name in ("web", "other", "team/web")},
        **{name: Entry(FOLDER, "<folder/>") for name in ("team", "shut")},
        "old": branches("<strategy class='jenkins.branch.DefaultBranchPropertyStrategy'/>"),
        "new": branches("<strategy class='x'><properties class='empty-list'/></strategy>"),
    }
    return standin(items=items, shut=("shut",), user="admin", token="right")


@pytest.mark.parametrize("seen", SEEN, ids=lambda seen: seen.what)
def test_the_stand_in_matches_recorded_jenkins_responses(jenkins, seen: Seen):
    before = {name: entry.config for name, entry in jenkins.state.items.items()}
    answer = requests.request(
        seen.method,
        f"{jenkins.url}/{seen.path}",
        data=seen.data,
        headers={"Jenkins-Crumb": jenkins.state.crumb} if seen.crumb else {},
        auth=("admin", seen.token) if seen.token else None,
        allow_redirects=False,
        timeout=30,
    )
    assert answer.status_code in seen.statuses, SEEN_ON
    if seen.location:
        assert answer.headers["Location"] == f"/{seen.location}", SEEN_ON
    assert re.search(seen.text, answer.text), SEEN_ON
    after = {name: entry.config for name, entry in jenkins.state.items.items()}
    assert (before != after) == seen.changes
