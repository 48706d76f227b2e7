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
next_beat=0 sentences=0
work='' private='' watchers='' in_background='' generation='' sudo_env=no lost=no held=no

# A lost connection must not end this program at its next word: it notices by itself, and cleans up first.
trap '' PIPE
trap 'lost=yes' TERM HUP INT
trap 'clean_up' EXIT

# say KIND TEXT…: one sentence, on one line whatever is in it.
say() {
    saying=$*
    case $saying in *"$newline"*) saying=$(printf '%s' "$saying" | tr '\n' ' ') ;; esac
    printf '::%s %s\n' "$word" "$saying" 2>/dev/null
    # For the watcher: this program gets on.
    sentences=$((sentences + 1))
    [ ! -d "$work" ] || echo "$sentences" 2>/dev/null >"$work/progress"
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
    # For an agent that has lost the connection: outcome.sh.
    [ "$held" = no ] || printf '%s %s\n' "$word" "$*" 2>/dev/null >"$folder/releases/.end"
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

# When a process began, in ticks of the kernel: its id alone may be another's by now.
born() {
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
    numbers=${stat##*") "}
    # shellcheck disable=SC2086 # a list
    set -- $numbers
    echo "${20-}"
}

# Removes what runs that were killed have left behind, whatever their code: a registry's login may be in it.
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
    # In memory where there is room, for a login must not reach a disk.
    make_room /dev/shm || make_room "${TMPDIR:-/tmp}" || refuse temporary
    private=$folder/releases/.incoming.$$
    watch_over
    if [ "$sudo" = no ] && ! own_configuration; then
        DOCKER_CONFIG=$work/login
        export DOCKER_CONFIG
    fi
    [ -n "$login" ] || return 0
    login=$work/login
    # Where Compose is a plugin of this user's own, it is looked for beside the configuration.
    [ ! -d "$HOME/.docker/cli-plugins" ] || ln -s "$HOME/.docker/cli-plugins" "$login/cli-plugins"
}

# make_room FOLDER: sets $work, below it the configuration for Docker. A folder may take a name and no content, or no second name.
make_room() {
    work=$(mktemp -d "$1/container-pipeline.$code.$$-$(born $$).XXXXXX" 2>/dev/null) || return 1
    {
        mkdir "$work/login" && printf '%s' "${login:-"{}"}" >"$work/login/config.json" &&
            dd if=/dev/zero of="$work/out" bs=65536 count=16 && : >"$work/out" && : >"$work/log" &&
            : >"$work/found" && : >"$work/not-found" && : >"$work/progress"
    } 2>/dev/null && return
    rm -rf "$work"
    work=''
    return 1
}

# Whether this user may read its own configuration of Docker: after `sudo docker login` it is root's.
own_configuration() {
    [ ! -d "$HOME/.docker" ] || [ -x "$HOME/.docker" ] || return 1
    [ ! -e "$HOME/.docker/config.json" ] || [ -r "$HOME/.docker/config.json" ]
}

# Removes what this program would have removed, were it killed; and ends it where the agent has been silent for half a minute: then
# the wire is cut. Where it does not get on for another minute, as on a disk that hangs, all that it waits for is killed.
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
            [ "$(date +%s)" -lt $((stuck + 60)) ] || { rm -rf "$work" "$private" && kill -KILL -$$; }
        done
        rm -rf "$work" "$private"
    } </dev/null >/dev/null 2>&1 &
    watchers=$!
}

# From now on stdin brings signs of life, which are empty lines, and the agent's answer; its end means that the agent is gone.
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

# Goes to the project's folder. That one may not be entered does not say that there is none.
enter_folder() {
    cd "$folder" 2>/dev/null && return
    ls -d "$folder/." >/dev/null 2>"$work/out"
    if grep -qi 'no such file' "$work/out"; then refuse nothing; fi
    refuse unreadable "$folder"
}

# Runs dock or compose so that the process is the command itself, and the leader of a group: docker hands no signal on to its
# plugins, they must get it too. It may take its time: guard watches over it.
background() {
    in_background='exec setsid' bound=''
    "$@"
}

# Ends $child and all that it started. What sudo has started takes no signal from this user, and docker hands none on.
end_group() {
    signal=${1:-TERM}
    [ "$sudo" = no ] || sudo -n kill "-$signal" -- "-$child" 2>/dev/null
    kill "-$signal" "-$child" 2>/dev/null
}

# Ends $child where the engine does not answer any more; as long as it does, gives signs of life.
guard() {
    # Not the lock: it must be free when the program ends. (Not by a redirection of the call: dash keeps a copy then.)
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

# long CANCEL COMMAND…: runs it with its output in $work/out. CANCEL yes: it is ended where the connection is lost.
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
    # Where TERM is ignored by now, the guard ignores it, too.
    { kill -KILL "$guarded" && wait "$guarded"; } 2>/dev/null
    # A plugin outlives docker while it waits for the engine.
    [ ! -f "$work/frozen" ] || end_group KILL
    return "$status"
}

# The command that ends another one when $limit seconds are over; "" where this server has none.
bound='' limit=30 trial=no
for words in 'timeout -k 5' timeout 'timeout -t'; do
    # shellcheck disable=SC2086 # a command and its options
    if $words 9 true 2>/dev/null; then bound=$words && break; fi
done
# Who may call docker alone by sudo may not call this.
[ "$sudo" = no ] || sudo -n -l timeout 9 true >/dev/null 2>&1 || bound=''

