"""Guards of the lock and of interruptions: the server always returns to a good state."""

from __future__ import annotations

from mutations.entry import Mutation

_COMMON = "remote/programs/common.sh"
_DEPLOY = "remote/programs/deploy.sh"
_HEALTH = "remote/programs/health.sh"
_SWITCH = "remote/programs/switch.sh"

LOCK = [
    Mutation(
        "Of two deploys at once one waits or fails",
        _COMMON,
        (("until flock -n 9; do", "until true; do"),),
        ("real/test_lock.py::test_runs_end_or_wait_for_a_held_lock",),
    ),
    Mutation(
        "It says who holds the lock, since when, with what version",
        _COMMON,
        (('end locked lock "$(lock_holder .lock)"', "end locked lock"),),
        ("real/test_lock.py::test_runs_end_or_wait_for_a_held_lock",),
    ),
    Mutation(
        "The wait for the lock is bounded",
        _COMMON,
        (("turns=$((wait * 5 + 8))", "turns=99999"),),
        ("real/test_lock.py::test_runs_end_or_wait_for_a_held_lock",),
    ),
    Mutation(
        "No crash leaves the lock: it is a process', not a folder that somebody must remove",
        _COMMON,
        (
            (
                "until flock -n 9; do",
                "until mkdir .held 2>/dev/null && trap 'rmdir \"$folder/.held\"; clean_up' EXIT; do",
            ),
        ),
        ("real/test_kill_sweep.py::test_next_deploy_repairs_or_restores_after_a_kill[renames]",),
    ),
    Mutation(
        "What goes on with the service does not inherit the lock",
        _DEPLOY,
        (
            (
                '    long no compose up -d ${recreate:+"$recreate"} || return\n',
                '    sleep 60 </dev/null >/dev/null 2>&1 &\n    long no compose up -d ${recreate:+"$recreate"} || return\n',
            ),
        ),
        ("real/test_lock.py::test_runs_end_or_wait_for_a_held_lock",),
    ),
    Mutation(
        "Compose that outlives a killed program keeps the lock: two never work at once",
        _COMMON,
        (('    background "$@" >"$work/out" 2>&1 &\n', '    background "$@" >"$work/out" 2>&1 9>&- &\n'),),
        (
            "real/test_interruption.py::test_surviving_compose_keeps_the_lock_until_it_ends[compose-v2]",
            "real/test_interruption.py::test_surviving_compose_keeps_the_lock_until_it_ends[compose-v1]",
        ),
    ),
]


KILLED = [
    Mutation(
        "Killed at any moment, the files are the old or the new ones: each changes by one rename",
        _SWITCH,
        (
            (
                "    # A service from before the first release may have none of these.\n",
                "    rm -f docker-compose.yml .env\n",
            ),
        ),
        ("real/test_kill_sweep.py::test_next_deploy_repairs_or_restores_after_a_kill[renames]",),
    ),
    Mutation(
        "The next run puts right what a killed one left in the middle of its switch",
        _DEPLOY,
        (('    [ -d "$former" ] || return 0\n', "    return 0\n"),),
        ("real/test_kill_sweep.py::test_next_deploy_repairs_or_restores_after_a_kill[renames]",),
    ),
    Mutation(
        "The journal of a switch is there before the first live file changes",
        _SWITCH,
        (
            (
                'mv "$private/former" "$former" && put_files && {',
                'put_files && mkdir -p "$former" && cp -Rp "$private/former/." "$former/" && {',
            ),
        ),
        ("real/test_kill_sweep.py::test_next_deploy_repairs_or_restores_after_a_kill[renames]",),
    ),
    Mutation(
        "A run whose agent is gone or whose connection is cut is ended on the server",
        _HEALTH,
        (('        [ "$lost" = no ] || { bad="connection" && return 1; }\n', ""),),
        (
            "real/test_interruption.py::test_server_recovers_by_itself_after_agent_is_killed[compose-v2]",
            "real/test_interruption.py::test_deploy_asks_server_for_outcome_after_lost_connection[run]",
        ),
    ),
    Mutation(
        "Nothing is switched for an agent that is gone before it",
        _COMMON,
        (("trap 'lost=yes' TERM HUP INT\n", "trap '' TERM HUP INT\n"),),
        ("real/test_lock.py::test_runs_end_or_wait_for_a_held_lock",),
    ),
    Mutation(
        "An agent that is silent, its wire cut, is missed",
        _COMMON,
        (('            kill -TERM $$\n            [ "$(cat', '            [ "$(cat'),),
        ("real/test_interruption.py::test_deploy_asks_server_for_outcome_after_lost_connection[run]",),
    ),
]


