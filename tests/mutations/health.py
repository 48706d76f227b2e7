"""Guards of failed deploys: the previous release runs again, and the reason is shown."""

from __future__ import annotations

from mutations.entry import Mutation

_DEPLOY = "remote/programs/deploy.sh"
_HEALTH = "remote/programs/health.sh"
_SWITCH = "remote/programs/switch.sh"

FAILED = [
    Mutation(
        "An unhealthy service fails the deploy",
        _HEALTH,
        (('    running/unhealthy) bad="$service unhealthy" ;;\n', "    running/unhealthy) return ;;\n"),),
        ("real/test_found.py::test_failed_first_deploy_restores_the_manual_service_exactly[compose-v2-compose.yaml-]",),
    ),
    Mutation(
        "A service that exits at once, again and again, fails the deploy",
        _HEALTH,
        (('    [ "$restarts" -lt $((before + 3)) ] || judge_loop\n', ""),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "Healthy between two crashes is not well: it must stay so for the settling time",
        _HEALTH,
        (('{ ! restarted && [ -z "$ignored" ]; }', '[ -z "$ignored" ]'),),
        (
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v1]",
            "real/test_deploy_failures.py::test_restarts_are_no_failure_if_the_service_stabilizes",
        ),
    ),
    Mutation(
        "A service that listens on loopback alone, mapped into IPv6 too, fails the deploy",
        _HEALTH,
        (("((0000000000000000FFFF0000)?[0-9A-F]{6}7F|", "(0100007F|"),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "Restarts of long ago are no restart loop",
        _HEALTH,
        (("            before=$(restarts_before)\n", "            before=0\n"),),
        ("real/test_deploy_failures.py::test_restarts_are_no_failure_if_the_service_stabilizes",),
    ),
    Mutation(
        "A service that exits after five seconds fails the deploy: it must run for the settling time",
        _HEALTH,
        (('        [ "$age" -gt "$settle" ] || waiting="$service settling"\n', ""),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "A service that does not listen on the port that it publishes fails the deploy",
        _HEALTH,
        (
            (
                '            */tcp) listens "$pid" "${published%/tcp}" || waiting="$service port ${published%/tcp}" ;;\n',
                "            */tcp) ;;\n",
            ),
        ),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "One that never becomes healthy fails the deploy when the time is over",
        _HEALTH,
        (('            bad="$waiting timeout"\n', "            return 0\n"),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "Every service counts, a one-shot service that failed too",
        _HEALTH,
        (("        0/ | 0/no | 0/on-failure*) return ;;\n", "        *) return ;;\n"),),
        ("real/test_deploy_failures.py::test_rollback_restores_companion_image_and_removes_new_companion[compose-v2]",),
    ),
    Mutation(
        "A port that is taken fails the deploy, and is said",
        _DEPLOY,
        (("    if ! start_new; then\n", "    if ! start_new && false; then\n"),),
        (
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v1]",
        ),
    ),
    Mutation(
        "After a failure the former release runs again",
        _DEPLOY,
        (("    restore\n    clean_image\n", "    bad='' && restore_files && close_journal\n    clean_image\n"),),
        (
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v1]",
        ),
    ),
    Mutation(
        "After a failure the former files are back, byte for byte",
        _SWITCH,
        (('        mv -f "$former/tree/$1" "$1" ||', "        : ||"),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "After a failure the former image of the same version is back",
        _SWITCH,
        (('    if [ -s "$former/image" ]; then dock tag', "    if false; then dock tag"),),
        ("real/test_releases.py::test_rollback_and_keep_choose_the_right_releases",),
    ),
    Mutation(
        "The last lines of the failed service's log are shown",
        _HEALTH,
        (('    dock logs --tail 20 "$failed" >"$work/log" 2>&1\n', ""),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "The exit code says: failed, rolled back",
        "errors.py",
        (("    exit_code = 3\n", "    exit_code = 1\n"),),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "Going back that fails too is told apart, by its exit code",
        _DEPLOY,
        (
            (
                '    [ -z "$bad" ] || { note_broken && end broken "$(runs_there)|$(current_release)|$reason|$bad"; }\n',
                "",
            ),
        ),
        ("real/test_deploy_failures.py::test_rollback_restores_companion_image_and_removes_new_companion[compose-v2]",),
    ),
    Mutation(
        "A first deploy that fails is taken down",
        _DEPLOY,
        (("|| insist long no compose down ||", "|| true ||"),),
        (
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",
            "real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v1]",
        ),
    ),
    Mutation(
        "A first deploy that fails pretends no rollback",
        _DEPLOY,
        (
            (
                "    if [ -s releases/.current ] || [ -f docker-compose.yml ]; then end rolled-back",
                "    if true; then end rolled-back",
            ),
        ),
        ("real/test_deploy_failures.py::test_the_former_release_runs_again_byte_for_byte[compose-v2]",),
    ),
    Mutation(
        "With start-first the old container stays until a proxy has learned where the new one is",
        _HEALTH,
        (('{ ! restarted && [ -z "$ignored" ]; }', "! restarted"),),
        ("real/test_start_first.py::test_start_first_always_keeps_a_healthy_container[compose-v2]",),
    ),
    Mutation(
        "With start-first the old container goes only when the new one is well",
        _DEPLOY,
        (("    start_beside || { start; return; }\n", "    start\n    return\n"),),
        ("real/test_start_first.py::test_start_first_always_keeps_a_healthy_container[compose-v2]",),
    ),
]
