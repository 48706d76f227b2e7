"""Guards of Compose's reading of a release, and of services from before the first release."""

from __future__ import annotations

from mutations.entry import Mutation

_ASK = "remote/programs/ask.sh"
_COMMON = "remote/programs/common.sh"
_CONTAINERS = "remote/programs/containers.sh"
_DEPLOY = "remote/programs/deploy.sh"
_FOUND = "remote/programs/found.sh"
_PINS = "remote/programs/pins.sh"
_RESOLVED = "plan/resolved.py"
_STATUS = "remote/programs/status.sh"

_FORMS = "real/test_compose_variants.py::test_compose_variants_run_as_defined_or_change_nothing"
_BY_HAND = "real/test_files_by_hand.py::test_manual_changes_neither_replace_nor_extend_the_release"
_BACK = "real/test_deploy_failures.py::test_rollback_restores_companion_image_and_removes_new_companion"
_UNDERSTAND = "real/test_odd_servers.py::test_compose_incompatible_with_the_engine_changes_nothing"
_FOUND_BACK = "real/test_found.py::test_failed_first_deploy_restores_the_manual_service_exactly"

_MOVED = "real/test_companions.py::test_moved_tag_changes_no_companion_on_any_way"
_UNPINNED = "real/test_companions.py::test_release_without_pins_keeps_its_running_image"
_KEPT = "real/test_companions.py::test_keep_and_prune_leave_a_companions_image"

