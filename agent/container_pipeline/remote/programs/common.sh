#!/bin/sh
# Common first part of every program for a server. POSIX sh, for dash, busybox ash and bash.
#
# The agent sends assignments, this file and others as one text on stdin; after `hello`, it sends the payload, which begins with a line
# `go` where the program changes something. While it lives, it sends an empty line every few seconds, also before the payload. Programs
# respond on stdout in lines that begin with "::" and the run's word, which nobody else knows; the output of commands goes to files.
# Required variables: word, code, folder, sudo (yes or no), wait (seconds for the lock), who, version, login (JSON or empty).
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # the parts share their variables

umask 077
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin:/snap/bin
newline='
'
blanks=$IFS
# The Compose file of a release that pins the images of the other services.
pinned_file=docker-compose.pinned.yml
next_beat=0 sentences=0
work='' private='' watchers='' in_background='' generation='' standalone='' sudo_env=no sudo_login='' lost=no held=no

# A lost connection must not kill this program at its next output: it notices by itself and cleans up first.
trap '' PIPE
trap 'lost=yes' TERM HUP INT
trap 'clean_up' EXIT

# say KIND TEXT…: prints one sentence as one line, whatever it contains.
say() {
    saying=$*
    case $saying in *"$newline"*) saying=$(printf '%s' "$saying" | tr '\n' ' ') ;; esac
    printf '::%s %s\n' "$word" "$saying" 2>/dev/null
    # Tell the watcher that this program makes progress.
    sentences=$((sentences + 1))
    [ ! -d "$work" ] || echo "$sentences" 2>/dev/null >"$work/progress"
}

# say_lines KIND: prints each line of stdin as a sentence.
say_lines() {
    sed "s/^/::$word $1 /" 2>/dev/null
}

# Keep-alive, at most every ten seconds, for loops without other output.
beat() {
    [ "$(date +%s)" -lt "$next_beat" ] || { say beat && next_beat=$(($(date +%s) + 10)); }
}

step() {
    say "step $1"
}

# end STATUS REASON [TEXT]: prints the last sentence and exits. The agent may take the lock right after it.
end() {
    # For an agent that lost the connection: see outcome.sh.
    [ "$held" = no ] || printf '%s %s\n' "$word" "$*" 2>/dev/null >"$folder/releases/.end"
    exec 9>&-
    say "end $*"
    exit 0
}

refuse() {
    end refused "$@"
}

# Ends the program after a failed write; $work/out has the reason.
refuse_write() {
    # For a full disk, a shell's own printf only prints "I/O error".
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')
    if [ "$free" = 0 ] || grep -qi 'no space left' "$work/out"; then refuse disk "$folder"; fi
    refuse folder "$folder: $(last_line "$work/out")"
}

# Prints the last lines of a command's output; the very last as one line.
tell() {
    grep -v 'the attribute .version. is obsolete' "$1" 2>/dev/null | tail -n 20 | say_lines out
}

# Without the last sentences of Compose v1, which name no reason. Where the last line is only a place, the reason stands before it.
last_line() {
    grep -v -e '^[[:space:]]*$' -e '^Encountered errors while bringing up' -e '^You might be seeing this error' -e '^For more on the Compose file' \
        "$1" 2>/dev/null | tr -d '\r' | awk '{ line = /^ +in "/ ? before $0 : $0; before = $0 } END { print line }'
}

clean_up() {
    trap '' TERM HUP INT
    [ -z "$private" ] || { remove_throwaway "$private" && rm -rf "$private"; }
    [ -z "$work" ] || rm -rf "$work"
    # Last, because the watcher does the same if this is interrupted.
    # shellcheck disable=SC2086 # a list of process ids
    [ -z "$watchers" ] || kill $watchers 2>/dev/null
}

# remove_throwaway FOLDER: removes the release command's container that FOLDER/throwaway names. It stays named until it is gone.
remove_throwaway() {
    [ -s "$1/throwaway" ] || return 0
    dock rm -fv "$(cat "$1/throwaway")" >/dev/null 2>"$1/kept" || grep -qi 'no such container' "$1/kept"
}

