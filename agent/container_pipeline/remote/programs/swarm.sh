#!/bin/sh
# The functions that common.sh and health.sh have for Compose, for a stack of Docker Swarm with this server as a manager. Docker
# places, starts and updates the tasks; these functions request it and watch. Requires common.sh.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # the parts share their variables

find_docker() {
    command -v flock >/dev/null 2>&1 || refuse no-flock
    command -v docker >/dev/null 2>&1 || refuse no-docker
    generation=swarm
    answer=$(dock info -f '{{.Swarm.ControlAvailable}} {{.Swarm.Error}}' 2>"$work/out")
    case $answer in
    'true ') ;;
    true*) refuse no-quorum "${answer#true }" ;;
    *) check_reachable && refuse no-manager ;;
    esac
    say "fact compose swarm"
}

# The Compose calls of deploy.sh, control.sh and logs.sh.
compose() {
    case $* in
    up*) deploy_stack ;;
    down) remove_stack ;;
    restart*) restart_stack ;;
    *'config --services') dock stack services --format '{{.Name}}' "$code" | sed "s/^${code}_//" ;;
    logs*) stack_logs ;;
    *) return 0 ;; # each node pulls for itself
    esac
}

# Runs before any change. Other nodes do not have the files of the release.
ask_swarm() {
    know "$stage/release.json"
    nodes=$(dock node ls -q 2>"$work/out") || { check_reachable && refuse no-quorum "$(last_line "$work/out")"; }
    mounts=$(field mounts "$record")
    if [ "$(printf '%s\n' "$nodes" | wc -l)" -eq 1 ]; then
        # Each node has volumes of its own, and the others cannot be asked for theirs.
        look_for volume "$(field volumes "$record" | tr ' ' '\n')"
    elif [ -n "$mounts" ]; then
        refuse many-nodes "$mounts"
    fi
    for kind in config secret; do look_for "$kind" "$(field "${kind}s" "$record" | tr ' ' '\n')"; done
    names=$(field networks "$record")
    for name in $names; do
        # Docker takes no network of one server alone.
        [ "$(dock network inspect -f '{{.Scope}}' "$name" 2>"$work/out")" = swarm ] || { check_reachable && refuse missing-overlay "$name"; }
    done
    # Docker checks a file before it calls the engine, here a missing one: if it gets to the call, the file is valid.
    (cd "$stage" && stack_deploy -H "unix://$work/nobody") >"$work/out" 2>&1
    grep -Fq "$work/nobody" "$work/out" || { tell "$work/out" && refuse stack-file "$(last_line "$work/out")"; }
}

# docker stack reads variables only from the environment. A separate shell without other variables sets those of .env, reading each
# as quoted text, and then runs docker: none becomes a variable of this program or an argument. (`command`: a name that cannot be
# set, such as UID in some shells, is skipped.)
# shellcheck disable=SC2016 # for that shell
with_env='eval "$(sed -n "
    /^PATH=/d; /^HOME=/d; /^TMPDIR=/d; /^LD_/d; /^SSH_AUTH_SOCK=/d; /^GODEBUG=/d
    /^DOCKER_REGISTRY/!{
        /^DOCKER_/d
    }
    s/$1/$1\\\\$1$1/g
    s/^\([A-Za-z_][A-Za-z0-9_]*\)=\(.*\)/command export \1=$1\2$1/p" .env)" 2>/dev/null
shift
"$@" 9>&-
exit $?'

deploy_stack() {
    # Existing tasks: their failures are not this release's fault.
    briefly dock stack ps -q --no-trunc "$code" 2>/dev/null | tr '\n' ' ' >"$work/earlier"
    stack_deploy
}

# stack_deploy OPTION…: deploys the files in the current folder. A second file, beside the release's record, pins the image by digest,
# even if the tag moves meanwhile.
stack_deploy() {
    set -- docker ${login:+--config "$login"} "$@" stack deploy --with-registry-auth --prune -c docker-compose.yml
    [ ! -f "${record%/*}/.stack.yml" ] || set -- "$@" -c "${record%/*}/.stack.yml"
    set -- "$@" "$code"
    [ "$sudo" = no ] || set -- sudo -n -E "$@"
    $in_background sh -c "$with_env" sh "'" "$@"
}

restart_stack() {
    names=$(dock stack services --format '{{.Name}}' "$code")
    for name in $names; do
        [ "${service:-${name#"${code}"_}}" != "${name#"${code}"_}" ] || dock service update --force --detach "$name" >/dev/null || return
    done
}

