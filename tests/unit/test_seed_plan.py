"""seed changes only items that differ and that it created."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from container_pipeline.plan import seed
from container_pipeline.plan.seed import Change, Item, State, jobxml
from container_pipeline.plan.seed.jobplugins import missing_plugins
from container_pipeline.plan.seed.jobs import Job, _cron_problems
from unit.table import table

WEB = Job("jobs", "aglaia-web-re", "git@x:web.git", "aglaia-web-re", branches=("main",))
UI = Job("jobs", "aglaia-ui-re", "git@x:ui.git", "aglaia-ui-re", branches=("main",))
FOREIGN = "<project><description>by hand</description></project>"


def has(*jobs: Job, **others: str) -> State:
    """Return a Jenkins that has ``jobs`` as seed makes them, folders and views included."""
    items = {job.full_name: Item(job.full_name, jobxml.job_xml(job)) for job in jobs}
    items.update({name: Item(name, config) for name, config in others.items()})
    folders = {job.folder for job in jobs if job.folder}
    items.update({name: Item(name, jobxml.folder_xml("jobs"), folder=True) for name in folders})
    return State(items, {name: jobxml.view_xml("jobs", name) for name in folders})


def done(plan: seed.Plan) -> list[tuple[str, str]]:
    return [(change.action, change.item) for change in plan.changes]


def test_missing_job_is_created_with_folders_and_views():
    plan = seed.make([replace(WEB, folder="team/web")], State({}), {"jobs"})
    assert done(plan) == [
        ("create-folder", "team"),
        ("create-folder", "team/web"),
        ("create", "team/web/aglaia-web-re"),
        ("create-view", "team"),
        ("create-view", "team/web"),
    ]


def test_a_job_that_is_right_is_left_alone():
    plan = seed.make([replace(WEB, folder="team")], has(replace(WEB, folder="team")), {"jobs"})
    assert (plan.changes, plan.unchanged) == ([], ["team/aglaia-web-re"])


def test_a_multibranch_job_that_cannot_scan_is_mended():
    """Jobs of earlier versions have a strategy without its list of properties."""
    job = replace(WEB, kind="multibranch", branches=("*",))
    config = jobxml.job_xml(job)
    old = re.sub(r"(<strategy [^>]*)>\s*<properties class=\"empty-list\" />\s*</strategy>", r"\1/>", config)
    assert old != config
    (change,) = seed.make([job], State({job.name: Item(job.name, old)}), {"jobs"}).changes
    assert (change.action, change.diff) == ("update", ("+ sources/data/BranchSource/strategy/properties: empty-list",))


def test_change_shows_removed_and_added_lines():
    (change,) = seed.make([replace(WEB, branches=("dev",))], has(WEB), {"jobs"}).changes
    assert change.describe() == (
        "update aglaia-web-re\n"
        "    - definition/scm/branches/BranchSpec/name: */main\n"
        "    + definition/scm/branches/BranchSpec/name: */dev"
    )


def test_seed_refuses_a_job_it_did_not_create():
    plan = seed.make([WEB], State({WEB.name: Item(WEB.name)}), {"jobs"})
    assert (plan.changes, plan.refused) == (
        [],
        [seed.Refused(WEB.name, "seed did not create it; --adopt takes it over")],
    )


def test_adopt_takes_over_a_job_of_same_name():
    state = State({WEB.name: Item(WEB.name, "<flow-definition><description>by hand</description></flow-definition>")})
    assert done(seed.make([WEB], state, {"jobs"}, adopt=True)) == [("update", WEB.name)]


def test_job_from_another_jobs_file_is_refused():
    plan = seed.make([WEB], has(replace(WEB, set_name="others")), {"jobs"})
    assert plan.refused == [seed.Refused(WEB.name, "jobs file others created it; --adopt takes it over")]


@pytest.mark.parametrize(("prune", "action"), [(False, "disable"), (True, "delete")])
def test_job_removed_from_file_is_disabled_or_pruned(prune, action):
    state = has(WEB, UI, other=FOREIGN)
    assert done(seed.make([WEB], state, {"jobs"}, prune=prune)) == [(action, UI.name)]


MANY = [replace(WEB, code=f"a-{number}", name=f"a-{number}", repository=f"r/{number}") for number in range(40)]


@table(("named", "drastic"), [(19, True), (20, False)])
@table("prune", [False, True])
def test_plan_is_drastic_when_most_jobs_are_removed(named, drastic, prune):
    assert seed.make(MANY[:named], has(*MANY), {"jobs"}, prune=prune).drastic is drastic


def test_removing_a_few_jobs_is_never_drastic():
    assert not seed.make([], has(*MANY[:10]), {"jobs"}, prune=True).drastic
    assert seed.make([], has(*MANY[:11]), {"jobs"}, prune=True).drastic


def test_disabled_jobs_do_not_count_as_staying():
    old = [replace(job, disabled=True) for job in MANY[:25]]
    assert seed.make(MANY[36:], has(*old, *MANY[25:]), {"jobs"}).drastic


def test_it_is_drastic_to_make_all_jobs_anew():
    plan = seed.make([replace(job, kind="freestyle") for job in MANY], has(*MANY), {"jobs"}, prune=True)
    assert (len(plan.going), plan.staying, plan.drastic) == (40, 0, True)


def test_jobs_that_move_stay():
    plan = seed.make([replace(job, folder="team") for job in MANY], has(*MANY), {"jobs"})
    assert (plan.going, plan.staying) == ([], 40)


def test_what_is_disabled_already_is_not_disabled_again():
    assert seed.make([WEB], has(WEB, replace(UI, disabled=True)), {"jobs"}).changes == []


def test_jobs_of_other_jobs_files_are_never_pruned():
    assert seed.make([WEB], has(WEB, replace(UI, set_name="others")), {"jobs"}, prune=True).changes == []


def test_prune_deletes_a_folder_only_when_empty():
    state = has(replace(WEB, folder="team"))
    assert done(seed.make([], state, {"jobs"}, prune=True)) == [
        ("delete", "team/aglaia-web-re"),
        ("delete-view", "team"),
        ("delete-folder", "team"),
    ]
    crowded = State({**state.items, "team/by-hand": Item("team/by-hand")}, state.views)
    assert done(seed.make([], crowded, {"jobs"}, prune=True)) == [("delete", "team/aglaia-web-re")]


@pytest.mark.parametrize(
    "new",
    [
        replace(WEB, folder="team"),
        replace(WEB, code="aglaia-shop-re", name="aglaia-shop-re"),
        replace(WEB, name="web", repository="git@y:web.git"),
    ],
    ids=["moved", "code changed", "renamed, repository moved"],
)
def test_renamed_job_moves_and_keeps_its_history(new):
    changes = seed.make([new, UI], has(WEB, UI), {"jobs"}, prune=True).changes
    assert Change("move", new.full_name, source=WEB.name) in changes
    assert not [change for change in changes if change.action in ("create", "delete")]


def test_job_with_changed_repository_is_updated_in_place():
    assert done(seed.make([replace(WEB, repository="git@x:new.git")], has(WEB), {"jobs"})) == [("update", WEB.name)]


def test_ambiguous_jobs_of_one_repository_are_not_renamed():
    first, second = replace(WEB, code="a", name="a"), replace(WEB, code="b", name="b")
    changes = done(
        seed.make([replace(WEB, code="c", name="c"), replace(WEB, code="d", name="d")], has(first, second), {"jobs"})
    )
    assert changes == [("create", "c"), ("create", "d"), ("disable", "a"), ("disable", "b")]


def test_chained_renames_start_at_the_free_name():
    state = has(replace(WEB, name="a"), replace(UI, name="b"))
    changes = seed.make([replace(WEB, name="b"), replace(UI, name="c")], state, {"jobs"}).changes
    assert [(change.source, change.item) for change in changes if change.action == "move"] == [("b", "c"), ("a", "b")]


#: A job whose project the file names is left as it is, with every job that waits for its name.
@table("prune", [False, True])
@table("taken", ["c", "C"])
def test_refused_name_blocks_renames_that_depend_on_it(taken, prune):
    state = has(replace(WEB, name="a"), replace(UI, name="b"), **{taken: FOREIGN})
    plan = seed.make([replace(WEB, name="b", disabled=True), replace(UI, name="c")], state, {"jobs"}, prune=prune)
    assert (plan.changes, plan.staying) == ([], 2)
    reasons = {one.item: one.reason for one in plan.refused}
    assert list(reasons) == ["c", "b"]
    assert reasons["b"] == "b cannot move to c; a stays as it is"


def test_new_job_never_overwrites_job_that_cannot_move():
    plan = seed.make([replace(UI, name="b"), replace(WEB, name="c")], has(replace(WEB, name="b"), c=FOREIGN), {"jobs"})
    assert (plan.changes, [one.item for one in plan.refused]) == ([], ["c", "b"])
    assert plan.refused[1].reason == "b cannot move to c"


def test_new_job_takes_name_freed_by_a_move():
    plan = seed.make([replace(UI, name="b"), replace(WEB, name="c")], has(replace(WEB, name="b")), {"jobs"})
    assert done(plan) == [("move", "c"), ("create", "b")]


def test_prune_keeps_folder_of_job_that_cannot_move():
    plan = seed.make([replace(WEB, name="web")], has(replace(WEB, folder="team"), web=FOREIGN), {"jobs"}, prune=True)
    assert plan.changes == []


@pytest.mark.parametrize(("prune", "action"), [(False, "disable"), (True, "delete")])
def test_adopting_a_job_disables_or_deletes_its_predecessor(prune, action):
    state = has(replace(WEB, name="old"), web="<flow-definition><description>by hand</description></flow-definition>")
    changes = seed.make([replace(WEB, name="web")], state, {"jobs"}, adopt=True, prune=prune).changes
    assert [(change.action, change.item) for change in changes] == [("update", "web"), (action, "old")]
    assert changes[1].describe().endswith(": the jobs file now has web for its project")


def test_jobs_that_swap_their_names_stay_in_place():
    state = has(replace(WEB, name="a"), replace(UI, name="b"))
    assert done(seed.make([replace(WEB, name="b"), replace(UI, name="a")], state, {"jobs"})) == [
        ("update", "b"),
        ("update", "a"),
    ]


def test_job_changing_kind_is_replaced_only_with_prune():
    wanted = [replace(WEB, kind="multibranch", branches=("*",))]
    assert seed.make(wanted, has(WEB), {"jobs"}).changes == []
    assert done(seed.make(wanted, has(WEB), {"jobs"}, prune=True)) == [("replace", WEB.name)]


def test_job_at_folder_path_blocks_only_its_children():
    plan = seed.make([replace(WEB, folder="team"), UI], has(team=FOREIGN), {"jobs"})
    assert done(plan) == [("create", UI.name)]
    assert plan.refused == [seed.Refused("team/aglaia-web-re", "team is a job, not a folder")]


def test_missing_plugin_names_a_job_that_needs_it():
    jobs = [WEB, replace(UI, folder="team", kind="freestyle"), replace(UI, name="x", triggers={"webhook": "token"})]
    assert missing_plugins(jobs, {"git", "workflow-job", "workflow-cps"}) == {
        "cloudbees-folder": "team/aglaia-ui-re",
        "generic-webhook-trigger": "x",
    }
    assert missing_plugins(jobs, None) == {}


def test_plain_freestyle_job_needs_no_plugin():
    job = replace(WEB, kind="freestyle")
    assert missing_plugins([job], ()) == {}
    assert missing_plugins([replace(job, credentials="id")], ()) == {"git": WEB.name}


def test_job_name_may_change_case_only_inside_folders():
    job = replace(WEB, folder="team")
    plan = seed.make([replace(job, name="Aglaia-web-re")], has(job), {"jobs"})
    assert (done(plan), plan.refused) == ([("move", "team/Aglaia-web-re")], [])
    plan = seed.make([replace(WEB, name="Aglaia-web-re")], has(WEB), {"jobs"})
    assert (done(plan), [one.item for one in plan.refused]) == ([], ["Aglaia-web-re"])


def test_seed_tells_apart_jobs_that_differ_in_case():
    job = replace(WEB, folder="team")
    state = has(job)
    others = {**state.items, "team/AGLAIA-WEB-RE": Item("team/AGLAIA-WEB-RE", FOREIGN)}
    assert seed.make([job], State(others, state.views), {"jobs"}).unchanged == [job.full_name]


#: What hudson.scheduler.CronTabList of Jenkins 2.541.3 said on 2026-11-27.
@table("line", ["* * H/28 * *", "* * */32 * *", "*/61 * * * *", "H(0-29)/30 * * * *", "* * * * H/7", "* * H(1-31)/31 * *", "TZ=UTC\r\n5\t* * * *"])  # fmt: skip
def test_a_cron_that_jenkins_took_is_taken(line):
    assert list(_cron_problems(line, ())) == []


@table("line", ["@daily x", "@daily5", "@dailyweekly", "@daily w", "@hourly TZ=UTC", "@yearly\t@", "@annually)", " @daily", "@daily,", "*/2147483647 * * * *", "007 * * * *", "\r* * * * *", "TZ=UTC", "  TZ=UTC  \n@daily", "TZ=Asia/Shanghai\n@daily", "TZ=BET\n@daily", "TZ=SystemV/PST8\n@daily", "TZ=EST5EDT\n@daily"])  # fmt: skip
def test_cron_aliases_and_timezones_jenkins_accepts_are_accepted(line):
    assert list(_cron_problems(line, ())) == []


@table("line", ["@dailyx", "@dailyw", "@ daily", "@Daily", "@reboot", "* * * * * x", "*/2147483648 * * * *", "* * *\r* *", "\u3000* * * * *", "* * * * *\u3000", "\nTZ=UTC\n* * * * *", "TZ= UTC\n@daily", "TZ=\n@daily", "TZ=Asia/Shangai\n@daily", "TZ=asia/shanghai\n@daily", "TZ=Factory\n@daily", "TZ=GMT+8\n@daily", "TZ=GMT+08:00\n@daily", "TZ=ROC\n@daily"])  # fmt: skip
def test_cron_aliases_and_timezones_jenkins_refuses_are_refused(line):
    assert list(_cron_problems(line, ()))


def test_any_timezone_is_accepted_without_a_timezone_list(monkeypatch):
    monkeypatch.setattr("container_pipeline.plan.seed.jobs._time_zones", set)
    assert list(_cron_problems("TZ=Mars/Base\n@daily", ())) == []


@table("line", ["* * H/29 * *", "* * * * H/8", "H(1-2)/5 * * * *", "H(0-29)/40 * * * *", "\uff15 * * * *", "5\u3000* * * *", "5 * * * *\u20286 * * * *", "5 * * * *\x856 * * * *", "*/0 * * * *", "* * * * MON"])  # fmt: skip
def test_a_cron_that_jenkins_refused_is_refused(line):
    assert list(_cron_problems(line, ()))
