#!/bin/sh
# With start-first, while the new container is healthy and the old one still serves: runs a command on the server, such as one that
# takes the old one out of a proxy, and waits for the requests that it still has. Requires common.sh; from deploy.sh old; from the
# agent drain (yes), drain_command (quoted for a shell, or nothing), drain_seconds and server. Sets $bad on failure.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

drain_old() {
    step drain
    if [ -n "$drain_command" ] && ! long yes run_drain; then
        [ "$lost" = no ] || { bad=connection && return 1; }
        tell "$work/out"
        bad="drain $(last_line "$work/out")"
        return 1
    fi
    until_then=$(($(date +%s) + drain_seconds))
    while [ "$(date +%s)" -lt "$until_then" ]; do
        [ "$lost" = no ] || { bad=connection && return 1; }
        beat
        sleep 0.5 2>/dev/null || sleep 1
    done
}

# What it leaves running must not hold the lock.
# shellcheck disable=SC2086 # a command and its options
run_drain() {
    new='' names=$(briefly service_containers)
    for container in $names; do
        case " $old " in *" $container "*) ;; *) new="$new$container " ;; esac
    done
    eval "set -- $drain_command"
    $in_background ${bounded:+$bounded 60} env SERVER="$server" CODE="$code" VERSION="$version" OLD="${old% }" NEW="${new% }" "$@" 9>&-
}
