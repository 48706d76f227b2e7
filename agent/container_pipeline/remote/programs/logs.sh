#!/bin/sh
# Prints the logs of the services with Compose. Requires common.sh; tail (lines or all), follow (yes or no), since (a time or duration,
# or nothing), service (a name, or nothing for all).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# each_log NAMES FLAGS DOCKER…: the log of each of NAMES, "shown=name". One process per name, all in the group of one shell,
# which ends with them. (sed would buffer lines.)
# shellcheck disable=SC2016 # for that shell
each_log='names=$1 flags=$2
shift 2
for name in $names; do
    "$@" $flags "${name#*=}" 2>&1 | while IFS= read -r line; do
        printf "%s\n" "${name%%=*} | $line"
    done &
done
wait'

# show_each NAMES FLAGS
show_each() {
    if [ "$sudo" = no ]; then set -- "$@" docker; else set -- "$@" sudo -n docker; fi
    $in_background sh -c "$each_log" sh "$@"
}

logs_of_containers() {
    names=$(briefly dock ps -a --filter "label=com.docker.compose.project=${project:-$code}" ${service:+--filter "label=com.docker.compose.service=$service"} \
        --format '{{.Label "com.docker.compose.service"}}={{.ID}}')
    show_each "$names" "logs --tail $tail --since $since $([ "$follow" = no ] || echo -f)"
}

logs() {
    say hello
    make_work
    login=''
    find_docker
    enter_folder
    [ -f docker-compose.yml ] || [ -n "$(current_release)" ] || refuse nothing
    know_current
    [ -z "$service" ] || insist_service "$service"
    flags="--no-color --tail $tail${since:+ --since $since}"
    [ "$follow" = no ] || flags="$flags -f"
    show=compose
    # Compose v1 has no --since.
    [ "$generation$since" = "$generation" ] || [ "$generation" != v1 ] || show=logs_of_containers
    exec 3<&0 </dev/null
    # shellcheck disable=SC2086 # a list of flags
    background "$show" logs $flags ${service:+"$service"} 2>"$work/out" &
    child=$!
    guard 2>/dev/null &
    watchers="$watchers $!"
    {
        cat >/dev/null
        end_group
    } <&3 >/dev/null 2>&1 &
    watchers="$watchers $!"
    exec 3<&-
    wait "$child"
    status=$?
    [ ! -f "$work/frozen" ] || refuse frozen
    [ "$status" -eq 0 ] || [ "$status" -gt 128 ] || { check_reachable && refuse command "$(last_line "$work/out")"; }
    end ok
}

logs
