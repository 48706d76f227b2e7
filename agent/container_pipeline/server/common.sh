#!/bin/sh
# The part that every program for a server begins with. POSIX sh: dash, busybox ash and bash run it alike.
#
# The agent sends assignments, this file and one other as one text, all on stdin; after `hello` the payload, then a line every few
# seconds for as long as it lives. Programs answer on stdout in lines that begin with "::" and the run's word, which nobody else knows;
# what commands print goes to files.
# Expected to be set: word, code, folder, sudo (yes or no), wait (seconds for the lock), who, version, login (JSON or empty).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

umask 077
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin:/snap/bin
newline='
'
blanks=$IFS
next_beat=0
work='' private='' watchers='' in_background='' generation='' lost=no

# A lost connection must not end this program at its next word: it notices by itself, and cleans up first.
trap '' PIPE
trap 'lost=yes' TERM HUP INT
trap 'clean_up' EXIT

# say KIND TEXT…: one sentence, on one line whatever is in it.
say() {
    saying=$*
    case $saying in *"$newline"*) saying=$(printf '%s' "$saying" | tr '\n' ' ') ;; esac
    printf '::%s %s\n' "$word" "$saying" 2>/dev/null
}

# say_lines KIND: each line of stdin as a sentence.
say_lines() {
    sed "s/^/::$word $1 /" 2>/dev/null
}

# A sign of life, every ten seconds at most: for loops that may have nothing to say for a long time.
beat() {
    [ "$(date +%s)" -lt "$next_beat" ] || { say beat && next_beat=$(($(date +%s) + 10)); }
}

step() {
    say "step $1"
}

# end STATUS REASON [TEXT]: the last word. Who hears it may take the lock at once.
end() {
    exec 9>&-
    say "end $*"
    exit 0
}

refuse() {
    end refused "$@"
}

# Writing failed, and $work/out says why.
refuse_write() {
    # A shell's own printf says no more than "I/O error" of a full disk.
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ "$free" = 0 ] || grep -qi 'no space left' "$work/out"; then refuse disk "$folder"; fi
    refuse folder "$folder: $(last_line "$work/out")"
}

# The last lines of a command's output, and its very last as one line.
tell() {
    tail -n 20 "$1" 2>/dev/null | say_lines out
}

last_line() {
    grep -v '^[[:space:]]*$' "$1" 2>/dev/null | tail -n 1 | tr -d '\r'
}

clean_up() {
    trap '' TERM HUP INT
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$private" ] || rm -rf "$private"
    # Last, since the watcher does the same where this is cut short.
    # shellcheck disable=SC2086 # a list of process ids
    [ -z "$watchers" ] || kill $watchers 2>/dev/null
}

make_work() {
    work=$(mktemp -d "/dev/shm/container-pipeline.$code.XXXXXX" 2>/dev/null || mktemp -d 2>/dev/null) || refuse temporary
    private=$folder/releases/.incoming.$$
    watch_over
    [ -n "$login" ] || return 0
    { mkdir "$work/login" && printf '%s' "$login" >"$work/login/config.json"; } 2>/dev/null || refuse temporary
    login=$work/login
    # Where Compose is a plugin of this user's own, it is looked for beside the configuration.
    [ ! -d "$HOME/.docker/cli-plugins" ] || ln -s "$HOME/.docker/cli-plugins" "$login/cli-plugins"
}

# Removes what this program would have removed, were it killed; and ends it where the agent has been silent for half a minute: then
# the wire is cut.
watch_over() {
    {
        before='' silent=0
        while sleep 5 && kill -0 $$; do
            [ -f "$work/beat" ] || continue
            now=$(cat "$work/beat")
            silent=$((silent + 1))
            [ "$now" = "$before" ] || silent=0
            before=$now
            [ "$silent" -lt 6 ] || kill -TERM $$
        done
        rm -rf "$work" "$private"
    } </dev/null >/dev/null 2>&1 &
    watchers=$!
}