FROZEN = [
    Mutation(
        "A disk that hangs ends a look at a server, too",
        "remote/programs/status.sh",
        (("    watch_connection\n", ""),),
        ("real/test_frozen_engine.py::test_hung_disk_ends_every_command_and_frees_lock",),
    ),
    Mutation(
        "What asks a frozen engine ends",
        _COMMON,
        (("    if $words 9 true 2>/dev/null; then bound=$words && break; fi\n", "    :\n"),),
        ("real/test_frozen_engine.py::test_frozen_engine_ends_commands_without_hiding_other_servers",),
    ),
    Mutation(
        "A Compose that waits for a frozen engine is ended",
        _COMMON,
        (('        [ "$missed" -ge 3 ] || continue\n', "        continue\n"),),
        ("real/test_frozen_engine.py::test_frozen_engine_ends_commands_without_hiding_other_servers",),
    ),
    Mutation(
        "Every wait ends where sudo runs docker alone, too",
        _COMMON,
        (
            ("|| docker_only=yes\n", "|| bound=''\n"),
            ('        sudo_docker "$brief" "$@"\n', '        $in_background sudo -n "$@"\n'),
        ),
        ("real/test_frozen_engine.py::test_where_sudo_runs_docker_alone_every_wait_ends[dash]",),
    ),
    Mutation(
        "Going back waits for an engine that is started anew",
        _COMMON,
        (("    until answers; do\n", "    until true; do\n"),),
        ("real/test_frozen_engine.py::test_rollback_waits_for_a_restarting_engine[while it stops the container]",),
    ),
]


LOGIN_SHELLS = [
    Mutation(
        "What a login shell prints is not believed",
        "remote/ssh.py",
        (
            (
                "        if not line.startswith(mark):\n",
                "        line = mark + line[2:]\n        if not line.startswith(mark):\n",
            ),
        ),
        ("real/test_login_shells.py::test_login_shell_output_and_variables_never_affect_runs",),
    ),
    Mutation(
        "What a login shell sets steers nothing",
        "remote/ssh.py",
        (("exec sh -c 'exec env -i PATH", "exec sh -c 'exec env PATH"),),
        ("real/test_login_shells.py::test_login_shell_output_and_variables_never_affect_runs",),
    ),
    Mutation(
        "A program that starts after the agent has given up runs no Compose command",
        "remote/programs/control.sh",
        (("    await_go\n", ""),),
        ("real/test_login_shells.py::test_login_shell_output_and_variables_never_affect_runs",),
    ),
    Mutation(
        "A program that starts after the agent has given up holds no code",
        "remote/programs/hold.sh",
        (("    await_go\n", ""),),
        ("real/test_login_shells.py::test_login_shell_output_and_variables_never_affect_runs",),
    ),
    Mutation(
        "A program that starts after the agent has given up creates no folder",
        _DEPLOY,
        (("    await_go\n    open_folder\n", "    open_folder\n    await_go\n"),),
        ("real/test_login_shells.py::test_deploy_reports_a_login_shell_that_blocks_it",),
    ),
    Mutation(
        "What a killed run has left, a login perhaps, goes with the next run",
        _COMMON,
        (("make_work() {\n    sweep\n", "make_work() {\n"),),
        ("real/test_odd_servers.py::test_full_memory_and_killed_runs_harm_no_run[status]",),
    ),
    Mutation(
        "Docker's mere warnings refuse nothing",
        _COMMON,
        (
            ("    if engine_away || grep -v '^WARNING'", "    if engine_away || grep ''"),
            ('    if [ "$sudo" = no ] && ! own_configuration; then\n', "    if false; then\n"),
        ),
        ("real/test_odd_servers.py::test_root_configuration_and_compose_without_plugin_still_deploy",),
    ),
]