# Start time of a process in kernel ticks, because its id may be reused.
born() {
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    numbers=${stat##*") "}
    # shellcheck disable=SC2086 # a list
    set -- $numbers
    echo "${20-}"
}

# Removes the leftovers of killed runs of any code, which may contain a registry's login.
sweep() {
    [ -n "$(born $$)" ] || return 0
    for left in /dev/shm/container-pipeline.*.*.* "${TMPDIR:-/tmp}"/container-pipeline.*.*.*; do
        owner=${left%.*}
        owner=${owner##*.}
        case $owner in
        [0-9]*-[0-9]*) [ "$(born "${owner%-*}")" = "${owner#*-}" ] || rm -rf "$left" 2>/dev/null ;;
        esac
    done
}

make_work() {
    sweep
    # In memory if there is space, because a login must not reach a disk.
    make_room /dev/shm || make_room "${TMPDIR:-/tmp}" || refuse temporary
    private=$folder/releases/.incoming.$$
    watch_over
    if [ "$sudo" = no ] && ! own_configuration; then
        DOCKER_CONFIG=$work/login
        export DOCKER_CONFIG
    fi
    [ -n "$login" ] || return 0
    # Only now: whatever ends this program, the watcher deletes it.
    printf '%s' "$login" 2>/dev/null >"$work/login/config.json" || refuse temporary
    login=$work/login
    # A Compose plugin of this user is searched for beside the configuration.
    [ ! -d "$HOME/.docker/cli-plugins" ] || ln -s "$HOME/.docker/cli-plugins" "$login/cli-plugins"
}

# make_room FOLDER: sets $work, with the Docker configuration below it. A folder may accept a name but no content, or no second name.
make_room() {
    work=$(mktemp -d "$1/container-pipeline.$code.$$-$(born $$).XXXXXX" 2>/dev/null) || return 1
    {
        mkdir "$work/login" && echo '{}' >"$work/login/config.json" &&
            dd if=/dev/zero of="$work/out" bs=65536 count=16 && : >"$work/out" && : >"$work/log" &&
            : >"$work/found" && : >"$work/not-found" && : >"$work/progress"
    } 2>/dev/null && return
    rm -rf "$work"
    work=''
    return 1
}

# Whether this user may read its own Docker configuration; after `sudo docker login` it belongs to root.
own_configuration() {
    [ ! -d "$HOME/.docker" ] || [ -x "$HOME/.docker" ] || return 1
    [ ! -e "$HOME/.docker/config.json" ] || [ -r "$HOME/.docker/config.json" ]
}

# Cleans up if this program is killed. Ends it after half a minute without a line from the agent, when the connection is lost. If it
# makes no progress for another minute, as on a disk that hangs, kills everything that it waits for.
watch_over() {
    {
        before='' silent=0 done=none stuck=0
        while sleep 5 && kill -0 $$; do
            [ -f "$work/beat" ] || continue
            now=$(cat "$work/beat")
            silent=$((silent + 1))
            [ "$now" = "$before" ] || silent=0
            before=$now
            [ "$silent" -ge 6 ] || continue
            kill -TERM $$
            [ "$(cat "$work/progress")" = "$done" ] || stuck=$(date +%s)
            done=$(cat "$work/progress")
            [ "$(date +%s)" -lt $((stuck + 60)) ] || { ! remove_throwaway "$private" || rm -rf "$private"; rm -rf "$work"; kill -KILL -$$; }
        done
        if [ -e "$private/throwaway" ]; then
            remove_throwaway "$private"
            # A killed program's Compose, which may be about to create it, holds the lock.
            left=60
            until flock -n "$folder/.lock" true || [ "$left" -eq 0 ]; do left=$((left - 1)) && sleep 1; done
        fi
        ! remove_throwaway "$private" || rm -rf "$private"
        rm -rf "$work"
    } </dev/null >/dev/null 2>&1 &
    watchers=$!
}

# Waits for the agent's `go`. Every program calls it before it changes anything of the project: the login shell may have taken so
# long, or printed so much, that the agent has given up and reported that nothing runs.
await_go() {
    heard=''
    until [ "$heard" = go ]; do IFS= read -r heard || end stopped connection; done
}

# From now on, stdin has keep-alives (empty lines) and the agent's reply; its end means that the agent is gone.
watch_connection() {
    exec 3<&0 </dev/null
    echo 0 >"$work/beat"
    {
        beats=0
        while IFS= read -r heard; do
            beats=$((beats + 1))
            echo "$beats" >"$work/beat"
            [ -z "$heard" ] || { printf '%s\n' "$heard" >"$work/answer.new" && mv "$work/answer.new" "$work/answer"; }
        done
        echo gone >"$work/beat"
        kill -TERM $$
    } <&3 >/dev/null 2>&1 &
    watchers="$watchers $!"
    exec 3<&-
}

# Enters the project's folder. If it cannot be entered, it may still exist.
enter_folder() {
    cd "$folder" 2>/dev/null && return
    ls -d "$folder/." >/dev/null 2>"$work/out"
    if grep -qi 'no such file' "$work/out"; then refuse nothing; fi
    refuse unreadable "$folder"
}

# Runs dock or compose as the leader of a process group: docker does not forward signals to its plugins, so they must get them too.
# It may take long; guard watches it.
background() {
    bounded=$bound in_background='exec setsid' bound=''
    "$@"
}

# Runs one short command within a function that runs in the background, which does not become it.
briefly() (
    [ -z "$in_background" ] || bound=$bounded
    in_background=''
    "$@"
)

# Ends $child and everything that it started. A process of sudo accepts no signal from this user, and docker forwards none.
end_group() {
    signal=${1:-TERM}
    [ "$sudo" = no ] || sudo -n kill "-$signal" -- "-$child" 2>/dev/null
    kill "-$signal" "-$child" 2>/dev/null
}

# Ends $child if the engine stops responding; sends keep-alives until then.
guard() {
    # Close the lock, which must be free when the program ends. (Not with a redirection of the call, where dash keeps a copy.)
    exec 9>&-
    missed=0
    while sleep $((10 - missed * 3)) >/dev/null && kill -0 $$ "$child" 2>/dev/null; do
        if answers; then missed=0 && say beat && continue; fi
        missed=$((missed + 1))
        [ "$missed" -ge 3 ] || continue
        echo 'the Docker engine does not answer' >>"$work/out"
        echo >"$work/frozen"
        end_group
        sleep 5
        end_group KILL
    done
}

# long CANCEL COMMAND…: runs the command with its output in $work/out. CANCEL yes: a lost connection ends it.
long() {
    cancel=$1
    shift
    background "$@" >"$work/out" 2>&1 &
    child=$!
    guard 2>/dev/null &
    guarded=$!
    while :; do
        wait "$child"
        status=$?
        if [ "$status" -le 128 ] || [ "$lost" = no ] || ! kill -0 "$child" 2>/dev/null; then break; fi
        [ "$cancel" = no ] || end_group
    done
    # If TERM is ignored by now, the guard ignores it too.
    { kill -KILL "$guarded" && wait "$guarded"; } 2>/dev/null
    # A plugin can outlive docker while it waits for the engine.
    [ ! -f "$work/frozen" ] || end_group KILL
    return "$status"
}

# The command that ends another one after $limit seconds; "" if this server has none.
bound='' limit=30 trial=no
for words in 'timeout -k 5' timeout 'timeout -t'; do
    # shellcheck disable=SC2086 # a command and its options
    if $words 9 true 2>/dev/null; then bound=$words && break; fi
done
# Whether this user may run docker by sudo, and no other command.
know_sudo() {
    docker_only=no
    [ "$sudo" = no ] || sudo -n -l timeout 9 true >/dev/null 2>&1 || docker_only=yes
}
know_sudo

# sudo_docker BOUND COMMAND…: for a user who may run nothing else by sudo. Such a user cannot signal what sudo started. So a shell waits
# for it and holds the lock; the shell can be ended. What keeps running then has no lock, and with a bound no pipe that anybody reads.
# shellcheck disable=SC2016,SC2086 # for that shell; a command and its options
sudo_docker() {
    within=$1
    shift
    if [ -z "$within" ]; then
        $in_background sh -c 'sudo -n "$@" 9>&-; exit $?' sh "$@"
        return
    fi
    printed=$(mktemp "$work/printed.XXXXXX") || return
    $within sh -c 'sudo -n "$@" >"$0" 2>"$0.err" 9>&-; exit $?' "$printed" "$@"
    ended=$?
    cat "$printed"
    cat "$printed.err" >&2
    rm -f "$printed" "$printed.err"
    return "$ended"
}

# shellcheck disable=SC2086 # lists of words
dock() {
    if [ "$docker_only" = yes ]; then
        sudo_docker "${bound:+$bound $limit}" docker "$@"
    elif [ "$sudo" = yes ]; then
        $in_background sudo -n ${bound:+$bound $limit} docker "$@"
    else
        $in_background ${bound:+$bound $limit} docker "$@"
    fi
    ended=$?
    case $bound$ended in
    ?*124 | ?*137 | ?*143)
        echo 'the Docker engine does not answer' >&2
        [ -z "$work" ] || [ "$trial" = yes ] || : >"$work/frozen"
        ;;
    esac
    return "$ended"
}