# From now on stdin brings signs of life only; its end means that the agent is gone.
watch_connection() {
    exec 3<&0 </dev/null
    echo 0 >"$work/beat"
    {
        beats=0
        while IFS= read -r _; do
            beats=$((beats + 1))
            echo "$beats" >"$work/beat"
        done
        kill -TERM $$
    } <&3 >/dev/null 2>&1 &
    watchers="$watchers $!"
    exec 3<&-
}

# Goes to the project's folder. That one may not be entered does not say that there is none.
enter_folder() {
    cd "$folder" 2>/dev/null && return
    ls -d "$folder/." >/dev/null 2>"$work/out"
    if grep -qi 'no such file' "$work/out"; then refuse nothing; fi
    refuse unreadable "$folder"
}

# Runs dock or compose so that the process is the command itself, and the leader of a group: docker hands no signal on to its
# plugins, they must get it too.
background() {
    in_background='exec setsid'
    "$@"
}

# Ends $child and all that it started. What sudo has started takes no signal from this user, and docker hands none on.
end_group() {
    [ "$sudo" = no ] || sudo -n kill -TERM -- "-$child" 2>/dev/null
    kill -TERM "-$child" 2>/dev/null
}

# long CANCEL COMMAND…: runs it with its output in $work/out. CANCEL yes: it is ended where the connection is lost.
long() {
    cancel=$1
    shift
    background "$@" >"$work/out" 2>&1 &
    child=$!
    while :; do
        wait "$child"
        status=$?
        [ "$status" -gt 128 ] && [ "$lost" = yes ] && kill -0 "$child" 2>/dev/null || return "$status"
        [ "$cancel" = no ] || end_group
    done
}

dock() {
    if [ "$sudo" = yes ]; then
        $in_background sudo -n docker "$@"
    else
        $in_background docker "$@"
    fi
}

compose() {
    case $generation$sudo in
    v2*) dock ${login:+--config "$login"} compose "$@" ;;
    v1yes) $in_background sudo -n ${login:+DOCKER_CONFIG="$login"} docker-compose "$@" ;;
    v1no) $in_background env ${login:+DOCKER_CONFIG="$login"} docker-compose "$@" ;;
    esac
}

find_docker() {
    command -v flock >/dev/null 2>&1 || refuse no-flock
    command -v docker >/dev/null 2>&1 || refuse no-docker
    for plugins in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
        [ ! -x "$plugins/cli-plugins/docker-compose" ] || generation=v2
    done
    [ -n "$generation" ] || ! dock compose version >/dev/null 2>&1 || generation=v2
    [ -n "$generation" ] || ! command -v docker-compose >/dev/null 2>&1 || generation=v1
    [ -n "$generation" ] || refuse no-compose
    say "fact compose $generation"
}

# releases/.current names the release that runs, and below it those that ran before, latest first, one a line. What was gone back
# from is not among them.
current_release() {
    sed -n 1p releases/.current 2>/dev/null
}

# What Docker said in $work/out, where it could not be asked at all.
check_reachable() {
    if grep -Eqi 'cannot connect|permission denied|is the docker daemon running|error during connect|sudo:' "$work/out"; then
        refuse docker "$(last_line "$work/out")"
    fi
}

# What stands in a lock file, which anybody may have written.
lock_holder() {
    dd bs=1000 count=1 <"$1" 2>/dev/null | head -n 1
}

# One run at a time for each code. The lock is the kernel's: it goes when this process, and the Compose that it started, are gone.
take_lock() {
    (umask 022 && touch .lock) 2>"$work/out" || refuse_write
    exec 9>>.lock
    turns=$((wait * 5 + 2))
    until flock -n 9; do
        [ "$lost" = no ] || end stopped connection
        [ "$turns" -gt 0 ] || end locked lock "$(lock_holder .lock)"
        [ "$turns" -ne $((wait * 5)) ] || say "wait lock $(lock_holder .lock)"
        beat
        turns=$((turns - 1))
        sleep 0.2 2>/dev/null || sleep 1
    done
    printf '%s|%s|%s\n' "$who" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$version" 2>"$work/out" >.lock || refuse_write
}
