"""Guards of the release command, of the check over HTTP and of the drain."""

from __future__ import annotations

from mutations.entry import Mutation

_COMMON = "remote/programs/common.sh"
_DEPLOY = "remote/programs/deploy.sh"
_ONCE = "remote/programs/once.sh"
_ONCE_OR_KILLED = "real/test_release_command.py::test_command_runs_once_and_kills_leave_no_container[compose-v2]"
_RUNS = "real/test_release_command.py::test_command_runs_in_the_new_image_and_release[compose-v2]"

RELEASE = [
    Mutation(
        "A release command that fails ends the deploy before anything is touched",
        _ONCE,
        (("    'false '*) bad=\"release exited", "    'none '*) bad=\"release exited"),),
        (_RUNS,),
    ),
    Mutation(
        "A release command that hangs is ended",
        _ONCE,
        (('        [ "$(date +%s)" -lt "$until_then" ] ||', "        true ||"),),
        (_RUNS,),
    ),
    Mutation(
        "The release command runs before the switch",
        _ONCE,
        (
            (
                '    if [ -z "$(current_release)$found_ids" ] && [ ! -e docker-compose.yml ]; then return; fi\n',
                "    return\n",
            ),
        ),
        (_RUNS,),
    ),
    Mutation(
        "The release command runs in the new image, not in the one that a tag names",
        "plan/resolved.py",
        (('        entry["image"] = f"{image.name}@{digest}"\n', "        pass\n"),),
        (_ONCE_OR_KILLED,),
    ),
    Mutation(
        "No container of a release command that failed is left",
        _COMMON,
        (('    dock rm -fv "$(cat "$1/throwaway")" >/dev/null', "    true >/dev/null"),),
        (_RUNS,),
    ),
    Mutation(
        "The container of a killed program is removed by its watcher",
        _COMMON,
        (
            ('        if [ -e "$private/throwaway" ]; then\n', "        if false; then\n"),
            (
                '        ! remove_throwaway "$private" || rm -rf "$private"\n        rm -rf "$work"\n',
                '        rm -rf "$private" "$work"\n',
            ),
        ),
        (_ONCE_OR_KILLED,),
    ),
    Mutation(
        "A release command runs on one server alone",
        "remote/once.py",
        (("            if self._runner is None and self._waiting[:1] == [target]:\n", "            if True:\n"),),
        (_ONCE_OR_KILLED,),
    ),
    Mutation(
        "Where a release command fails, no other server changes",
        "remote/once.py",
        (('"stop" if self._failed', '"go" if self._failed'),),
        (_ONCE_OR_KILLED,),
    ),
    Mutation(
        "--no-release skips the release command",
        "commands/server/deploy.py",
        (
            (
                "    command = {} if no_release else run.settings.values.release\n",
                "    command = run.settings.values.release\n",
            ),
        ),
        (_RUNS,),
    ),
]

CHECK = [
    Mutation(
        "A check that does not hold fails the deploy",
        _DEPLOY,
        (
            (
                '    if ! { healthy "$id" && { [ -z "${check_path-}" ] || checked; }; }; then\n',
                '    if ! healthy "$id"; then\n',
            ),
        ),
        ("real/test_check.py::test_check_decides_about_a_new_release[compose-v2]",),
    ),
    Mutation(
        "A server that cannot ask over HTTP is refused before the switch",
        _DEPLOY,
        (('    [ -z "${check_path-}" ] || find_asker\n', "    asker=bash\n"),),
        ("real/test_check.py::test_check_decides_about_a_new_release[compose-v2]",),
    ),
    Mutation(
        "A drain command that fails leaves the old container",
        _DEPLOY,
        (('    [ -z "${drain-}" ] || drain_old || return\n', '    [ -z "${drain-}" ] || drain_old || true\n'),),
        ("real/test_drain.py::test_drained_deploys_lose_no_request[few]",),
    ),
    Mutation(
        "The old container is drained before it is stopped",
        _DEPLOY,
        (('    [ -z "${drain-}" ] || drain_old || return\n', ""),),
        ("real/test_drain.py::test_drained_deploys_lose_no_request[few]",),
    ),
]