# shellcheck disable=SC2086 # lists of words
dock() {
    if [ "$sudo" = yes ]; then
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

# Whether the engine answers now. That it did not once does not yet count as frozen.
# shellcheck disable=SC2030 # the limit is meant for this subshell alone
answers() (
    limit=10 trial=yes
    dock version >/dev/null 2>&1
)

# Waits for the engine, a minute at most: it may be starting anew.
await_engine() {
    wait_until=$(($(date +%s) + 60))
    until answers; do
        [ "$(date +%s)" -lt "$wait_until" ] || return 1
        say wait engine
        sleep 2
    done
    rm -f "$work/frozen"
}

# insist COMMAND…: runs it again where the engine was away meanwhile. Where it stays away, $bad is "docker".
insist() {
    for _ in 1 2 3; do
        await_engine || { bad=docker && return 1; }
        bad=''
        "$@" && return
        [ "$bad" = docker ] || engine_away || return 1
    done
    return 1
}

# Whether $work/out says that the engine could not be asked.
engine_away() {
    [ ! -f "$work/frozen" ] || return 0
    grep -v '^WARNING' "$work/out" | grep -Eqi 'cannot connect|is the docker daemon running|error during connect|connection (refused|reset)|unexpected EOF'
}

# The project and the Compose files (one a line) of the release that is meant. Empty, where an older agent deployed it: then Compose
# decides by the folder, as it did for that one.
project='' files=''
# The bound of a call of Compose that only reads: it asks the engine too, for its version.
brief=''

# Compose for what is read at once.
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

# Compose with the files and the project named, in an environment in which nothing but .env decides.
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
    if [ "$generation" = v2 ]; then
        set -- docker ${login:+--config "$login"} compose "$@"
    else
        set -- docker-compose "$@"
    fi
    # v1 takes ${PWD} from the environment alone; v2 knows the folder by itself.
    grep -qs '^PWD=' .env || set -- PWD="$(pwd -P)" "$@"
    # For a mount of ~/…, v2 looks for the home in the environment alone.
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
        # Where sudo runs docker alone, its own environment has to do.
        while case $1 in *=*) ;; *) false ;; esac do shift; done
        [ "$generation" = v2 ] || [ -z "$login" ] || set -- DOCKER_CONFIG="$login" "$@"
        $in_background sudo -n "$@"
    fi
}

# Names in .env that Compose or Docker would take for their own settings: what the environment says wins over them.
steering() {
    sed -n 's/^\(DOCKER_[A-Z_]*\|COMPOSE_[A-Z_]*\)=.*/\1/p' .env 2>/dev/null | while IFS= read -r name; do
        case $name in
        DOCKER_REGISTRY* | COMPOSE_PROFILES | COMPOSE_FILE | COMPOSE_PROJECT_NAME) continue ;;
        esac
        eval "value=\${$name-}"
        case $name in
        # What the login itself uses to reach Docker is given already.
        DOCKER_HOST | DOCKER_CONTEXT | DOCKER_TLS_VERIFY | DOCKER_CERT_PATH | DOCKER_API_VERSION) [ -z "$value" ] || continue ;;
        DOCKER_CONFIG) continue ;;
        esac
        echo "$name"
    done
}

# What a setting of Compose or Docker is when nobody sets it.
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

# field NAME FILE: of a release's record, which stands on one line.
field() {
    fields=$(first_line "$2")
    case $fields in *"\"$1\": \""*) fields=${fields##*"\"$1\": \""} && echo "${fields%%\"*}" ;; esac
}

# first_line FILE: by the shell alone, since what is short is asked often.
first_line() {
    { IFS= read -r line <"$1" || [ -n "$line" ]; } 2>/dev/null && printf '%s\n' "$line"
}

# know FILE: project, files and services of the release whose record this is.
know() {
    record=$1
    project=$(field project "$1") services=$(field services "$1")
    files=$(field files "$1" | tr ':' '\n')
}

know_current() {
    know "releases/$(current_release)/release.json"
    [ -n "$services" ] || [ "$generation" = swarm ] || services=$(ask config --services 2>/dev/null | tr '\n' ' ')
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
    [ "$sudo" = no ] || ! sudo -n env -i PATH="$PATH" true >/dev/null 2>&1 || sudo_env=yes
    say "fact compose $generation"
}

# releases/.current names the release that runs, and below it those that ran before, latest first, one a line. What was gone back
# from is not among them.
current_release() {
    first_line releases/.current
}

# Prints type, mode and path of all that is below the paths on stdin, one a line, a folder before what is in it.
kinds() {
    all=yes
    while IFS= read -r name; do
        find "./$name" -exec stat -c '%f %n' {} + 2>/dev/null || all=no
    done
    [ "$all" = yes ]
}

# Where Docker could not be asked at all. Its mere warnings, such as of a configuration that cannot be read, do not say so.
check_reachable() {
    [ ! -f "$work/frozen" ] || refuse frozen
    if engine_away || grep -v '^WARNING' "$work/out" | grep -Eqi 'permission denied|sudo:'; then
        refuse docker "$(last_line "$work/out")"
    fi
}

# Docker has failed, and $work/out says why.
refuse_docker() {
    [ ! -f "$work/frozen" ] || refuse frozen
    refuse docker "$(last_line "$work/out")"
}

# What stands in a lock file, which anybody may have written.
lock_holder() {
    dd bs=1000 count=1 2>/dev/null <"$1" | head -n 1
}

# One run at a time for each code. The lock is the kernel's: it goes when this process, and the Compose that it started, are gone.
take_lock() {
    (umask 022 && touch .lock) 2>"$work/out" || refuse_write
    exec 9>>.lock
    # A moment more than asked for: BusyBox's timeout leaves a watcher that has the lock for a second after its command.
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