# Whether the engine responds now. A single failure does not count as frozen.
# shellcheck disable=SC2030 # the limit is meant for this subshell alone
answers() (
    limit=10 trial=yes
    dock version >/dev/null 2>&1
)

# Waits for the engine, at most a minute: it may be restarting.
await_engine() {
    wait_until=$(($(date +%s) + 60))
    until answers; do
        [ "$(date +%s)" -lt "$wait_until" ] || return 1
        say wait engine
        sleep 2
    done
    rm -f "$work/frozen"
}

# insist COMMAND…: runs the command again if the engine was away meanwhile. If it stays away, $bad is "docker".
insist() {
    for _ in 1 2 3; do
        await_engine || { bad=docker && return 1; }
        bad=''
        "$@" && return
        [ "$bad" = docker ] || engine_away || return 1
    done
    return 1
}

# Whether $work/out says that the engine could not be reached.
engine_away() {
    [ ! -f "$work/frozen" ] || return 0
    grep -v '^WARNING' "$work/out" | grep -Eqi 'cannot connect|is the docker daemon running|error during connect|connection (refused|reset)|unexpected EOF'
}

# Project and Compose files (one per line) of the current release. Empty if an older agent deployed it; then Compose decides by the
# folder, as it did at that time.
project='' files=''
# Limit of a Compose call that only reads; it also asks the engine for its version.
brief=''

