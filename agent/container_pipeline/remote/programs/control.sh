#!/bin/sh
# up, down, restart and pull with Compose, in the project's folder, under the lock. Requires common.sh, health.sh and containers.sh; action,
# timeout, settle, override, service (a name, or nothing for all).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

control() {
    say hello
    make_work
    find_docker
    enter_folder
    if [ ! -f docker-compose.yml ] && [ -z "$(current_release)" ]; then
        # A first deploy that failed was taken down already.
        if [ "$action" = down ] && [ -f releases/.log ]; then end ok; fi
        refuse nothing
    fi
    await_go
    watch_connection
    take_lock
    [ "$action" != up ] || heed_hold
    [ ! -d releases/.former ] || refuse unfinished
    say "fact version $(current_release)"
    know_current
    [ -z "$service" ] || insist_service "$service"
    case $action in
    up) long no compose up -d ;;
    down) long no compose down ;;
    restart) long no compose restart ${service:+"$service"} ;;
    pull) long yes compose pull ;;
    esac || { check_reachable && tell "$work/out" && refuse command "$(last_line "$work/out")"; }
    if [ "$action" = up ] || [ "$action" = restart ]; then
        correct_names
        step health
        healthy || { show_log && end refused unwell "$bad"; }
    fi
    end ok
}

control
