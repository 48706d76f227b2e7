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
        ("real/test_releases.py::test_rollback_and_keep_choose_the_right_releases",),
    ),
    Mutation(
        "The release that runs is never pruned, however old",
        _DEPLOY,
        (("    by_worth | sed", "    list_releases | sed"),),
        ("real/test_releases.py::test_rollback_and_keep_choose_the_right_releases",),
    ),
    Mutation(
        "A rollback passes over what was gone back from",
        _DEPLOY,
        (("""those='below; $0 "" == version { below = 1 }'""", """those='$0 "" != version'"""),),
        ("real/test_releases.py::test_rollback_and_keep_choose_the_right_releases",),
    ),
    Mutation(
        "The image of a failed version stays where a kept release needs it",
        _DEPLOY,
        (('    if [ ! -d "releases/$version" ]; then\n        dock rmi', "    if true; then\n        dock rmi"),),
        ("real/test_releases.py::test_rollback_and_keep_choose_the_right_releases",),
    ),
    Mutation(
        "A registry keeps what a server's release needs",
        "plan/prune.py",
        (
            (
                "tag not in in_use and str(held.tags[tag]) not in in_use",
                "True",
            ),
        ),
        (
            "real/test_prune.py::test_prune_keeps_deployed_versions_and_requires_reachable_servers",
            "real/test_prune.py::test_what_a_server_keeps_is_not_deleted",
        ),
    ),
    Mutation(
        "A build node keeps what its containers are made of, latest, and what was built last",
        "plan/prune.py",
        (("if image.tag == version and not stays & {version, identity}", "if image.tag == version"),),
        ("real/test_local.py::test_prune_keeps_latest_last_build_and_container_images",),
    ),
]


VALUES = [
    Mutation(
        "Values of .env arrive as they stand: a dollar sign (Compose v2)",
        "plan/envfile.py",
        (('.replace("$", "$$")', ""),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v2]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: a dollar sign (Compose v1)",
        "plan/envfile.py",
        (('.replace("$", "${:-$}")', ""),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v1]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: a backslash (Compose v2)",
        "plan/envfile.py",
        (("""    return value.replace("\\\\", r"\\\\").replace""", "    return value.replace"),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v2]",),
    ),
    Mutation(
        "Values of .env arrive as they stand: quotes, blanks and a number sign (both)",
        "plan/envfile.py",
        (("""        return "'" + value.replace("'", r"\\'") + "'"\n""", "        return value\n"),),
        (
            "real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v2]",
            "real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v1]",
        ),
    ),
    Mutation(
        "A server with Compose v1 gets the file that v1 reads",
        _DEPLOY,
        (('then mv -f "$stage/.env.v1" "$stage/.env"; else', "then :; else"),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v1]",),
    ),
    Mutation(
        "An empty .env is refused",
        "plan/envfile.py",
        (("    if not values:\n", "    if values is None:\n"),),
        ("real/test_env_file.py::test_deploy_refuses_bad_env_files_without_printing_them",),
    ),
    Mutation(
        "What stands in a malformed .env is never printed",
        "plan/envfile.py",
        (('line {line} is not NAME=value", file=name,', 'line {line} is not NAME=value", file=line,'),),
        ("unit/test_envfile.py::test_parse_error_names_the_line_without_its_content",),
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
            "real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v2]",
            "real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v1]",
        ),
    ),
    Mutation(
        "What a program of env_from prints is redacted before anything is shown",
        "execute/release.py",
        (("        run.console.redact.add(map(Secret, hidden))\n", ""),),
        (
            "unit/test_env_from.py::test_printed_values_are_redacted_and_public_names_shown",
            "real/test_env_from.py::test_sops_secrets_reach_the_container_and_nobody_else",
        ),
    ),
    Mutation(
        "A program of env_from gets the variables that it inherits by name, and none of ours",
        "clients/script.py",
        (("environment.for_program(program.inherit)", "environment.for_child()"),),
        ("unit/test_env_from.py::test_the_program_gets_named_variables_alone",),
    ),
    Mutation(
        "A program of env_from ends with every process that it started",
        "clients/children.py",
        (("            if mark:  # also", "            if not mark:  # also"),),
        ("unit/test_env_from.py::test_all_its_processes_end_with_the_program[exit 0]",),
    ),
    Mutation(
        "An abort while a program of env_from starts ends that program",
        "clients/children.py",
        (("            if mark:  # also", "            if mark and child:  # also"),),
        ("unit/test_env_from.py::test_an_abort_ends_the_program_and_its_children[starting]",),
    ),
    Mutation(
        "A process of env_from that begins a program ends, too",
        "clients/children.py",
        (("return None if memory and not 0 < begin == end else False", "return False"),),
        ("unit/test_env_from.py::test_a_child_that_begins_a_program_ends_too",),
    ),
    Mutation(
        "A server gets the login that pulls, not the one that pushes",
        "settings.py",
        (("            access = self.pulls[access.role]\n", ""),),
        (
            "unit/test_settings.py::test_servers_pull_with_a_login_of_their_own",
            "real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v2]",
        ),
    ),
    Mutation(
        "Children get only what they need of the environment",
        "remote/ssh.py",
        (("            env=environment,\n", "            env=None,\n"),),
        ("real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v2]",),
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
        ("real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v2]",),
    ),
    Mutation(
        "The registry's login is deleted on the server at the end",
        _COMMON,
        # Whoever watches the run would delete it a second later.
        (
            ('    [ -z "$work" ] || rm -rf "$work"\n', ""),
            ('        rm -rf "$work"\n    } </dev/null', "    } </dev/null"),
        ),
        ("real/test_ssh.py::test_no_password_leaks_and_only_pull_login_travels[compose-v2]",),
    ),
    Mutation(
        "The registry's login is deleted on the server, the program killed or not",
        _COMMON,
        (('        rm -rf "$work"\n    } </dev/null', "    } </dev/null"),),
        ("real/test_kill_sweep.py::test_next_deploy_repairs_or_restores_after_a_kill[renames]",),
    ),
    Mutation(
        ".env is for its owner alone",
        "execute/release.py",
        (('File(".env", v2, 0o600)', 'File(".env", v2)'),),
        ("real/test_deploy.py::test_deploy_and_rollback_leave_what_operators_expect[compose-v2]",),
    ),
    Mutation(
        ".env is for its owner alone from its creation, not only in the end",
        _DEPLOY,
        (
            (
                '    [ -f "$stage/.env.v1" ] || return 0\n',
                '    chmod 644 "$stage/.env"\n    [ -f "$stage/.env.v1" ] || return 0\n',
            ),
            ("    keep_found\n    switch\n", '    keep_found\n    chmod 600 "$stage/.env"\n    switch\n'),
        ),
        ("real/test_deploy.py::test_deploy_and_rollback_leave_what_operators_expect[compose-v2]",),
    ),
    Mutation(
        "The folder of a release is for its owner alone",
        _COMMON,
        (("umask 077\n", "umask 022\n"),),
        ("real/test_deploy.py::test_deploy_and_rollback_leave_what_operators_expect[compose-v2]",),
    ),
]
