#!/bin/sh
# Facts about a server for doctor. Changes nothing. Requires common.sh.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

examine() {
    say hello
    sweep
    make_room /dev/shm || make_room "${TMPDIR:-/tmp}"
    command -v flock >/dev/null 2>&1 && say "fact flock yes"
    say "fact os $(grep -hE '^(ID|ID_LIKE|VERSION_ID)=' /etc/os-release /usr/lib/os-release 2>/dev/null | head -n 3)"
    ask_docker
    [ ! -f "$folder/.lock" ] || flock -sn "$folder/.lock" true 2>/dev/null || say "fact lock $(lock_holder "$folder/.lock")"
    if flock -sn "$folder/.lock" true 2>/dev/null && [ -d "$folder/releases/.former" ]; then
        say "fact unfinished $(first_line "$folder/releases/.former/broken")"
        say "fact version $(first_line "$folder/releases/.current")"
    fi
    place=$folder
    while [ -n "$place" ] && [ ! -e "$place" ]; do place=${place%/*}; done
    [ ! -w "${place:-/}" ] || say "fact writable yes"
    say "fact space $(df -Pk "${place:-/}" 2>/dev/null | sed -n 2p | tr -s ' ' | cut -d ' ' -f 4)"
    say "fact clock $(date +%s)"
    by_hand=$(env | sed -n 's/^BY_HAND_\([A-Z_]*\)=yes$/\1/p' | sort | tr '\n' ' ')
    [ -z "$by_hand" ] || say "fact by-hand ${by_hand% }"
    end ok
}

ask_docker() {
    command -v docker >/dev/null 2>&1 || return 0
    say "fact client yes"
    # Doctor itself waits ten seconds in all.
    limit=4
    answer=$(dock version --format '{{.Server.Version}}' 2>/dev/null)
    case $? in
    0)
        say "fact docker $answer"
        case $(dock version 2>/dev/null) in *'Engine - Community'*) say "fact community yes" ;; esac
        ;;
    124 | 137 | 143) say "fact frozen yes" ;;
    *) say "fact refused $(dock version 2>&1 | tail -n 1)" ;;
    esac
    if [ "$mode" = swarm ]; then
        answer=$(dock info -f '{{.Swarm.ControlAvailable}} {{.Swarm.Error}}' 2>/dev/null)
        case $answer in
        'true ') say "fact manager yes" ;;
        true*) say "fact quorum ${answer#true }" ;;
        esac
        return 0
    fi
    answer=$(dock compose version --short 2>/dev/null) || answer=$(docker-compose version --short 2>/dev/null) || return 0
    plugin=''
    ! command -v flock >/dev/null 2>&1 || find_docker
    say "fact compose $answer"
    say "fact plugin $plugin"
    [ -z "$generation" ] || ask_engine
}

# Only a call of the engine shows whether this Compose can talk to it.
ask_engine() {
    printf 'version: "3.5"\nservices: {doctor: {image: doctor}}\n' >"$work/doctor.yml"
    project=doctor files=$work/doctor.yml
    ask ps -q >"$work/out" 2>&1 || [ -f "$work/frozen" ] || say "fact mute $(last_line "$work/out")"
}

examine
