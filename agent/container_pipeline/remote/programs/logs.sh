#!/bin/sh
# Prints the logs of all services with Compose. Requires common.sh; tail (lines), follow (yes or no).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

logs() {
    say hello
    make_work
    login=''
    find_docker
    enter_folder
    [ -f docker-compose.yml ] || [ -n "$(current_release)" ] || refuse nothing
    know_current
    flags="--no-color --tail $tail"
    [ "$follow" = no ] || flags="$flags -f"
    exec 3<&0 </dev/null
    # shellcheck disable=SC2086 # a list of flags
    background compose logs $flags 2>"$work/out" &
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
