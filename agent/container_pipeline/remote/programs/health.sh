#!/bin/sh
# Whether all services of the project in the current folder are well. Expects common.sh; timeout and settle in seconds.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# One line per container. Ports are those that are published.
containers() {
    ids=$(dock ps -aq --filter "label=com.docker.compose.project=${project:-$code}" --filter label=com.docker.compose.oneoff=False) || return 1
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2016,SC2086 # Go's variables; a list of ids
    dock inspect -f '{{index .Config.Labels "com.docker.compose.service"}}|{{.Name}}|{{.State.Status}}|{{.State.ExitCode}}|{{.RestartCount}}|{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}|{{.HostConfig.RestartPolicy.Name}}|{{.State.Pid}}|{{.State.StartedAt}}|{{.Image}}|{{if ne .HostConfig.NetworkMode "host"}}{{range $port, $_ := .HostConfig.PortBindings}}{{$port}} {{end}}{{end}}' $ids
}

images_in_use() {
    dock ps -a --filter "label=com.docker.compose.project=${project:-$code}" --format '{{.Image}}'
}

# Seconds since 1970 of a time as Docker writes it, such as 2026-11-24T09:30:15.123456789Z. No `date -d` in POSIX.
epoch() {
    rest=${1%%.*}
    rest=${rest%Z}
    day=${rest%T*} clock=${rest#*T}
    y=${day%%-*} m=${day#*-} s=${clock##*:} i=${clock#*:}
    d=${m#*-} m=${m%-*} i=${i%:*} h=${clock%%:*}
    # Without their leading zero, which would make them octal.
    m=${m#0} d=${d#0} h=${h#0} i=${i#0} s=${s#0}
    [ "$m" -gt 2 ] || { y=$((y - 1)) m=$((m + 12)); }
    days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d - 719469))
    echo $((days * 86400 + h * 3600 + i * 60 + s))
}

# listens PID PORT: a socket of the container's network listens there, not on loopback alone. True where it cannot be seen. Loopback is
# 127.0.0.0/8, the same mapped into IPv6, and ::1; the kernel writes each 32 bits in the machine's own order.
listens() {
    [ -r "/proc/$1/net/tcp" ] || return 0
    port=$(printf '%04X' "$2")
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | grep -E "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F:]+ 0A " |
        grep -Evq '^ *[0-9]+: ((0000000000000000FFFF0000)?[0-9A-F]{6}7F|00000000000000000000000001000000):'
}

# How often the container had been started again when the wait began: a year's restarts are no loop.
restarts_before() {
    case $first in
    *"|$name|"*) rest=${first#*"|$name|"} && rest=${rest#*|*|} && echo "${rest%%|*}" ;;
    *) echo 0 ;;
    esac
}

# Whether the container was started again, by Docker, since this program began.
restarted() {
    [ "$restarts" -gt 0 ] && [ "$(epoch "$started")" -ge "$began" ]
}

# Whether this life of the container has been healthy for $settle seconds on end, as far as was seen.
stays_healthy() {
    case $seen_healthy in *"|$name $started "*) ;; *) seen_healthy="$seen_healthy|$name $started $(date +%s)" ;; esac
    since=${seen_healthy##*"|$name $started "}
    [ $(($(date +%s) - ${since%%|*})) -gt "$settle" ]
}

# Judges one container: adds to $waiting what must still come, to $bad what will not come any more.
judge() {
    case $status/$health in
    running/healthy)
        # A HEALTHCHECK that only opens a port passes between two crashes, too. And a proxy needs time to learn the name of a container
        # before the old one beside it stops.
        { ! restarted && [ -z "$ignored" ]; } || stays_healthy || waiting="$service settling"
        ;;
    running/unhealthy) bad="$service unhealthy" ;;
    running/starting) waiting="$service starting" ;;
    running/-)
        age=$(($(date +%s) - $(epoch "$started")))
        # Both times are cut to whole seconds: only more than that is surely that much.
        [ "$age" -gt "$settle" ] || waiting="$service settling"
        for published in $ports; do
            case $published in
            */tcp) listens "$pid" "${published%/tcp}" || waiting="$service port ${published%/tcp}" ;;
            esac
        done
        ;;
    exited/*)
        case $exit/$policy in
        0/ | 0/no | 0/on-failure*) return ;;
        *) bad="$service exited $exit" ;;
        esac
        ;;
    restarting/*) waiting="$service restarting $exit" ;;
    created/*) waiting="$service created" ;;
    *) bad="$service $status" ;;
    esac
    [ "$exit" = 0 ] || crashed="$name|$exit"
    [ "$restarts" -lt $((before + 3)) ] || judge_loop
    [ -z "$bad" ] || failed=${name#/}
}

# It restarts again and again. Between two crashes it runs, and its exit code is known from a look before: else one more is taken.
judge_loop() {
    case $crashed in "$name|"*) exit=${crashed##*|} ;; esac
    if [ "$status/$exit" = running/0 ] && [ "$restarts" -lt $((before + 6)) ]; then
        waiting="$service settling"
    else
        bad="$service restarting $exit"
    fi
}

# Names of containers that do not count: old ones that are about to go.
ignored='' crashed=''
# What containers said a moment ago.
listed=''
began=$(date +%s)

# healthy [IMAGE]: waits until all is well. False: $bad says what is not, $failed is that container. Every service that
# $services lists must be there; IMAGE is the id of the image that the service named by the code must run.
healthy() {
    deadline=$(($(date +%s) + timeout)) told='' first='' seen_healthy=''
    while :; do
        waiting='' bad='' failed='' seen=' '
        list=$listed listed=''
        [ -n "$list" ] || list=$(containers 2>"$work/out") || { bad="docker" && return 1; }
        [ -n "$first" ] || first=$list
        while IFS='|' read -r service name status exit restarts health policy pid started runs ports; do
            case " $services " in *" $service "*) ;; *) continue ;; esac
            case " $ignored" in *" ${name#/} "*) continue ;; esac
            seen="$seen$service "
            before=$(restarts_before)
            [ -n "$bad" ] || judge
            if [ "$service" = "$code" ] && [ -n "$1" ] && [ "$runs" != "$1" ]; then bad="$service image"; fi
        done <<LIST
$list
LIST
        for service in $services; do
            case $seen in *" $service "*) ;; *) waiting="$service missing" ;; esac
        done
        [ -n "$bad$waiting" ] || return 0
        [ -z "$bad" ] || return 1
        [ "$lost" = no ] || { bad="connection" && return 1; }
        if [ "$(date +%s)" -ge "$deadline" ]; then
            bad="$waiting timeout"
            failed=$(printf '%s\n' "$list" | sed -n "s/^${waiting%% *}|.\\([^|]*\\)|.*/\\1/p" | head -n 1)
            return 1
        fi
        [ "$waiting" = "$told" ] || say "wait health $waiting"
        told=$waiting
        beat
        sleep 0.3 2>/dev/null || sleep 1
    done
}

# The last lines of the log of the container that failed, and what its HEALTHCHECK said last.
show_log() {
    [ -n "$failed" ] || return 0
    dock logs --tail 20 "$failed" >"$work/log" 2>&1
    say_lines log <"$work/log"
    dock inspect -f '{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}' "$failed" 2>/dev/null |
        grep -v '^$' | tail -n 3 | say_lines probe
}