FORGED = [
    Mutation(
        "A BUILD_URL with a control character is refused",
        "settings.py",
        (("    if not value.isprintable():\n", '    if "\\n" in value:\n'),),
        (
            r"unit/test_settings.py::test_build_url_with_control_character_is_refused[\r]",
            r"unit/test_settings.py::test_build_url_with_control_character_is_refused[\x1b[2J]",
            r"unit/test_settings.py::test_build_url_with_control_character_is_refused[\u2028]",
        ),
    ),
    Mutation(
        "Values are only values to the shell on the server",
        "remote/transfer.py",
        (("shlex.quote(_text(value))", "chr(34) + _text(value) + chr(34)"),),
        ("unit/test_session.py::test_build_url_reaches_the_server_unchanged[$(echo no) `echo no` $HOME]",),
    ),
    Mutation(
        "A bar in a BUILD_URL ends no field of the lock",
        "remote/fleet.py",
        (('.replace("|", "%7C")', ""),),
        ("unit/test_session.py::test_build_url_with_bar_still_names_lock_holder",),
    ),
    Mutation(
        "A line break in what a program says begins no sentence",
        _COMMON,
        (("    case $saying in *\"$newline\"*) saying=$(printf '%s' \"$saying\" | tr '\\n' ' ') ;; esac\n", ""),),
        ("unit/test_session.py::test_a_sentence_with_line_breaks_stays_one_sentence",),
    ),
    Mutation(
        "Success is believed only after the steps before it",
        "remote/fleet.py",
        (('            answer.status = "unproven"\n', "            pass\n"),),
        (
            "unit/test_session.py::test_success_requires_every_step_in_order[a step is missing]",
            "unit/test_session.py::test_success_requires_every_step_in_order[another digest]",
        ),
    ),
]


ABORTED = [
    Mutation(
        "An abort, to children first, ends with 143",
        "remote/fleet.py",
        (("            children.wait_for_abort()\n", "            pass\n"),),
        (
            "real/test_interruption.py::test_jenkins_abort_exits_143_within_five_seconds[compose-v2-SIGTERM]",
            "real/test_interruption.py::test_jenkins_abort_exits_143_within_five_seconds[compose-v1-SIGTERM]",
        ),
    ),
    Mutation(
        "An abort ends what runs on the server, and the lock is gone",
        _COMMON,
        (('        echo gone >"$work/beat"\n        kill -TERM $$\n', ""),),
        ("real/test_interruption.py::test_jenkins_abort_exits_143_within_five_seconds[compose-v2-SIGTERM]",),
    ),
    Mutation(
        "SIGTERM ends the agent with 143",
        "__main__.py",
        (('raise Stopped(_("terminated"), 143)', 'raise Stopped(_("terminated"), 1)'),),
        ("real/test_interruption.py::test_jenkins_abort_exits_143_within_five_seconds[compose-v2-SIGTERM]",),
    ),
    Mutation(
        "A signal just before a call that blocks ends the call",
        "__main__.py",
        (("            signal.pthread_kill(main_thread, signal.SIGURG)\n", ""),),
        ("unit/test_main.py::test_signal_just_before_a_blocking_call_ends_it",),
    ),
    Mutation(
        "A rollback tries again where the engine restarted meanwhile",
        _COMMON,
        (("    for _ in 1 2 3; do\n        await_engine", "    for _ in 1; do\n        await_engine"),),
        ("real/test_frozen_engine.py::test_rollback_waits_for_a_restarting_engine[while it stops the container]",),
    ),
    Mutation(
        "Keep-alives before the files are no part of them",
        _COMMON,
        (('    until [ "$heard" = go ]; do IFS= read -r heard || end stopped connection; done\n', "    read -r _\n"),),
        ("real/test_login_shells.py::test_login_shell_output_and_variables_never_affect_runs",),
    ),
    Mutation(
        "A former file that cannot be put back is no success",
        _SWITCH,
        (('put_back "$name" || unrestored=yes', 'put_back "$name"'),),
        ("real/test_release_files.py::test_file_that_cannot_be_restored_exits_4",),
    ),
    Mutation(
        "A folder that stays gets its former mode back, or the deploy ends in 4",
        _SWITCH,
        (("set_modes old || unrestored=yes", "set_modes old"),),
        ("real/test_release_files.py::test_file_that_cannot_be_restored_exits_4",),
    ),
    Mutation(
        "A mode that changed arrives",
        _SWITCH,
        (("{ if (kind != old[path])", "{ if (0)"),),
        ("real/test_release_files.py::test_names_modes_links_and_shapes_of_files_arrive[dash-0]",),
    ),
    Mutation(
        "What renames are about is on the disk before them",
        _SWITCH,
        (('    find "$private" -path "$private/former/tree" -prune -o -type f -exec sync {} +\n', ""),),
        ("real/test_interruption.py::test_server_recovers_by_itself_after_agent_is_killed[compose-v2]",),
    ),
]