COMPOSE = [
    Mutation(
        "A companion keeps its image although its tag has moved",
        _PINS,
        (('        *"=$reference="*) pin=${kept#', '        "none") pin=${kept#'),),
        (f"{_MOVED}[compose-v2]", f"{_MOVED}[compose-v1]"),
    ),
    Mutation(
        "A companion keeps its image although another one has to be pulled",
        _PINS,
        (('choose_each "$again"', "choose_each pulled"),),
        (f"{_MOVED}[compose-v2]",),
    ),
    Mutation(
        "A companion runs its exact image after a rollback by two releases",
        _PINS,
        (("    add_pins\n}\n", "}\n"),),
        (f"{_MOVED}[compose-v2]", f"{_MOVED}[compose-v1]"),
    ),
    Mutation(
        "Another image of one companion recreates no other",
        "remote/programs/switch.sh",
        (('grep -Fqvx "put ./$pinned_file" "$private/changes"', '[ -s "$private/changes" ]'),),
        (f"{_MOVED}[compose-v2]",),
    ),
    Mutation(
        "By hand, companions run their exact images, too",
        _ASK,
        (("names_pins || continue", "continue"),),
        (f"{_MOVED}[compose-v2]", f"{_MOVED}[compose-v1]"),
    ),
    Mutation(
        "A pinned image that is gone is pulled before anything is touched",
        _PINS,
        (
            (
                '    have_pins || { pull_others "$missing" && have_pins; } || refuse pull-missing "$missing"\n',
                '    have_pins || refuse pull-missing "$missing"\n',
            ),
        ),
        (f"{_MOVED}[compose-v2]",),
    ),
    Mutation(
        "A companion that an older agent or a person started keeps its image, too",
        _PINS,
        (('        [ -z "$runs" ] || { look "$runs" && return; }\n', ""),),
        (f"{_UNPINNED}[compose-v2]",),
    ),
    Mutation(
        "An image that a companion of a kept release runs is not removed with its own release",
        _DEPLOY,
        (('[ -z "$name" ] || needed_beside "$name" "$release" "$old" ||', '[ -z "$name" ] ||'),),
        (_KEPT,),
    ),
    Mutation(
        "A registry keeps the image that a companion of a kept release runs",
        _STATUS,
        (("        companions_in_use\n", ""),),
        (_KEPT,),
    ),
    Mutation(
        "Pins of an earlier release do not stay in the folder",
        _DEPLOY,
        (('    names_pins || [ ! -e "$pinned_file" ] || rm -f "$pinned_file"\n', ""),),
        (_KEPT,),
    ),
    Mutation(
        "Files that a person put into the folder neither replace nor extend the release",
        _ASK,
        (('! brings "$name" || {', '[ ! -e "$name" ] || {'),),
        (f"{_BY_HAND}[compose-v2]", f"{_BY_HAND}[compose-v1]"),
    ),
    Mutation(
        "A release that comes back decides by hand, too, whatever came into the folder since",
        _DEPLOY,
        (('    [ -z "$digest" ] || write_names\n', ""),),
        (f"{_BY_HAND}[compose-v2]", f"{_BY_HAND}[compose-v1]"),
    ),
    Mutation(
        "A path that a mount needs is looked for before anything is touched",
        _ASK,
        (("        look_for_paths\n", ""),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "An absolute path that is surely missing is refused",
        _ASK,
        (('    [ -x "${above:-/}" ]\n', "    false\n"),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "Networks and volumes of somebody else are looked for before anything is touched",
        _ASK,
        (('|| { check_reachable && refuse "missing-$1" "$name"; }', "|| true"),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "A Compose that the engine does not understand is found before anything is touched",
        _ASK,
        (('    [ ! -f "$work/spoke" ] || return 0\n', "    return 0\n"),),
        (f"{_UNDERSTAND}[v2]", f"{_UNDERSTAND}[v1]"),
    ),
    Mutation(
        "Nor does it end a deploy of what runs as one that broke the service",
        _DEPLOY,
        (('        tell "$work/out"\n        refuse_mute\n', '        tell "$work/out"\n'),),
        (f"{_UNDERSTAND}[v2]",),
    ),
    Mutation(
        "Compose v2 is v2, too, where it is docker-compose",
        _COMMON,
        (("grep -q 'github.com/docker/compose/v'", "grep -q 'a text that is nowhere'"),),
        ("real/test_odd_servers.py::test_root_configuration_and_compose_without_plugin_still_deploy",),
    ),
    Mutation(
        "Names in .env steer neither Compose nor Docker",
        _COMMON,
        (('    for variable in $(steering); do set -- "$variable=$(neutral "$variable")" "$@"; done\n', ""),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "A container that Compose left under another name gets its own",
        _DEPLOY,
        (('recreate:+"$recreate"} || return\n    correct_names\n', 'recreate:+"$recreate"} || return\n'),),
        (f"{_BY_HAND}[compose-v2]",),
    ),
    Mutation(
        "After a failure a companion without a pin has its former image, under its former name",
        _CONTAINERS,
        (('    tag_images "$work/images"\n', ""),),
        (f"{_UNPINNED}[compose-v2]", f"{_UNPINNED}[compose-v1]"),
    ),
    Mutation(
        "After a failure no service runs that only the failed release has",
        _CONTAINERS,
        (('|| replaceable || dock rm -f "$container"', '|| replaceable || true "$container"'),),
        (f"{_BACK}[compose-v2]", f"{_BACK}[compose-v1]"),
    ),
    Mutation(
        "What a good release dropped does not go on",
        _CONTAINERS,
        (('        case " $had " in *" $service "*) echo', '        case "" in *" $service "*) echo'),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "The variable of a secret is set before anything is touched",
        _RESOLVED,
        (("if name not in variables:", "if False:"),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "A container that a service joins is there before anything is touched",
        _ASK,
        (('        look_for container "$outside_containers"\n', ""),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "A folder that a volume binds is there before anything is touched",
        _RESOLVED,
        (("[MountSource(_relative(device, folder))] if device else []", "[]"),),
        (f"{_FORMS}[compose-v2]",),
    ),
    Mutation(
        "A companion of the service's own image is not pulled by its tag",
        _RESOLVED,
        (
            (
                " for one in started if one.image != str(image)),\n        version",
                " for one in started),\n        version",
            ),
        ),
        ("real/test_releases.py::test_every_service_runs_the_digest_that_was_built",),
    ),
    Mutation(
        "A service that ran before the first deploy is kept as a release",
        _DEPLOY,
        (("    keep_found\n", ""),),
        (f"{_FOUND_BACK}[compose-v2-compose.yaml-]", f"{_FOUND_BACK}[compose-v1-docker-compose.yaml--p shop]"),
    ),
    Mutation(
        "One that could not be brought back is not touched",
        _FOUND,
        (('        [ -f "$name" ] || refuse found-file "$name"\n', ""),),
        (f"{_FOUND_BACK}[compose-v2-compose.yaml-]",),
    ),
    Mutation(
        "What was found before the first release is the last to go",
        _DEPLOY,
        (("    list_releases | grep '^found-' | grep -Fvx \"$version\"\n", ""),),
        (f"{_FOUND_BACK}[compose-v2-compose.yaml-]",),
    ),
    Mutation(
        "Status tells of a service that ran before the first deploy",
        _STATUS,
        (('    [ -n "$current" ] || look_for_found\n', ""),),
        (f"{_FOUND_BACK}[compose-v2-compose.yaml-]",),
    ),
]
