#!/bin/sh
# Finds the container in which `exec` runs a command. Requires common.sh; service (a name, or nothing for the code's).
# shellcheck disable=SC2154 # the parts share their variables

find_container() {
    say hello
    make_work
    find_docker
    enter_folder
    know_current
    [ -z "$services" ] || insist_service "${service:-$code}"
    if [ "$generation" = swarm ]; then
        set -- --filter "label=com.docker.swarm.service.name=${code}_${service:-$code}"
    else
        set -- --filter "label=com.docker.compose.service=${service:-$code}" --filter "label=com.docker.compose.project=${project:-$code}"
    fi
    dock ps -q --filter status=running "$@" >"$work/found" 2>"$work/out" || refuse_docker
    say "fact container $(first_line "$work/found")"
    say "fact docker $(command -v docker)"
    [ -s "$work/found" ] || refuse no-container "${service:-$code}"
    end ok
}

find_container
