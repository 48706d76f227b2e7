"""Guards of Docker Swarm: refusals, and changes that must reach services."""

from __future__ import annotations

from mutations.entry import Mutation

_SWARM = "remote/programs/swarm.sh"
_STACKFILE = "plan/stackfile.py"
_CHANGES = "real/test_swarm.py::test_changes_reach_their_services_and_roll_back[unhealthy-here I am]"
_REFUSALS = "real/test_swarm.py::test_swarm_refuses_what_cannot_work_before_changes"
_NODES = "real/test_swarm.py::test_two_nodes_support_looks_logs_and_restart"

SWARM = [
    Mutation(
        "Swarm: a stack is down when its containers and its network are gone",
        _SWARM,
        (
            (
                '        if briefly dock stack rm "$code"; then\n',
                '        if briefly dock stack rm "$code"; then\n            return 0\n',
            ),
        ),
        (_CHANGES,),
    ),
    Mutation(
        "Swarm: the settling time begins anew with each new task",
        _SWARM,
        (('    case $ran in \'\' | *" $now "*) ;; *) waiting="$service settling" ;; esac\n', ""),),
        ("unit/test_deploy_plan.py::test_each_new_task_of_swarm_settles_anew[dash]",),
    ),
    Mutation(
        "Swarm: mounts of files are refused where there are several nodes",
        _SWARM,
        (('        refuse many-nodes "$mounts"\n', "        :\n"),),
        (_NODES,),
    ),
    Mutation(
        "Swarm: one without a leader is told of before anything is touched",
        _SWARM,
        (('    true*) refuse no-quorum "${answer#true }" ;;\n', "    true*) ;;\n"),),
        (_NODES,),
    ),
    Mutation(
        "Swarm: Docker checks the file before anything is touched",
        _SWARM,
        (('    grep -Fq "$work/nobody" "$work/out" ||', "    true ||"),),
        (_REFUSALS,),
    ),
    Mutation(
        "Swarm: networks, volumes, configs and secrets of somebody else are looked for before anything is touched",
        _STACKFILE,
        (('    for kind in ("networks", "volumes", "configs", "secrets"):\n', '    for kind in ("networks",):\n'),),
        (_REFUSALS,),
    ),
    Mutation(
        "Swarm: a network of one server alone is none of the Swarm's",
        _SWARM,
        (("""-f '{{.Scope}}' "$name\"""", """-f swarm "$name\""""),),
        (_REFUSALS,),
    ),
    Mutation(
        "Swarm: a config follows its content",
        _STACKFILE,
        (('"name": f"{written}-{hashed(path)}"', '"name": written'),),
        (_CHANGES,),
    ),
    Mutation(
        "Swarm: a changed file reaches the services that mount it",
        _STACKFILE,
        (('"container-pipeline.files": _hash(contents, mounts)', '"container-pipeline.files": "-"'),),
        (_CHANGES,),
    ),
    Mutation(
        "Swarm: names in .env that steer Docker steer nobody",
        _SWARM,
        (("        /^DOCKER_/d\n", "        /^DOCKER_NONE/d\n"),),
        (_CHANGES,),
    ),
    Mutation(
        "Swarm: going back waits for the services of the former release, not for those of the failed one",
        "remote/programs/deploy.sh",
        (
            (
                "    know_current\n    restore_containers\n",
                "    record=releases/$(current_release)/release.json\n    restore_containers\n",
            ),
        ),
        (_CHANGES,),
    ),
    Mutation(
        "Swarm: what an earlier release said is not shown as the cause",
        _SWARM,
        (('        case " $(cat "$work/earlier" 2>/dev/null)" in', '        case " " in'),),
        (_CHANGES,),
    ),
]
