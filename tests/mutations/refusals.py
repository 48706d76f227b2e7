"""Guards of the checks before any change, and of each server's own result."""

from __future__ import annotations

from mutations.entry import Mutation

_COMMON = "remote/programs/common.sh"
_ASK = "remote/programs/ask.sh"
_DEPLOY = "remote/programs/deploy.sh"
_SWITCH = "remote/programs/switch.sh"

HOST_KEYS = [
    Mutation(
        "An unknown host key is refused, nothing is written",
        "remote/ssh.py",
        (('if self.accept_new else "yes"', 'if self.accept_new else "accept-new"'),),
        ("real/test_ssh.py::test_deploy_accepts_only_known_or_accepted_host_keys",),
    ),
    Mutation(
        "A changed host key is refused, even where new ones are accepted",
        "remote/ssh.py",
        (('"accept-new" if self.accept_new', '"no" if self.accept_new'),),
        ("real/test_ssh.py::test_deploy_accepts_only_known_or_accepted_host_keys",),
    ),
]


REFUSED = [
    Mutation(
        "A missing image, a wrong login, a registry that is down are found before the old container stops",
        _DEPLOY,
        (
            (
                '    get_image\n    [ "$action" = rollback ] || complete_release\n    [ "$action" = rollback ] || [ -n "$created" ] || learn_age\n'
                '    [ "$lost" = no ] || end stopped connection\n    [ -z "${check_path-}" ] || find_asker\n'
                '    [ -z "${release_program-}" ] || release_early\n'
                "    keep_found\n    switch\n",
                '    id=\'\' && tagged() { true; }\n    complete_release\n    switch\n    get_image\n    dock tag "$id" "$image:$version"\n',
            ),
        ),
        (
            "real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v2]",
            "real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v1]",
        ),
    ),
    Mutation(
        "A version that is in no registry is found before a server is touched",
        "execute/release.py",
        (("    if digest is None:\n", "    if digest == 0:\n"),),
        ("real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v2]",),
    ),
    Mutation(
        "The images of the other services are there before the old containers stop",
        _DEPLOY,
        (("    id=${found%% *}\n    get_other_images\n", "    id=${found%% *}\n"),),
        (
            "real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v2]",
            "real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v1]",
        ),
    ),
    Mutation(
        "A compose file that Compose refuses is found before anything is touched",
        _ASK,
        (('    refuse compose-file "$(last_line "$work/said")"\n', ""),),
        ("real/test_deploy_refusals.py::test_deploy_refuses_missing_parts_without_changes[compose-v2]",),
    ),
    Mutation(
        "What was built is deployed, by digest, wherever its tag is by now",
        "execute/release.py",
        (("Digest(held) if held else _resolve", "_resolve"),),
        ("real/test_releases.py::test_every_service_runs_the_digest_that_was_built",),
    ),
    Mutation(
        "A deploy changes nothing while somebody holds the code",
        _DEPLOY,
        (('    [ "$action" = rollback ] || heed_hold\n', ""),),
        ("real/test_hold.py::test_hold_and_freeze_stop_deploys_but_no_rollback[compose-v2]",),
    ),
    Mutation(
        "`up` changes nothing while somebody holds the code",
        "remote/programs/control.sh",
        (('    [ "$action" != up ] || heed_hold\n', ""),),
        ("real/test_hold.py::test_hold_and_freeze_stop_deploys_but_no_rollback[compose-v2]",),
    ),
    Mutation(
        "A deploy changes nothing in a window of `freeze`",
        "commands/server/deploy.py",
        (("    rollout.heed_freeze(run, override)\n", ""),),
        ("real/test_hold.py::test_hold_and_freeze_stop_deploys_but_no_rollback[compose-v2]",),
    ),
    Mutation(
        "A pipeline's deploy leaves a release that was built later",
        _DEPLOY,
        (('        [ -z "$created" ] || heed_newer\n', ""),),
        ("real/test_overtaken.py::test_an_older_build_leaves_the_newer_release_untouched[compose-v2]",),
    ),
    Mutation(
        "The image says when it was built, where the agent does not know it",
        _DEPLOY,
        (("    heed_newer\n    {", "    {"),),
        ("real/test_overtaken.py::test_an_older_build_leaves_the_newer_release_untouched[compose-v2]",),
    ),
    Mutation(
        "The version built last never replaces a release that was built later",
        "commands/server/deploy.py",
        (("keep_newer=keep_newer or not version", "keep_newer=keep_newer"),),
        ("real/test_overtaken.py::test_an_older_build_leaves_the_newer_release_untouched[compose-v2]",),
    ),
    Mutation(
        "latest of a registry stays where it names an image that was built later",
        "execute/latest.py",
        (("                if age and self._is_newer(age, manifest):\n                    return False\n", ""),),
        ("real/test_latest.py::test_promotion_keeps_a_latest_that_was_built_later",),
    ),
    Mutation(
        "latest is looked at again after it was written",
        "execute/latest.py",
        (("LATEST, manifest, there) == manifest.digest:\n", "LATEST, manifest, there):\n"),),
        ("real/test_latest.py::test_latest_is_corrected_after_a_concurrent_run[an older one]",),
    ),
    Mutation(
        "One run of a machine at a time moves latest",
        "execute/latest.py",
        (('with state.alone(f"{self.registry.access.registry}/{self.repository}:{LATEST}"):', "if True:"),),
        ("real/test_latest.py::test_promotions_on_one_machine_move_latest_in_turn",),
    ),
    Mutation(
        "Nothing unsigned is promoted",
        "commands/registry/promote.py",
        (("    if steps and facts.digest:\n", "    if False:\n"),),
        ("real/test_verify.py::test_promote_and_deploy_refuse_what_no_key_signed[cosign]",),
    ),
    Mutation(
        "No command of docker.sh promotes what is not signed",
        "execute/image.py",
        (("            verification.verify(self.run, step.source_access, seen)\n", "            pass\n"),),
        ("real/test_verify.py::test_no_command_of_docker_sh_passes_the_check[cosign]",),
    ),
    Mutation(
        "Nothing unsigned is deployed",
        "commands/server/deploy.py",
        (("    verification.verify(run, run.settings.pull_from(), upload.release.digest)\n", ""),),
        ("real/test_verify.py::test_servers_run_only_signed_releases",),
    ),
    Mutation(
        "Without attestations, what production gets is verified before anything is written",
        "commands/registry/promote.py",
        (("verification.verify(run, run.settings.access(role), facts.digest)", "pass"),),
        ("real/test_attestations.py::test_without_attestations_production_is_still_verified",),
    ),
    Mutation(
        "Attestations that refer to the image are left out, too",
        "execute/promotion.py",
        (("if not {one.manifest.digest, one.subject} & set(left_out)", "if one"),),
        ("real/test_attestations.py::test_attestations_are_left_out_of_a_promotion[newest]",),
    ),
    Mutation(
        "A deploy gets the digest that production has",
        "execute/release.py",
        (("(settings.pulls_from_production and known.promoted) or known.digest", "known.digest"),),
        ("real/test_attestations.py::test_a_deploy_gets_the_digest_that_production_has",),
    ),
    Mutation(
        "A registry that takes no attestations is not told as a wrong password",
        "clients/engine.py",
        (("    if _OF_A_KIND.search(text):\n", "    if False:\n"),),
        ("real/test_attestations.py::test_a_push_that_is_refused_names_the_setting[aliyun]",),
    ),
    Mutation(
        "A private key in the build context is refused",
        "execute/signing.py",
        (("            if not Ignored.read(context, file=file)(name):\n", "            if False:\n"),),
        ("real/test_sign.py::test_what_signing_needs_is_missed_before_the_build",),
    ),
    Mutation(
        "What cannot be signed is not built",
        "execute/building.py",
        (("        signing.check(settings, folder)\n", "        pass\n"),),
        ("real/test_sign.py::test_what_signing_needs_is_missed_before_the_build",),
    ),
    Mutation(
        "A repeated push signs what a cut one left unsigned",
        "plan/image.py",
        (("not isinstance(made, (Push, Keep))", "not isinstance(made, Push)"),),
        ("real/test_sign.py::test_a_push_that_was_cut_is_signed_again",),
    ),
    Mutation(
        "A rollback starts no release without a signature",
        _DEPLOY,
        (('    *) refuse unsigned "$version" ;;\n', "    *) ;;\n"),),
        ("real/test_verify.py::test_servers_run_only_signed_releases",),
    ),
    Mutation(
        "Nothing that does not refer to the image is carried with it",
        "clients/registry/referrers.py",
        (("if manifest and manifest.subject == subject:", "if manifest:"),),
        ("real/test_referrers.py::test_a_list_that_is_wrong_carries_no_stranger",),
    ),
    Mutation(
        "Two promotions of one machine extend a list of referrers in turn",
        "execute/promotion.py",
        (('        with state.alone(f"{target.name} referrers"):\n', "        if True:\n"),),
        ("real/test_referrers.py::test_two_promotions_at_once_keep_both_lists",),
    ),
    Mutation(
        "A list of referrers that two runs extend keeps the entries of both",
        "clients/registry/referrers.py",
        (
            (
                "there.digest if there else None)\n    raise RegistryError(",
                "there.digest if there else None)\n        return\n    raise RegistryError(",
            ),
        ),
        ("real/test_referrers.py::test_another_run_in_between_loses_nothing",),
    ),
    Mutation(
        "A full disk leaves nothing half-written",
        _SWITCH,
        (('    note_former 2>"$work/out" || refuse_write\n', '    note_former 2>"$work/out"\n'),),
        ("real/test_deploy_refusals.py::test_a_full_disk_changes_nothing",),
    ),
    Mutation(
        "A folder that is read-only is one sentence",
        _DEPLOY,
        (
            ('    (umask 022 && mkdir -p "$folder/releases") 2>"$work/out" || refuse_write\n', ""),
            (
                'mkdir "$private" "$stage"; } 2>"$work/out" || refuse_write',
                'mkdir "$private" "$stage"; } 2>"$work/out"',
            ),
        ),
        ("real/test_deploy_refusals.py::test_a_full_disk_changes_nothing",),
    ),
    Mutation(
        "A missing Docker is one sentence",
        _COMMON,
        (("    command -v docker >/dev/null 2>&1 || refuse no-docker\n", ""),),
        ("real/test_deploy_refusals.py::test_a_server_without_docker_or_compose[no-docker]",),
    ),
    Mutation(
        "A missing Compose is one sentence",
        _COMMON,
        (('    [ -n "$generation" ] || refuse no-compose\n', ""),),
        ("real/test_deploy_refusals.py::test_a_server_without_docker_or_compose[no-compose]",),
    ),
    Mutation(
        "A user who may not use Docker is one sentence",
        _COMMON,
        (
            ('        refuse docker "$(last_line "$work/out")"\n    fi\n', "        :\n    fi\n"),
            ('|| refuse frozen\n    refuse docker "$(last_line "$work/out")"\n', "|| refuse frozen\n"),
        ),
        ("real/test_deploy_refusals.py::test_deploy_suggests_sudo_and_succeeds_with_it",),
    ),
    Mutation(
        "Compose v1 will do where v2 is not there",
        _COMMON,
        (("else generation=v1 standalone=''; fi\n", "fi\n"),),
        ("real/test_env_file.py::test_two_hundred_random_values_reach_the_container_unchanged[compose-v1]",),
    ),
]


MANY = [
    Mutation(
        "With two servers of three dead the run fails",
        "remote/fleet.py",
        (("    if not failed:\n", "    if len(failed) < 3:\n"),),
        ("real/test_ssh.py::test_dead_and_silent_servers_block_no_other",),
    ),
    Mutation(
        "Each server has its own result, whatever happened on another",
        "remote/fleet.py",
        (
            (
                "                return self.one(target, task)\n",
                "                return self.one(targets[1], task)\n",
            ),
        ),
        ("real/test_ssh.py::test_dead_and_silent_servers_block_no_other",),
    ),
    Mutation(
        "A server that does not answer costs a bounded time",
        "remote/ssh.py",
        (('            "ConnectTimeout": str(self.connect_timeout),\n', ""),),
        ("real/test_ssh.py::test_dead_and_silent_servers_block_no_other",),
    ),
    Mutation(
        "A rolling deploy stops at the first failure",
        "execute/rollout.py",
        (("        if any(answer.error for answer in answers):\n", "        if not step.servers:\n"),),
        ("real/test_releases.py::test_status_reports_unreadable_record_and_still_lists_others",),
    ),
]