# Compose for short reads.
# shellcheck disable=SC2031,SC2086 # the limit of this shell; a command and its options
ask() {
    brief=${bound:+$bound $limit}
    compose "$@"
    ended=$? brief=''
    case $bound$ended in
    ?*124 | ?*137 | ?*143)
        echo 'the Docker engine does not answer' >&2
        : >"$work/frozen"
        ;;
    esac
    return "$ended"
}

# Compose with explicit files and project, in an environment where only .env counts.
# shellcheck disable=SC2086 # a command and its options
compose() {
    given=$#
    set -f
    IFS=$newline
    for file in $files; do set -- "$@" -f "$file"; done
    IFS=$blanks
    set +f
    [ -z "$project" ] || set -- "$@" -p "$project"
    while [ "$given" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        given=$((given - 1))
    done
    if [ "$generation$standalone" = v2 ]; then
        set -- docker ${login:+--config "$login"} compose "$@"
    else
        set -- docker-compose "$@"
    fi
    # v1 reads ${PWD} only from the environment; v2 uses the folder.
    grep -qs '^PWD=' .env || set -- PWD="$(pwd -P)" "$@"
    # For a mount of ~/…, v2 reads the home folder only from the environment.
    ! grep -Eqs "[[:space:]\"'-]~/" ./*.yml ./*.yaml || grep -qs '^HOME=' .env || set -- HOME="$HOME" "$@"
    for variable in DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION SSH_AUTH_SOCK TMPDIR; do
        eval "value=\${$variable-}"
        # shellcheck disable=SC2154 # set by eval
        [ -z "$value" ] || set -- "$variable=$value" "$@"
    done
    for variable in $(steering); do set -- "$variable=$(neutral "$variable")" "$@"; done
    set -- PATH="$PATH" DOCKER_CONFIG="${login:-${DOCKER_CONFIG:-$HOME/.docker}}" PYTHONCOERCECLOCALE=0 "$@"
    if [ "$sudo" = no ]; then
        $in_background $brief env -i "$@"
    elif [ "$sudo_env" = yes ]; then
        $in_background sudo -n $brief env -i "$@"
    else
        # If sudo is allowed only for docker, its own environment must do.
        while case $1 in *=*) ;; *) false ;; esac do shift; done
        [ "$generation$standalone" = v2 ] || [ -z "$login" ] || ! sudo_passes_login || set -- DOCKER_CONFIG="$login" "$@"
        sudo_docker "$brief" "$@"
    fi
}

# Whether sudo lets this user set a variable for docker-compose, which has no option for a login. It refuses the command otherwise.
sudo_passes_login() {
    [ -n "$sudo_login" ] || case $(sudo -n -l 2>/dev/null) in *SETENV:*docker-compose*) sudo_login=yes ;; *) sudo_login=no ;; esac
    [ "$sudo_login" = yes ]
}

# Names in .env that Compose or Docker would read as their own settings; the environment overrides them.
steering() {
    sed -n 's/^\(DOCKER_[A-Z_]*\|COMPOSE_[A-Z_]*\)=.*/\1/p' .env 2>/dev/null | while IFS= read -r name; do
        case $name in
        DOCKER_REGISTRY* | COMPOSE_PROFILES | COMPOSE_FILE | COMPOSE_PROJECT_NAME) continue ;;
        esac
        eval "value=\${$name-}"
        case $name in
        # The login's own variables for Docker are already set.
        DOCKER_HOST | DOCKER_CONTEXT | DOCKER_TLS_VERIFY | DOCKER_CERT_PATH | DOCKER_API_VERSION) [ -z "$value" ] || continue ;;
        DOCKER_CONFIG) continue ;;
        esac
        echo "$name"
    done
}

