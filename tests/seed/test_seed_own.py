"""seed touches only its own jobs, whatever Jenkins refuses and whatever others do in Jenkins meanwhile."""

from __future__ import annotations

from typing import Callable

import pytest

from container_pipeline.clients.jenkins import Controller
from container_pipeline.plan.seed import configxml
from seed.standin import FOLDER, Entry, State

DEFAULTS = "defaults: {repository: 'git@git.example:team/{code}.git'}\n"
BY_HAND = "<project><description>by hand</description></project>"


@pytest.fixture
def jenkins(standin):
    return standin()


@pytest.fixture
def someone(administrator, jenkins):
    one = administrator(jenkins.url)
    one.prefix = "own"
    return one


@pytest.fixture
def meanwhile(monkeypatch, jenkins) -> Callable[[Callable[[State], object]], None]:
    """meanwhile(act) → from now on ``act(state)`` happens in Jenkins right after seed has read what is there."""
    real = Controller.items

    def arrange(act: Callable[[State], object]) -> None:
        def items(self, mark):
            found = real(self, mark)
            act(jenkins.state)
            return found

        monkeypatch.setattr(Controller, "items", items)

    return arrange


def configs(state: State) -> dict[str, str]:
    return {name: entry.config for name, entry in state.items.items()}


def move(someone, jenkins, new: str, **state) -> tuple[int, str]:
    """Seed a job at ``web``, let ``state`` be there too, then seed it as ``new``; return how that went."""
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web}]\n")
    assert someone.seed().code == 0
    jenkins.state.items["web"].builds = 7
    jenkins.state.items["team"] = Entry(FOLDER, f"<{FOLDER}/>")
    jenkins.state.items.update({name.replace("__", "/"): Entry("project", BY_HAND) for name in state})
    someone.write(DEFAULTS + f"projects: [{{code: own-web, {new}}}]\n")
    answer = someone.seed()
    return answer.code, answer.out


def test_a_refused_move_renames_nobody_elses_job(someone, jenkins):
    """On the way to team/front stand a job of the old name and, in the old folder, one of the new name."""
    before = Entry("project", BY_HAND).config
    code, out = move(someone, jenkins, "folder: team, name: front", team__web=1, front=1)
    assert (code, "Jenkins did not move web to team/web: the name is taken there" in out) == (1, True), out
    assert jenkins.state.items["team/web"].config == jenkins.state.items["front"].config == before
    assert "team/front" not in jenkins.state.items
    assert jenkins.state.items["web"].builds == 7


@pytest.mark.parametrize("taken", ["team__web", "front"])
def test_a_move_avoids_names_of_other_jobs(someone, jenkins, taken):
    code, out = move(someone, jenkins, "folder: team, name: front", **{taken: 1})
    assert code == 0, out
    assert jenkins.state.items["team/front"].builds == 7
    assert configxml.canonical(jenkins.state.items[taken.replace("__", "/")].config) == ["description: by hand"]
    assert someone.seed().out == "1 unchanged\n"


def test_a_move_without_permission_changes_nothing(someone, jenkins):
    jenkins.state.shut = ("team",)
    code, out = move(someone, jenkins, "folder: team, name: front, branch: dev")
    assert (code, "the account may not create there" in out) == (1, True), out
    assert jenkins.state.items["web"].builds == 7
    assert "*/main" in jenkins.state.items["web"].config


def test_prune_keeps_a_folder_after_a_failed_move(someone, jenkins):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: old}]\n")
    someone.seed()
    jenkins.state.items["team"] = Entry(FOLDER, f"<{FOLDER}/>")
    jenkins.state.shut = ("team",)
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: team}]\n")
    answer = someone.seed("--prune")
    assert answer.code == 1
    assert "folder old is not empty: own-web is in it" in answer.out.replace("CODE", "own")
    assert "old/own-web" in jenkins.state.items


def test_prune_keeps_a_folder_with_a_new_job(someone, jenkins, meanwhile):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: old}]\n")
    someone.seed()
    someone.write(DEFAULTS + "projects: []\n")
    meanwhile(lambda state: state.items.update({"old/new": Entry("project", BY_HAND)}))
    assert someone.seed("--prune").code == 1
    assert set(jenkins.state.items) == {"old", "old/new"}


def test_a_job_created_concurrently_is_left_alone(someone, jenkins, meanwhile):
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web}]\n")
    meanwhile(lambda state: state.items.update(web=Entry("project", BY_HAND)))
    answer = someone.seed()
    assert (answer.code, "web was left alone: somebody else created it meanwhile" in answer.out) == (1, True)
    assert jenkins.state.items["web"].config == BY_HAND


def test_a_folder_created_concurrently_is_used(someone, jenkins, meanwhile):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: team}]\n")
    meanwhile(
        lambda state: state.items.update(team=Entry(FOLDER, f"<{FOLDER}><description>theirs</description></{FOLDER}>"))
    )
    assert someone.seed().code == 0
    assert "theirs" in jenkins.state.items["team"].config
    assert "team/own-web" in jenkins.state.items


def test_a_view_created_concurrently_is_left_alone(someone, jenkins, meanwhile):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: team}]\n")
    theirs = "<hudson.model.ListView><description>theirs</description></hudson.model.ListView>"
    monkey = Controller.view

    def view(self, name):
        found = monkey(self, name)
        jenkins.state.views.setdefault("team", theirs)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Controller, "view", view)
        answer = someone.seed()
    assert (answer.code, "team was left alone: somebody else created it meanwhile" in answer.out) == (1, True), (
        answer.out
    )
    assert jenkins.state.views["team"] == theirs


