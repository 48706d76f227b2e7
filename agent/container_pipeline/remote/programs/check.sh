#!/bin/sh
# Asks the new container over HTTP, from the server, whether it works. Requires common.sh, health.sh and from deploy.sh old; from the
# agent check_path, check_port (0: the port that the container publishes or exposes), check_status (numbers and ranges),
# check_host and check_within (seconds).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Before the switch: finds a program of the server that speaks HTTP.
find_asker() {
    for asker in curl bash nc wget; do
        command -v "$asker" >/dev/null 2>&1 && return
    done
    refuse no-asker
}

# checked: waits until each new container of the service responds as it should. On failure sets $bad and $failed.
checked() {
    until_then=$(($(date +%s) + check_within)) tries=0
    while :; do
        tries=$((tries + 1)) bad="$code missing" failed=''
        for container in $(service_containers); do
            case " $old " in *" $container "*) continue ;; esac
            check_container "$container" || { failed=$container && break; }
        done
        # A service that fell meanwhile says more than its silence.
        if [ -z "$bad" ]; then
            [ "$tries" -eq 1 ] || healthy "$id"
            return
        fi
        [ "$lost" = no ] || { bad=connection && return 1; }
        [ "$(date +%s)" -lt "$until_then" ] || return 1
        say "wait health $bad"
        healthy "$id" || return 1
        beat
        sleep 1
    done
}

# check_container NAME: asks each of its addresses until one responds as it should.
check_container() {
    bad="$code check $check_path - no address" responded=no
    find_addresses "$1"
    for address in $addresses; do
        ask_http "$address" "$port"
        if right_status; then bad='' && return; fi
        # A response says more than an address on which nobody listens.
        [ "$http_status$responded" = -yes ] || bad="$code check $check_path $http_status $said"
        [ "$http_status" = - ] || responded=yes
    done
    return 1
}

# Sets $addresses and $port of a container. One in another's network has that one's addresses.
find_addresses() {
    inspected=$1
    network=$(dock inspect -f '{{.HostConfig.NetworkMode}}' "$1" 2>/dev/null)
    case $network in container:*) inspected=${network#container:} ;; esac
    addresses=$(dock inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}} {{end}}' "$inspected" 2>/dev/null)
    [ "$network" != host ] || addresses='127.0.0.1 ::1'
    port=$check_port
    [ "$port" = 0 ] || return 0
    # shellcheck disable=SC2016 # Go's variables
    ports=$(dock inspect -f '{{range $port, $_ := .HostConfig.PortBindings}}{{$port}} {{end}}{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}' "$1" 2>/dev/null)
    for port in $ports 80; do
        case $port in */udp | */sctp) ;; *) port=${port%/tcp} && return ;; esac
    done
}

right_status() {
    for wanted in $check_status; do
        [ "$http_status" != - ] && [ "$http_status" -ge "${wanted%-*}" ] && [ "$http_status" -le "${wanted#*-}" ] && return
    done
    return 1
}

# ask_http ADDRESS PORT: sets $http_status, or "-" if there was no HTTP response, and $said, the first line of what came back.
ask_http() {
    : >"$work/response"
    case $1 in *:*) url="http://[$1]:$2$check_path" ;; *) url="http://$1:$2$check_path" ;; esac
    "ask_by_$asker" "$1" "$2" 9>&- 2>"$work/out"
    http_status=$(sed -n '1s/^HTTP\/[0-9.]* \([1-9][0-9][0-9]\).*/\1/p' "$work/response" | head -n 1)
    said=$(tr -d '\r\000' <"$work/response" | sed '1,/^$/d' | readable)
    [ -n "$said" ] || said=$(sed 's/^HTTP\/[0-9.]* [0-9]* *//' "$work/response" | readable)
    [ -n "$http_status" ] || http_status=- said=$( (cat "$work/out" && echo 'no response') | readable)
}

# Prints the first line that is not empty, short and without characters that would mean something in a sentence.
readable() {
    tr '|' '/' | tr -d '\000-\010\013-\037\177' | grep -v '^[[:space:]]*$' | head -n 1 | cut -c1-200
}

ask_by_curl() {
    curl -q -sS -i -g --path-as-is --noproxy '*' --max-time 5 -H "Host: $check_host" "$url" | head -c 4000 >"$work/response"
}

# shellcheck disable=SC2016,SC2086 # for that shell; a command and its options
ask_by_bash() {
    ${bound:+$bound 5} bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "$3" "$4" >&3 && head -c 4000 <&3' \
        bash "$1" "$2" "$check_path" "$check_host" >"$work/response"
}

# Some end when their input does, so it stays open for a while.
# shellcheck disable=SC2086,SC2094 # a command and its options; the input ends once there is output
ask_by_nc() {
    {
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n' "$check_path" "$check_host"
        for _ in 1 2 3 4 5; do [ -s "$work/response" ] || sleep 1; done
    } | ${bound:+$bound 6} nc -w 5 "$1" "$2" | head -c 4000 >"$work/response"
}

# Headers come on stderr, indented. BusyBox follows redirects, so the first of them counts; it may have no option for a timeout.
# shellcheck disable=SC2086 # a command and its options
ask_by_wget() {
    if wget --help 2>&1 | grep -q max-redirect; then
        wget -q -S -O - --content-on-error --max-redirect=0 --no-proxy -t 1 -T 5 --header "Host: $check_host" "$url"
    else
        ${bound:+$bound 5} wget -q -S -O - --header "Host: $check_host" "$url"
    fi 2>"$work/headers" | head -c 4000 >"$work/body"
    status_line=$(sed -n 's/.*\(HTTP\/[0-9.]* [1-9][0-9][0-9].*\)/\1/p' "$work/headers" | head -n 1)
    [ -n "$status_line" ] || { cat "$work/headers" >&2 && return; }
    { printf '%s\n\n' "$status_line" && cat "$work/body"; } >"$work/response"
}