# Default value of a setting of Compose or Docker.
neutral() {
    case $1 in
    COMPOSE_PARALLEL_LIMIT) echo 64 ;;
    COMPOSE_HTTP_TIMEOUT) echo 60 ;;
    COMPOSE_PROGRESS) echo plain ;;
    COMPOSE_ANSI) echo never ;;
    COMPOSE_PARAMIKO_SSH) echo 0 ;;
    COMPOSE_REMOVE_ORPHANS | COMPOSE_IGNORE_ORPHANS | COMPOSE_COMPATIBILITY | COMPOSE_DISABLE_ENV_FILE | COMPOSE_MENU | COMPOSE_BAKE | COMPOSE_EXPERIMENTAL | \
        COMPOSE_STATUS_STDOUT | COMPOSE_CONVERT_WINDOWS_PATHS | COMPOSE_FORCE_WINDOWS_HOST | DOCKER_BUILDKIT | DOCKER_CONTENT_TRUST) echo false ;;
    COMPOSE_DOCKER_CLI_BUILD | COMPOSE_INTERACTIVE_NO_CLI) echo 1 ;;
    esac
}

# field NAME FILE: prints a field of a release's record, which is one line.
field() {
    fields=$(first_line "$2")
    case $fields in *"\"$1\": \""*) fields=${fields##*"\"$1\": \""} && echo "${fields%%\"*}" ;; esac
}

# first_line FILE: prints the first line with the shell alone, because it is called often.
first_line() {
    line=''
    { IFS= read -r line <"$1" || [ -n "$line" ]; } 2>/dev/null && printf '%s\n' "$line"
}

# know FILE: sets project, files and services from a release's record.
know() {
    record=$1
    project=$(field project "$1") services=$(field services "$1")
    files=$(field files "$1" | tr ':' '\n')
}

know_current() {
    know "releases/$(current_release)/release.json"
    [ -n "$services" ] || [ "$generation" = swarm ] || services=$(ask config --services 2>/dev/null | tr '\n' ' ')
}

# Refuses a service that the current release does not have.
insist_service() {
    case " $services " in *" $1 "*) ;; *) refuse no-service "$1 $services" ;; esac
}