@pytest.mark.parametrize(
    ("projects", "arguments"),
    [
        ("[{code: own-web, name: web, branch: dev}]", ()),
        ("[{code: own-web, name: web, kind: freestyle}]", ("--prune",)),
        ("[{code: own-web, name: front}]", ()),
        ("[{code: own-web, name: web, folder: team}]", ()),
        ("[]", ()),
        ("[]", ("--prune",)),
    ],
    ids=["update", "replace", "rename", "move", "disable", "delete"],
)
def test_a_job_that_lost_its_mark_is_untouched(someone, jenkins, meanwhile, projects, arguments):
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web}]\n")
    someone.seed()

    def taken_over(state: State) -> None:
        entry = state.items["web"]
        entry.config = entry.config.replace("Seeded by container-pipeline", "Now ours:")

    someone.write(DEFAULTS + f"projects: {projects}\n")
    meanwhile(taken_over)
    answer = someone.seed(*arguments)
    assert (answer.code, "web was left alone: somebody changed its seed mark meanwhile" in answer.out) == (
        1,
        True,
    ), answer.out
    assert "Now ours:" in jenkins.state.items["web"].config
    assert "disabled>true" not in jenkins.state.items["web"].config


def test_an_update_does_not_recreate_a_removed_job(someone, jenkins, meanwhile):
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web}]\n")
    someone.seed()
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web, branch: dev}]\n")
    meanwhile(lambda state: state.items.clear())
    answer = someone.seed()
    assert (answer.code, "web is gone: somebody moved or removed it meanwhile" in answer.out) == (1, True)


def test_lost_responses_to_moves_do_no_harm(administrator, jenkins, fault_proxy, monkeypatch):
    from lab.faultproxy import Fault

    monkeypatch.setattr("container_pipeline.clients.jenkins_wire.time.sleep", lambda _seconds: None)
    faults = [
        Fault("POST", f"/{step}$", cut_after=0, times=1) for step in ("move", "confirmRename", "doDelete", "disable")
    ]
    someone = administrator(f"http://{fault_proxy(jenkins.address, *faults).address}")
    someone.write(DEFAULTS + "projects: [{code: CODE-web, name: web}, CODE-old]\n")
    someone.seed()
    jenkins.state.items["web"].builds = 7
    someone.write(DEFAULTS + "projects: [{code: CODE-web, name: front, folder: team}]\n")
    assert someone.seed().code == 0
    assert someone.seed("--prune").code == 0
    assert (jenkins.state.items["team/front"].builds, set(jenkins.state.items)) == (7, {"team", "team/front"})


def test_a_name_differing_only_in_case_is_refused(someone, jenkins):
    jenkins.state.items.update({"web": Entry("project", BY_HAND), "team": Entry(FOLDER, f"<{FOLDER}/>")})
    someone.write(DEFAULTS + "projects: [{code: own-web, name: WEB}, {code: own-ui, folder: Team}]\n")
    answer = someone.seed()
    assert answer.code == 1
    assert "Jenkins already has web, and ignores case in names" in answer.out
    assert "Jenkins already has team, and ignores case in names" in answer.out
    assert set(jenkins.state.items) == {"web", "team"}


def test_two_files_can_share_a_folder_view(someone, jenkins):
    (someone.folder / "a.yml").write_text("name: a\n" + DEFAULTS + "projects: [{code: own-a, folder: team}]\n")
    (someone.folder / "b.yml").write_text("name: b\n" + DEFAULTS + "projects: [{code: own-b, folder: team}]\n")
    assert [someone.seed(name).code for name in ("a.yml", "b.yml")] == [0, 0]
    assert [someone.seed(name).out for name in ("a.yml", "b.yml", "?.yml")] == [
        "1 unchanged\n",
        "1 unchanged\n",
        "2 unchanged\n",
    ]


def test_the_table_distinguishes_folders_from_views(someone):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: team}]\n")
    lines = [" ".join(line.split()) for line in someone.seed().out.splitlines()]
    assert {"folder team created", "view team created", "team/CODE-web created"} <= set(lines)


@pytest.mark.parametrize("arguments", [(), ("--prune",)])
def test_a_job_stays_if_its_new_name_exists(someone, jenkins, arguments):
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web, folder: old}]\n")
    assert someone.seed().code == 0
    before = jenkins.state.items["old/web"].config
    jenkins.state.items["new"] = Entry(FOLDER, f"<{FOLDER}/>")
    jenkins.state.items["new/web"] = Entry("project", BY_HAND)
    someone.write(DEFAULTS + "projects: [{code: own-web, name: web, folder: new, branch: dev}]\n")
    answer = someone.seed(*arguments)
    assert answer.code == 1
    assert "no longer in the jobs file" not in answer.out + answer.err
    reason = "seed did not create it; --adopt takes it over; old/web stays as it is"
    assert f"new/web: {reason}\n" in someone.seed(*arguments, "--dry-run").out
    assert jenkins.state.items["old/web"].config == before
    assert jenkins.state.items["new/web"].config == BY_HAND


def test_prune_tries_again_to_remove_a_view(someone, jenkins):
    someone.write(DEFAULTS + "projects: [{code: own-web, folder: team/old}, {code: own-ui}]\n")
    someone.seed()
    someone.write(DEFAULTS + "projects: [{code: own-ui}]\n")
    jenkins.state.denied = "job/team/view/old/doDelete"
    for _run in range(2):
        answer = someone.seed("--prune")
        assert (answer.code, "403 Forbidden for POST job/team/view/old/doDelete" in answer.out) == (1, True), answer.out
        assert ("team/old" in jenkins.state.items, "team/old" in jenkins.state.views) == (True, True)
    jenkins.state.denied = ""
    assert someone.seed("--prune").code == 0
    assert (list(jenkins.state.items), jenkins.state.views) == (["own-ui"], {})
