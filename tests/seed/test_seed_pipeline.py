"""Features that Hudson lacks, on the stand-in: pipelines, folders, views, plugins, permissions; and interruptions."""

from __future__ import annotations

import subprocess
import threading

import pytest

from container_pipeline.clients.jenkins import Controller
from container_pipeline.execute import jobs_files
from container_pipeline.plan.seed import configxml
from seed.standin import PLUGINS, Entry

TEAM = """defaults: {folder: team/web, repository: 'git@git.example:team/{code}.git'}
projects:
- {code: CODE-web-re, triggers: {poll: 'H/5 * * * *'}}
- {code: CODE-ui-re, pipeline: {node: docker}, keep_builds: 9}
- {code: CODE-all-re, kind: multibranch, folder: team, branches: [main, release/*], triggers: {scan: 1d}}
- {code: CODE-old-re, kind: freestyle, credentials: git-reader, triggers: {webhook: hook-token}}
"""


def snapshot(state):
    """Return all that a Jenkins has, as it means it."""
    items = {name: configxml.canonical(entry.config) for name, entry in state.items.items()}
    return items, {name: configxml.canonical(config) for name, config in state.views.items()}


@pytest.fixture
def jenkins(standin):
    return standin()


def test_a_second_run_leaves_created_items_unchanged(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    answer = someone.seed()
    assert answer.code == 0, answer.err
    assert set(jenkins.state.items) == {
        "team", "team/web", f"team/{someone.prefix}-all-re",
        *(f"team/web/{someone.prefix}-{name}-re" for name in ("web", "ui", "old")),
    }  # fmt: skip
    assert set(jenkins.state.views) == {"team", "team/web"}
    jenkins.state.asked.clear()
    assert someone.seed().out == "4 unchanged\n"
    assert jenkins.writes == []


def test_request_count_does_not_depend_on_job_count(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write("defaults: {repository: 'r/{code}'}\nprojects: [" + ",".join(f"CODE-{n}" for n in range(50)) + "]\n")
    someone.seed()
    jenkins.state.asked.clear()
    someone.seed()
    few = ["GET /crumbIssuer/api/json", "GET /pluginManager/api/json", "POST /scriptText"]
    assert sorted(jenkins.state.asked) == few


def test_plugins_jobs_and_files_are_read_concurrently(administrator, jenkins, monkeypatch):
    together = threading.Barrier(3, timeout=10)

    def meeting(real):
        def call(*arguments):
            together.wait()
            return real(*arguments)

        return call

    for place, name in ((Controller, "plugins"), (Controller, "items"), (jobs_files, "load")):
        monkeypatch.setattr(place, name, meeting(getattr(place, name)))
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    assert someone.seed("--dry-run").code == 0


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9"], ids=["none named", "none there"])
def test_file_errors_are_reported_even_without_jenkins(administrator, url):
    someone = administrator(url)
    someone.write("projects: [{cod: CODE-a}]\n")
    answer = someone.seed()
    assert answer.code == 1
    assert "jobs.yml:2: unknown key 'cod'" in answer.err


def test_seed_works_without_permission_to_run_scripts(administrator, standin):
    results = []
    for scripts in (True, False):
        jenkins = standin(scripts=scripts)
        someone = administrator(jenkins.url)
        someone.prefix = "same"
        someone.write(TEAM)
        assert someone.seed().code == 0
        assert someone.seed().out == "4 unchanged\n"
        results.append(snapshot(jenkins.state))
    assert results[0] == results[1]


def test_a_moved_job_keeps_its_builds(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    someone.seed()
    jenkins.state.items[f"team/web/{someone.prefix}-web-re"].builds = 7
    someone.write(TEAM.replace("{code: CODE-web-re,", "{code: CODE-web-re, folder: shop, name: front,"))
    assert "shop/front" in someone.seed().out
    assert jenkins.state.items["shop/front"].builds == 7
    assert f"team/web/{someone.prefix}-web-re" not in jenkins.state.items


def test_prune_removes_emptied_folders_and_their_views(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    someone.seed()
    someone.write(TEAM.partition("- {code: CODE-web-re")[0].replace("projects:", "projects: []"))
    assert someone.seed("--prune").code == 0
    assert snapshot(jenkins.state) == ({}, {})


def test_manual_edits_are_shown_as_drift(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    someone.seed()
    entry = jenkins.state.items[f"team/web/{someone.prefix}-web-re"]
    entry.config = entry.config.replace("*/main", "*/evil").replace("</properties>", "<a.b.Extra/></properties>", 1)
    answer = someone.seed("--dry-run").out
    assert "    - definition/scm/branches/BranchSpec/name: */evil" in answer
    assert "    + definition/scm/branches/BranchSpec/name: */main" in answer
    someone.seed()
    assert someone.seed().out == "4 unchanged\n"


def test_outdated_multibranch_configuration_is_repaired(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    someone.seed()
    name = f"{someone.prefix}-all-re"

    def scan():
        return someone.jenkins.get_text(f"job/team/job/{name}/indexing/consoleText")

    assert "Finished: SUCCESS" in scan()
    entry = jenkins.state.items[f"team/{name}"]
    entry.config = entry.config.replace('<properties class="empty-list" />', "")
    assert "NullPointerException" in scan()
    assert "1 updated, 3 unchanged" in someone.seed().out
    assert "Finished: SUCCESS" in scan()


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_missing_plugin_is_reported_before_any_write(administrator, standin, plugin):
    jenkins = standin(plugins=tuple(name for name in PLUGINS if name != plugin))
    someone = administrator(jenkins.url)
    someone.write(TEAM)
    answer = someone.seed()
    assert answer.code == 1
    assert f"this Jenkins lacks plugins that the jobs file needs: {plugin} (team/" in answer.err
    assert jenkins.writes == []


def test_seed_works_without_permission_to_list_plugins(administrator, standin):
    someone = administrator(standin(plugins=None).url)
    someone.write(TEAM)
    assert someone.seed().code == 0


def test_login_under_a_path_prefix_hides_the_token(administrator, standin):
    jenkins = standin(user="admin", token="s3cret-token", prefix="/ci")
    someone = administrator(jenkins.url, "admin", "s3cret-token")
    someone.write(TEAM)
    answer = someone.seed("-v")
    assert answer.code == 0, answer.err
    assert "s3cret" not in answer.out + answer.err


@pytest.mark.parametrize(
    ("user", "token", "said"),
    [("admin", "wrong", "401"), ("", "", "403")],
)
def test_a_wrong_or_missing_login_fails_immediately(administrator, standin, user, token, said):
    jenkins = standin(user="admin", token="s3cret-token")
    someone = administrator(jenkins.url, user, token)
    someone.write(TEAM)
    answer = someone.seed()
    assert answer.code == 1
    assert f"Jenkins returned {said}" in answer.err
    assert "JENKINS_USER and JENKINS_TOKEN" in answer.err
    assert len(jenkins.state.asked) <= 3


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that no public authority signed, with its key, in one file."""
    file = tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=jenkins"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", f"{file}.new"]
    subprocess.run([*make, *names], check=True, capture_output=True)
    with file.open("a") as both:
        both.write((tmp_path / "certificate.pem.new").read_text())
    return file


def test_only_a_configured_private_authority_is_trusted(administrator, standin, certificate, monkeypatch):
    someone = administrator(standin(certificate=certificate).url)
    someone.write("projects: [{code: CODE-a, repository: r}]\n")
    monkeypatch.setattr("container_pipeline.clients.jenkins_wire.ATTEMPTS", 1)
    refused = someone.seed()
    assert refused.code == 1
    assert "certificate verify failed" in refused.err
    assert "REQUESTS_CA_BUNDLE" in refused.err
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert someone.seed().code == 0


def test_seed_uses_the_proxy_from_the_environment(administrator, standin, fault_proxy, monkeypatch):
    """The name is known to the proxy alone; whoever resolved it here would fail."""
    jenkins = standin()
    proxy = fault_proxy(jenkins.address)
    monkeypatch.setenv("http_proxy", f"http://{proxy.address}")
    someone = administrator("http://jenkins.invalid")
    someone.write("projects: [{code: CODE-a, repository: r}]\n")
    answer = someone.seed()
    assert (answer.code, list(jenkins.state.items)) == (0, [f"{someone.prefix}-a"]), answer.err


def test_a_changed_kind_needs_prune_because_history_goes(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write("projects: [{code: CODE-a, repository: r}]\n")
    someone.seed()
    someone.write("projects: [{code: CODE-a, repository: r, kind: freestyle}]\n")
    answer = someone.seed()
    assert (answer.code, "which would delete its history; --prune allows that" in answer.out) == (1, True)
    assert someone.seed("--prune").code == 0
    assert someone.seed().out == "1 unchanged\n"


CHANGED = (
    TEAM.replace("folder: team/web", "folder: crew")
    .replace("keep_builds: 9", "keep_builds: 8")
    .replace(
        "- {code: CODE-old-re, kind: freestyle, credentials: git-reader, triggers: {webhook: hook-token}}\n",
        "- CODE-new-re\n",
    )
)


@pytest.mark.parametrize("arguments", [(), ("--prune",)], ids=["", "prune"])
def test_a_rerun_completes_after_interruption_at_any_request(administrator, standin, monkeypatch, arguments):
    """Each turn, another request is the last that arrives; then the program is gone. The next run must finish."""
    real = Controller.send
    wanted = None
    for last in range(60):
        jenkins = standin()
        someone = administrator(jenkins.url)
        someone.prefix = "kill"
        someone.write(TEAM)
        someone.seed()
        someone.write(CHANGED)
        if wanted is None:
            undisturbed = standin()
            other = administrator(undisturbed.url)
            other.prefix = "kill"
            other.write(TEAM)
            other.seed()
            other.write(CHANGED)
            assert other.seed(*arguments).code == 0
            wanted = snapshot(undisturbed.state)
            monkeypatch.setenv("JENKINS_URL", jenkins.url)
        left = [last]

        def send(self, method, path, data=None, headers=None, left=left):
            if method == "POST" and path != "scriptText":
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
            return real(self, method, path, data, headers)

        monkeypatch.setattr(Controller, "send", send)
        code = someone.seed(*arguments).code
        monkeypatch.setattr(Controller, "send", real)
        assert someone.seed(*arguments).code == 0
        assert snapshot(jenkins.state) == wanted
        if code == 0:
            assert last >= 7
            return
    raise AssertionError("never got to the end")


def test_where_nothing_listens_one_sentence_says_so(administrator):
    someone = administrator("http://127.0.0.1:9")
    someone.write(TEAM)
    answer = someone.seed()
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "cannot be reached" in answer.err


def test_a_repository_list_becomes_a_valid_jobs_file(administrator, jenkins):
    someone = administrator(jenkins.url)
    listed = someone.folder / "repositories.txt"
    listed.write_text("# ours\ngit@git.example:team/a-re.git\ngit@git.example:team/b-re.git  # the second\n\n")
    answer = someone.seed("--from-scm-list", str(listed))
    assert answer.out == ("defaults:\n  repository: git@git.example:team/{code}.git\nprojects:\n- a-re\n- b-re\n")
    someone.write(answer.out)
    assert someone.seed().code == 0
    assert set(jenkins.state.items) == {"a-re", "b-re"}


def test_json_output_reports_the_status_of_each_job(administrator, jenkins):
    someone = administrator(jenkins.url)
    someone.write("projects: [{code: CODE-a, repository: r}, {code: CODE-b, repository: r}]\n")
    jenkins.state.items[f"{someone.prefix}-b"] = Entry("project", "<project/>")
    answer = someone.seed("--json")
    assert answer.json["ok"] is False
    assert answer.json["jobs"] == [
        {"name": "CODE-a", "status": "created", "error": ""},
        {"name": "CODE-b", "status": "left alone", "error": "seed did not create it; --adopt takes it over"},
    ]