# docker-compose is v1, or v2 that is no plugin of docker. Its file has its name in Go.
find_standalone() {
    standalone=$(command -v docker-compose 2>/dev/null) || return 0
    if grep -q 'github.com/docker/compose/v' "$standalone" 2>/dev/null; then generation=v2; else generation=v1 standalone=''; fi
}

find_docker() {
    command -v flock >/dev/null 2>&1 || refuse no-flock
    command -v docker >/dev/null 2>&1 || refuse no-docker
    for plugins in "$HOME/.docker" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
        plugin=$plugins/cli-plugins/docker-compose
        [ ! -x "$plugin" ] || { generation=v2 && break; }
        plugin=''
    done
    [ -n "$generation" ] || ! dock compose version >/dev/null 2>&1 || generation=v2
    [ -n "$generation" ] || find_standalone
    [ -n "$generation" ] || refuse no-compose
    [ "$sudo" = no ] || ! sudo -n env -i PATH="$PATH" true >/dev/null 2>&1 || sudo_env=yes
    say "fact compose $generation"
}

# releases/.current has the release that runs, and below it the earlier ones, latest first, one per line, without those that were
# rolled back.
current_release() {
    first_line releases/.current
}

# Kept releases that ran before the current one, latest first.
former_releases() {
    sed 1d releases/.current 2>/dev/null | while IFS= read -r release; do
        [ ! -d "releases/$release" ] || echo "$release"
    done
}

# Prints type, mode and path of everything below the paths on stdin, one per line, folders before their content.
kinds() {
    all=yes
    while IFS= read -r name; do
        find "./$name" -exec stat -c '%f %n' {} + 2>/dev/null || all=no
    done
    [ "$all" = yes ]
}

# Whether Docker could not be reached. Warnings, such as about an unreadable configuration, do not count.
check_reachable() {
    [ ! -f "$work/frozen" ] || refuse frozen
    if engine_away || grep -v '^WARNING' "$work/out" | grep -Eqi 'permission denied|sudo:'; then
        refuse docker "$(last_line "$work/out")"
    fi
}

# Ends the program after a failure of Docker; $work/out has the reason.
refuse_docker() {
    [ ! -f "$work/frozen" ] || refuse frozen
    refuse docker "$(last_line "$work/out")"
}

# Content of a lock file, which anybody may have written.
lock_holder() {
    dd bs=1000 count=1 2>/dev/null <"$1" | head -n 1
}

# Who holds the code, since when and why; nothing if nobody does.
held_by() {
    [ ! -e .hold ] || lock_holder .hold
}

# Ends the program if the code is held. $override is the reason to go on nevertheless, which the history keeps.
heed_hold() {
    if [ -n "$override" ]; then
        log_attempt "overridden $override"
    elif [ -e .hold ]; then
        end held hold "$(held_by)"
    fi
}

log_attempt() {
    (umask 022 && printf '%s|%s|%s|%s|%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" "$action" "$version" "$1" >>releases/.log) 2>/dev/null
}

# Takes the lock: one run at a time per code. The kernel frees it when this process and its Compose are gone.
take_lock() {
    (umask 022 && touch .lock) 2>"$work/out" || refuse_write
    exec 9>>.lock
    # Wait a moment longer: BusyBox's timeout leaves a watcher that holds the lock for a second after its command.
    turns=$((wait * 5 + 8))
    until flock -n 9; do
        [ "$lost" = no ] || end stopped connection
        [ "$turns" -gt 0 ] || end locked lock "$(lock_holder .lock)"
        [ "$wait" -eq 0 ] || [ "$turns" -ne $((wait * 5 + 6)) ] || say "wait lock $(lock_holder .lock)"
        beat
        turns=$((turns - 1))
        sleep 0.2 2>/dev/null || sleep 1
    done
    printf '%s|%s|%s\n' "$who" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$version" 2>"$work/out" >.lock || refuse_write
    held=yes
    # Its agent has asked how it ended, and was told that it never began.
    [ ! -e releases/.given-up ] || [ "$(lock_holder releases/.given-up)" != "$word" ] || end stopped connection
}
