"""Guards of releases, values and logins on a server."""

from __future__ import annotations

from mutations.entry import Mutation

_COMMON = "remote/programs/common.sh"
_DEPLOY = "remote/programs/deploy.sh"

PRUNED = [
    Mutation(
        "Old releases go, with their images",
        _DEPLOY,
        (('sed "1,${keep}d"', 'sed "1,99d"'),),
        ("real/test_releases.py::test_releases_beyond_keep_go_with_their_images_and_no_other",),
    ),
    Mutation(
        "The release that runs is never pruned, however old",
        _DEPLOY,
        (("    by_worth | sed", "    list_releases | sed"),),
        ("real/test_releases.py::test_a_release_that_came_back_is_kept_however_old",),
    ),
    Mutation(
        "A rollback passes over what was gone back from",
        _DEPLOY,
        (("""those='below; $0 "" == version { below = 1 }'""", """those='$0 "" != version'"""),),
        (
            "real/test_releases.py::test_rollback_goes_to_the_release_that_ran_before_never_to_one_that_was_gone_back_from",
        ),
    ),
    Mutation(
        "The image of a failed version stays where a kept release needs it",
        _DEPLOY,
        (('    [ -d "releases/$version" ] || dock rmi', "    dock rmi"),),
        ("real/test_releases.py::test_an_image_that_a_kept_release_needs_stays",),
    ),
    Mutation(
        "A registry keeps what a server's release needs",
        "plan/prune.py",
        (("{tag for tag in found[keep:] if tag not in in_use}", "set(found[keep:])"),),
        (
            "real/test_prune.py::test_a_version_that_a_real_server_runs_outlives_newer_ones_and_an_unreachable_server_ends_it",
            "real/test_prune.py::test_what_a_server_keeps_is_not_deleted",
        ),
    ),
    Mutation(
        "A build node keeps what its containers are made of, latest, and what was built last",
        "plan/prune.py",
        (("if image.tag == version and not stays & {version, identity}", "if image.tag == version"),),
        ("real/test_local.py::test_latest_what_was_built_last_and_what_a_container_is_made_of_stay",),
    ),
]


VALUES = [
    Mutation(
        "Values of .env arrive as they stand: a dollar sign (Compose v2)",
        "plan/envfile.py",
        (('.replace("$", "$$")', ""),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v2]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: a dollar sign (Compose v1)",
        "plan/envfile.py",
        (('.replace("$", "${:-$}")', ""),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v1]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: a backslash (Compose v2)",
        "plan/envfile.py",
        (("""    return value.replace("\\\\", r"\\\\").replace""", "    return value.replace"),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v2]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: quotes, blanks and a number sign (both)",
        "plan/envfile.py",
        (("""        return "'" + value.replace("'", r"\\'") + "'"\n""", "        return value\n"),),
        (
            "real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v2]",
            "real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v1]",
        ),
    ),
    Mutation(
        "A server with Compose v1 gets the file that v1 reads",
        _DEPLOY,
        (('then mv -f "$stage/.env.v1" "$stage/.env"; else', "then :; else"),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_as_they_stand[compose-v1]",),
    ),
    Mutation(
        "An empty .env is refused",
        "plan/envfile.py",
        (("    if not values:\n", "    if values is None:\n"),),
        ("real/test_env_file.py::test_an_empty_or_malformed_file_is_refused_and_never_printed[-is empty]",),
    ),
    Mutation(
        "What stands in a malformed .env is never printed",
        "plan/envfile.py",
        (('line {line} is not NAME=value", file=name,', 'line {line} is not NAME=value", file=line,'),),
        ("unit/test_envfile.py::test_a_refusal_names_the_line_and_not_its_content",),
    ),
]


SECRETS = [
    Mutation(
        "No password in any process' arguments: all that is secret travels on stdin",
        "remote/ssh.py",
        (
            (
                "            self._command,\n",
                '            [*self._command[:-1], self._command[-1] + " \'" + program.replace("\'", "") + "\'"],\n',
            ),
        ),
        (
            "real/test_ssh.py::test_no_password_in_any_arguments_in_the_log_or_left_on_the_server[compose-v2]",
            "real/test_ssh.py::test_no_password_in_any_arguments_in_the_log_or_left_on_the_server[compose-v1]",
        ),
    ),
    Mutation(
        "A server gets the login that pulls, not the one that pushes",
        "settings.py",
        (("            access = self.pulls[access.role]\n", ""),),
        (
            "unit/test_settings.py::test_servers_pull_with_a_login_of_their_own",
            "real/test_ssh.py::test_a_server_gets_its_own_login_and_never_the_one_that_pushes[compose-v2]",
        ),
    ),
    Mutation(
        "Children get only what they need of the environment",
        "remote/ssh.py",
        (("            env=environment,\n", "            env=None,\n"),),
        ("real/test_ssh.py::test_ssh_gets_none_of_the_builds_variables",),
    ),
    Mutation(
        "The registry's login never comes to rest in ~/.docker",
        _COMMON,
        (
            (
                "    login=$work/login\n",
                '    cp "$work/login/config.json" "$HOME/.docker/config.json"\n    login=$work/login\n',
            ),
        ),
        ("real/test_ssh.py::test_no_password_in_any_arguments_in_the_log_or_left_on_the_server[compose-v2]",),
    ),
    Mutation(
        "The registry's login is deleted on the server at the end",
        _COMMON,
        (('    [ -z "$work" ] || rm -rf "$work"\n', ""),),
        ("real/test_ssh.py::test_no_password_in_any_arguments_in_the_log_or_left_on_the_server[compose-v2]",),
    ),
    Mutation(
        "The registry's login is deleted on the server, the program killed or not",
        _COMMON,
        (('        rm -rf "$work" "$private"\n    } </dev/null', "    } </dev/null"),),
        (
            "real/test_kill_sweep.py::test_the_server_program_killed_at_any_point_leaves_what_the_next_run_repairs[compose-v2]",
        ),
    ),
    Mutation(
        ".env is for its owner alone",
        "execute/release.py",
        (('File(".env", v2, 0o600)', 'File(".env", v2)'),),
        (
            "real/test_deploy.py::test_files_are_for_their_owner_alone_where_they_hold_secrets",
            "real/test_deploy.py::test_no_file_of_values_is_open_to_others_for_a_moment",
        ),
    ),
    Mutation(
        ".env is for its owner alone from its creation, not only in the end",
        _DEPLOY,
        (
            (
                '    [ -f "$stage/.env.v1" ] || return 0\n',
                '    chmod 644 "$stage/.env"\n    [ -f "$stage/.env.v1" ] || return 0\n',
            ),
            ("    switch\n    step start\n", '    chmod 600 "$stage/.env"\n    switch\n    step start\n'),
        ),
        ("real/test_deploy.py::test_no_file_of_values_is_open_to_others_for_a_moment",),
    ),
    Mutation(
        "The folder of a release is for its owner alone",
        _COMMON,
        (("umask 077\n", "umask 022\n"),),
        ("real/test_deploy.py::test_files_are_for_their_owner_alone_where_they_hold_secrets",),
    ),
]