remove_stack() {
    # The command returns before the containers are gone, and refuses a network that one of them still uses.
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        if briefly dock stack rm "$code"; then
            [ -n "$(briefly dock ps -aq --filter "label=com.docker.stack.namespace=$code")$(briefly dock network ls -q --filter "label=com.docker.stack.namespace=$code")" ] || return 0
        elif engine_away; then
            return 1
        fi
        sleep 1
    done
    return 1
}

stack_logs() {
    flags="service logs --raw --tail $tail${since:+ --since $since}$([ "$follow" = no ] || echo ' -f')"
    names=$(briefly dock stack services --format '{{.Name}}' "$code" | sed -n "s/^${code}_${service:-\(.*\)}\$/${service:-\\1}=&/p")
    show_each "$names" "$flags"
}

# Prints one line per service, in the form that status.sh reads.
containers() {
    dock stack services --format '{{.Name}}|{{.Replicas}}|{{.Image}}' "$code" | while IFS='|' read -r name replicas _; do
        image=$(dock service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}|{{.UpdatedAt}}' "$name")
        runs=$(dock image inspect -f '{{.Id}}' "${image%%|*}" 2>/dev/null)
        echo "${name#"${code}"_}|$name|$replicas|0|0|-||0|${image#*|}|$runs|${image%%|*}|"
    done
}

images_in_use() {
    dock service ls --filter "label=com.docker.stack.namespace=$code" --format '{{.Image}}'
}

# healthy [IMAGE]: waits until all services have all their tasks running, without an update, for `settle` seconds. For Swarm, a task
# with a HEALTHCHECK runs only if it is healthy. On failure, $bad has the reason and $failed is the service.
healthy() {
    deadline=$(($(date +%s) + timeout)) told='' good=0 ran=''
    while :; do
        waiting='' bad='' failed='' runs=''
        for service in $services; do
            judge_service
        done
        [ -z "$bad" ] || return 1
        [ "$lost" = no ] || { bad=connection && return 1; }
        good=$((good + 1))
        [ -z "$waiting" ] || good=0
        ran=$runs
        [ "$good" -le "$settle" ] || return 0
        if [ "$(date +%s)" -ge "$deadline" ] && [ "$good" -eq 0 ]; then
            bad="$waiting timeout" failed=${code}_${waiting%% *}
            return 1
        fi
        [ -z "$waiting" ] || [ "$waiting" = "$told" ] || say "wait health $waiting"
        told=$waiting
        beat
        sleep 1
    done
}

judge_service() {
    name=${code}_$service
    state=$(dock service inspect -f '{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}' "$name" 2>/dev/null) || { waiting="$service missing" && return; }
    replicas=$(dock service ls --filter "name=$name" --format '{{.Name}} {{.Replicas}}' | sed -n "s/^$name //p")
    case $state in
    updating | rollback_started) waiting="$service updating" ;;
    *paused | rollback_completed) bad="$service paused" failed=$name ;;
    esac
    running=${replicas%%/*} wanted=${replicas#*/}
    [ "$running" = "${wanted%% *}" ] || waiting="$service replicas $replicas"
    tasks=$(new_tasks '{{.DesiredState}} {{.CurrentState}}')
    # Another task than a moment ago: the one before it may have crashed.
    now="$service=$(printf '%s\n' "$tasks" | sed -n 's/ Running .*//p' | tr '\n' ',')"
    case $ran in '' | *" $now "*) ;; *) waiting="$service settling" ;; esac
    runs="$runs $now "
    fallen=$(printf '%s\n' "$tasks" | grep -Ec '^[^ ]* Shutdown (Failed|Rejected)')
    if [ "$fallen" -ge 3 ] && [ -n "$waiting" ] && [ -z "$state" ]; then bad="$service restarting -" failed=$name; fi
}

# new_tasks FORMAT [STATE]: prints id and FORMAT of the tasks of service $name that this release started, latest first; with a state,
# of those that should be in it.
new_tasks() {
    dock service ps --no-trunc --format "{{.ID}} $1" ${2:+--filter "desired-state=$2"} "$name" 2>/dev/null | while IFS= read -r task; do
        case " $(cat "$work/earlier" 2>/dev/null)" in *" ${task%% *} "*) ;; *) printf '%s\n' "$task" ;; esac
    done
}

show_log() {
    [ -n "$failed" ] || return 0
    name=$failed
    tasks=$({ new_tasks '' running && new_tasks '' shutdown; } | tr '\n' ' ')
    # A node that does not respond would make it wait for ever.
    for task in $tasks; do
        limit=5 dock service logs --raw --tail 20 "$task" 2>&1
    done | tail -n 20 >"$work/log"
    { new_tasks '{{.Error}}' running && new_tasks '{{.Error}}' shutdown; } | sed 's/^[^ ]* *//' | grep -v '^$' | sort -u | head -n 3 >>"$work/log"
    say_lines log <"$work/log"
}
