#!/bin/sh
# Whether all services of the project in the current folder are healthy. Requires common.sh; timeout and settle in seconds.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# containers [NAME…]: prints one line per container, with its published ports; without names, of all containers of the project.
containers() {
    ids=$*
    [ -n "$ids" ] || ids=$(dock ps -aq --filter "label=com.docker.compose.project=${project:-$code}" --filter label=com.docker.compose.oneoff=False) || return 1
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2016,SC2086 # Go's variables; a list of ids
    dock inspect -f '{{index .Config.Labels "com.docker.compose.service"}}|{{.Name}}|{{.State.Status}}|{{.State.ExitCode}}|{{.RestartCount}}|{{if .State.Health}}{{.State.Health.Status}}{{else}}-{{end}}|{{.HostConfig.RestartPolicy.Name}}|{{.State.Pid}}|{{.State.StartedAt}}|{{.Image}}|{{.Config.Image}}|{{if ne .HostConfig.NetworkMode "host"}}{{range $port, $_ := .HostConfig.PortBindings}}{{$port}} {{end}}{{end}}' $ids
}

images_in_use() {
    dock ps -a --filter "label=com.docker.compose.project=${project:-$code}" --format '{{.Image}}'
}

# Converts a time of Docker, such as 2026-11-24T09:30:15.123456789Z, to seconds since 1970. POSIX has no `date -d`.
epoch() {
    rest=${1%%.*}
    rest=${rest%Z}
    day=${rest%T*} clock=${rest#*T}
    y=${day%%-*} m=${day#*-} s=${clock##*:} i=${clock#*:}
    d=${m#*-} m=${m%-*} i=${i%:*} h=${clock%%:*}
    # Without leading zeros, which would make them octal.
    m=${m#0} d=${d#0} h=${h#0} i=${i#0} s=${s#0}
    [ "$m" -gt 2 ] || { y=$((y - 1)) m=$((m + 12)); }
    days=$((365 * y + y / 4 - y / 100 + y / 400 + (153 * (m - 3) + 2) / 5 + d - 719469))
    echo $((days * 86400 + h * 3600 + i * 60 + s))
}

# listens PID PORT: whether a socket in the container's network listens there, not only on loopback. True if it cannot be seen.
# Loopback is 127.0.0.0/8, the same mapped into IPv6, and ::1; the kernel writes each 32 bits in the machine's byte order.
listens() {
    [ -r "/proc/$1/net/tcp" ] || return 0
    port=$(printf '%04X' "$2")
    cat "/proc/$1/net/tcp" "/proc/$1/net/tcp6" 2>/dev/null | grep -E "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F:]+ 0A " |
        grep -Evq '^ *[0-9]+: ((0000000000000000FFFF0000)?[0-9A-F]{6}7F|00000000000000000000000001000000):'
}

# Restart count of the container when the wait began: restarts of the past are no loop.
restarts_before() {
    case $first in
    *"|$name|"*) rest=${first#*"|$name|"} && rest=${rest#*|*|} && echo "${rest%%|*}" ;;
    *) echo 0 ;;
    esac
}

# Whether Docker restarted the container since this program began.
restarted() {
    [ "$restarts" -gt 0 ] && [ "$(epoch "$started")" -ge "$began" ]
}

# Whether the container has been seen healthy for $settle seconds without a restart.
stays_healthy() {
    case $seen_healthy in *"|$name $started "*) ;; *) seen_healthy="$seen_healthy|$name $started $now" ;; esac
    since=${seen_healthy##*"|$name $started "}
    [ $((now - ${since%%|*})) -gt "$settle" ]
}

# Judges one container: adds pending states to $waiting and failures to $bad.
judge() {
    case $status/$health in
    running/healthy)
        # A HEALTHCHECK that only opens a port also passes between two crashes. And a proxy needs time to learn the name of a container
        # before the old one beside it stops.
        { ! restarted && [ -z "$ignored" ]; } || stays_healthy || waiting="$service settling"
        ;;
    running/unhealthy) bad="$service unhealthy" ;;
    running/starting) waiting="$service starting" ;;
    running/-)
        age=$((now - $(epoch "$started")))
        # Both times are truncated to seconds, so only a larger difference is certain.
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

# It keeps restarting. It runs between two crashes, so its exit code comes from an earlier look, or another look is taken.
judge_loop() {
    case $crashed in "$name|"*) exit=${crashed##*|} ;; esac
    if [ "$status/$exit" = running/0 ] && [ "$restarts" -lt $((before + 6)) ]; then
        waiting="$service settling"
    else
        bad="$service restarting $exit"
    fi
}

# Names of containers to ignore: old ones that will be removed.
ignored='' crashed=''
# States of the containers a moment ago.
listed=''
began=$(date +%s)

# Sets $list from the containers of a moment ago, unless one was missing then or is gone now.
look_again() {
    [ -n "$known" ] || return 1
    # shellcheck disable=SC2086 # a list of names
    list=$(containers $known 2>"$work/out")
}

# healthy [IMAGE]: waits until all services are healthy. On failure, $bad has the reason and $failed is the container. Every service
# in $services must exist; IMAGE is the id of the image that the service named after the code must run.
healthy() {
    deadline=$(($(date +%s) + timeout)) told='' first='' seen_healthy='' known=''
    while :; do
        waiting='' bad='' failed='' seen=' '
        list=$listed listed=''
        # An engine that did not respond in time is not asked again at once.
        [ -n "$list" ] || look_again || { [ $? -lt 124 ] && list=$(containers 2>"$work/out"); } || { bad="docker" && return 1; }
        [ -n "$first" ] || first=$list
        now=$(date +%s) known=''
        while IFS='|' read -r service name status exit restarts health policy pid started runs reference ports; do
            known="$known ${name#/}"
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
            case $seen in *" $service "*) ;; *) waiting="$service missing" known='' ;; esac
        done
        [ -n "$bad$waiting" ] || return 0
        [ -z "$bad" ] || return 1
        [ "$lost" = no ] || { bad="connection" && return 1; }
        if [ "$now" -ge "$deadline" ]; then
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

# Prints the last log lines of the failed container, and the last output of its HEALTHCHECK.
show_log() {
    [ -n "$failed" ] || return 0
    dock logs --tail 20 "$failed" >"$work/log" 2>&1
    say_lines log <"$work/log"
    dock inspect -f '{{if .State.Health}}{{range .State.Health.Log}}{{println .Output}}{{end}}{{end}}' "$failed" 2>/dev/null |
        grep -v '^$' | tail -n 3 | say_lines probe
}
