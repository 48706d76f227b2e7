#!/bin/sh
# Reports every project below some folders: release, history, hold, lock, edited files, containers. Changes nothing, and writes no
# file, so that a full disk does not hide a server. The number of processes does not grow with the number of projects: the shell only
# tests and lists, one awk reads all the small files, one find lists and sums all released ones, and Docker is asked once for all
# containers. Requires common.sh; roots (folders, one per line), only (a code, or nothing for all), oldest (the earliest time of a
# deploy that is reported), hours (the last ones, as 2026-11-24T09) and disk (yes or no).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Prints a letter and a value per line, for $report below.
list_projects() {
    tried=0
    while IFS= read -r root; do
        printf 'R %s\n' "$root"
        cd "$root" 2>/dev/null && [ -r . ] || { missing_root && continue; }
        here=$(pwd -P)
        printf 'r %s\n' "$here"
        for name in */; do
            name=${name%/}
            [ "$name" != '*' ] || [ -d './*' ] || continue
            [ -z "$only" ] || [ "$name" = "$only" ] || continue
            list_project
        done
    done <<ROOTS
$roots
ROOTS
}

missing_root() {
    case $(ls -d "$root/." 2>&1) in *'o such file'*) echo 'x absent' ;; *) echo 'x unreadable' ;; esac
}

# Calls nothing but commands of the shell itself.
list_project() {
    case $name in
    '' | *[!A-Za-z0-9._-]*) printf 'o %s\n' "${name%%"$newline"*}" && return ;;
    esac
    if [ ! -x "$name" ] || [ ! -r "$name" ]; then printf 'c %s\nx unreadable\n' "$name" && return; fi
    [ -d "$name/releases" ] || [ -e "$name/.hold" ] || has_compose_file || { printf 'o %s\n' "$name" && return; }
    printf 'c %s\n' "$name"
    if [ -e "$name/.env" ] && [ ! -r "$name/.env" ]; then echo 'x unreadable' && return; fi
    [ ! -e "$name/releases" ] || { [ -x "$name/releases" ] && [ -r "$name/releases" ]; } || { echo 'x unreadable' && return; }
    current=''
    if [ -f "$name/releases/.current" ]; then IFS= read -r current <"$name/releases/.current" || :; fi
    case $current in .* | */*) current='' ;; esac
    [ ! -f "$name/.hold" ] || printf 'h %s\n' "$name/.hold"
    [ ! -f "$name/.lock" ] || [ ! -r "$name/.lock" ] || list_lock
    [ ! -f "$name/releases/.log" ] || printf 'a %s\n' "$name/releases/.log"
    for release in "$name"/releases/*/release.json; do
        release=${release%/release.json}
        [ ! -f "$release/release.json" ] || printf 'k %s\n' "${release##*/}"
    done
    if [ -s "$name/releases/.former/broken" ]; then
        printf 'b %s\n' "$name/releases/.former/broken"
    elif [ -d "$name/releases/.former" ]; then
        echo 'x unfinished'
    fi
    [ -n "$current" ] || return 0
    printf 'v %s\n' "$current"
    release=$name/releases/$current
    [ -x "$release" ] || { echo 'x unreadable' && return; }
    [ ! -f "$release/release.json" ] || printf 'j %s\n' "$release/release.json"
    [ ! -f "$release/.stack.yml" ] || echo 's stack'
    [ ! -f "$release/.units" ] || while IFS= read -r unit; do
        [ -z "$unit" ] || printf 'u %s\n' "$unit"
    done <"$release/.units"
}

# A lock is a process to ask for, so only the few are tried that a run has taken lately.
list_lock() {
    lock=''
    IFS= read -r lock <"$name/.lock" || :
    taken=${lock#*|}
    taken=${taken%%:*}
    case " $hours " in *" ${taken:-none} "*) ;; *) return 0 ;; esac
    [ "$tried" -lt 50 ] || return 0
    tried=$((tried + 1))
    flock -sn "$name/.lock" true 2>/dev/null || printf 'l %s\n' "$lock"
}

has_compose_file() {
    for file in docker-compose.yml docker-compose.yaml compose.yml compose.yaml; do
        [ ! -f "$name/$file" ] || return 0
    done
    return 1
}

# Reads the list, then the files that it names, and the sums of the released ones. A file or folder of a release that is not there
# with the same content and mode is reported by the name that the release has for it. What Docker is to be asked for goes to stderr.
# shellcheck disable=SC2016 # awk's variables
report='
# The value of a field, as `field` of common.sh reads it.
function field(name, text,  at) {
    at = index(text, "\"" name "\": \"")
    if (!at) return ""
    text = substr(text, at + length(name) + 5)
    return substr(text, 1, index(text, "\"") - 1)
}
# Notes the image of a release, for Docker.
function want(text,  image) {
    image = field("image", text) "@" field("digest", text)
    if (image ~ /^[A-Za-z0-9][A-Za-z0-9._:\/-]*@sha256:[0-9a-f]+$/) print image >"/dev/stderr"
}
function tell(kind, text) { print "::" word " " kind (text == "" ? "" : " " substr(text, 1, 8000)) }
function first(path,  line) {
    if ((getline line < path) <= 0) line = ""
    close(path)
    return line
}
function whole(path,  line, text) {
    while (length(text) < 60000 && (getline line < path) > 0) text = text line
    close(path)
    return text
}
function attempts(path,  line, count, i, since) {
    while ((getline line < path) > 0) {
        line = substr(line, 1, 1000)
        if (line ~ /\|ok$/) since = substr(line, 1, index(line, "|") - 1)
        if (line "" >= oldest "") kept[count++ % 200] = line
    }
    close(path)
    if (since != "") tell("since", since)
    for (i = (count > 200 ? count - 200 : 0); i < count; i++) tell("attempt", kept[i % 200])
}
function unit(name) {
    live_unit[folder "/" name] = released_unit[folder "/releases/" version "/" name] = project SUBSEP name
    compare(folder "/" name)
    compare(folder "/releases/" version "/" name)
}
# Notes a path for find. A shell takes at most 128 KiB as one word.
function compare(path) {
    gsub(/\047/, "\047\\\047\047", path)
    if (length(paths[batches]) + length(path) > 100000) batches++
    paths[batches] = paths[batches] " \047" path "\047"
}
# Reads type and mode of everything below the paths, and the sum of each file.
function sum_files(  i, command) {
    for (i = 0; i <= batches && paths[i] != ""; i++) {
        command = bound "find" paths[i] " -exec stat -c \047%f %n\047 {} + -type f -exec sha256sum {} + 2>/dev/null"
        while ((command | getline) > 0) {
            # GNU escapes a backslash or a newline in a name, and begins the line with a backslash then.
            if (sub(/^\\/, "")) gsub(/\\\\/, "\\")
            if (match($0, /^[0-9a-f]+  \//) && RLENGTH == 67) {
                enter(substr($0, 67), "sum", substr($0, 1, 64))
            } else if (match($0, /^[0-9a-f]+ \//)) {
                enter(substr($0, RLENGTH), "kind", $1)
            }
        }
        close(command)
    }
}
# Puts one line of find on its side, under its unit.
function enter(path, what, value,  top, key) {
    top = path
    while (!(top in live_unit) && !(top in released_unit)) {
        if (!match(top, /.*\//) || RLENGTH < 2) return
        top = substr(top, 1, RLENGTH - 1)
    }
    key = SUBSEP what SUBSEP substr(path, length(top) + 1)
    if (top in live_unit) {
        live[live_unit[top] key] = value
        entries[live_unit[top] key] = live_unit[top]
    } else {
        released[released_unit[top] key] = value
        entries[released_unit[top] key] = released_unit[top]
    }
}
{
    letter = substr($0, 1, 1); text = substr($0, 3); lines[++count] = $0
    if (letter == "r") root = text
    if (letter == "c") { project++; folder = root "/" text }
    if (letter == "v") {
        version = text
        unit("docker-compose.yml")
        unit(".env")
    }
    if (letter == "u") unit(text)
}
END {
    sum_files()
    for (entry in entries) if (live[entry] "" != released[entry] "") differs[entries[entry]] = 1
    project = 0
    for (i = 1; i <= count; i++) {
        letter = substr(lines[i], 1, 1); text = substr(lines[i], 3)
        if (letter == "R") tell("root", text)
        if (letter == "r") root = text
        if (letter == "c") { project++; tell("project", text) }
        if (letter == "o") tell("other", text)
        if (letter == "x") tell(text, "")
        if (letter == "v") {
            tell("current", text)
            for (n = 1; n <= 2; n++) if (((project SUBSEP base[n])) in differs) tell("differs", base[n])
        }
        if (letter == "u" && ((project SUBSEP text) in differs)) tell("differs", text)
        if (letter == "j") {
            record = whole(root "/" text)
            print "::" word " release " record
            want(record)
        }
        if (letter == "k") tell("kept", text)
        if (letter == "h") tell("hold", first(root "/" text))
        if (letter == "b") tell("broken", first(root "/" text))
        if (letter == "a") attempts(root "/" text)
        if (letter == "l") tell("lock", text)
        if (letter == "s") stacks = "stack"
    }
}
END { print stacks >"/dev/stderr" }
BEGIN { batches = 0; base[1] = "docker-compose.yml"; base[2] = ".env" }
'

# Reports the projects. Sets wanted: the images to ask Docker for, and then "stack" if it is to be asked for stacks.
show_files() {
    exec 4>&1
    wanted=$(list_projects 2>/dev/null |
        awk -v word="$word" -v oldest="$oldest" -v bound="${bound:+$bound 600 }" "$report" 2>&1 >&4) || refuse awk "${wanted##*"$newline"}"
    exec 4>&-
}

# asked COMMAND…: runs docker, by sudo if this user may not and sudo needs no password. Sets found to what it prints; ends the program
# if it fails.
asked() {
    found=$(dock "$@" 2>&1) && return
    ended=$?
    case $sudo$found in
    no*'permission denied'*)
        if sudo -n -l docker >/dev/null 2>&1; then
            sudo=yes
            ready_for_sudo
            asked "$@"
            return
        fi
        ;;
    esac
    heed_frozen "$ended"
    refuse docker "${found##*"$newline"}"
}

# heed_frozen STATUS: ends the program if docker was ended because the engine did not respond.
heed_frozen() {
    case $bound$1 in ?*124 | ?*137 | ?*143) refuse frozen ;; esac
}

# sudo_docker needs a folder for what docker prints.
ready_for_sudo() {
    know_sudo
    [ "$docker_only" = no ] || make_work
}

show_containers() {
    say "fact now $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    command -v docker >/dev/null 2>&1 || refuse no-docker
    own_configuration || { DOCKER_CONFIG=/nonexistent && export DOCKER_CONFIG; }
    [ "$sudo" = no ] || ready_for_sudo
    asked ps -aq --no-trunc --filter label=com.docker.compose.project --filter label=com.docker.compose.oneoff=False
    ids=${wanted%stack}
    # Docker's warnings are no ids.
    set -f
    for id in $found; do
        case $id in *[!0-9a-f]*) ;; *) ids="$ids $id" ;; esac
    done
    set +f
    # What is not there, or gone by now, is missing in the output.
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$ids" ] || dock inspect -f "::$word $inspect_format" $ids 2>/dev/null
    heed_frozen $?
    [ "$disk" = no ] || dock images --no-trunc --format "::$word size {{.ID}}|{{.Size}}|{{.Repository}}" 2>/dev/null
    heed_frozen $?
    case $wanted in *stack) show_stacks ;; esac
}

# One call for containers and images: what has a state is a container.
# shellcheck disable=SC2016 # Go's variables
inspect_format='{{with index . "State"}}container {{.Status}}|{{.ExitCode}}|{{$.RestartCount}}|{{with index . "Health"}}{{.Status}}{{else}}-{{end}}|{{$.HostConfig.RestartPolicy.Name}}|{{.StartedAt}}|{{$.Image}}|{{index $.Config.Labels "com.docker.compose.service"}}|{{index $.Config.Labels "com.docker.compose.project"}}|{{index $.Config.Labels "com.docker.compose.project.working_dir"}}{{else}}image {{.Id}}|{{range .RepoDigests}}{{.}} {{end}}{{end}}'
# shellcheck disable=SC2016 # Go's variables
service_format='{{if .UpdateStatus}}{{.UpdateStatus.State}}{{else}}-{{end}}|{{.UpdatedAt}}|{{.Spec.TaskTemplate.ContainerSpec.Image}}|{{index .Spec.Labels "com.docker.stack.namespace"}}|{{.Spec.Name}}'

show_stacks() {
    found=$(dock service ls --format '{{.ID}}|{{.Replicas}}|{{.Name}}' 2>&1)
    ended=$?
    heed_frozen "$ended"
    # Only a manager knows the services of stacks.
    case $ended$found in
    0*) ;;
    *'not a swarm manager'*) return ;;
    *) refuse docker "${found##*"$newline"}" ;;
    esac
    ids=''
    IFS=$newline
    set -f
    for service in $found; do
        case $service in *\|*\|*) say "replicas $service" && ids="$ids ${service%%\|*}" ;; esac
    done
    set +f
    IFS=$blanks
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$ids" ] || dock service inspect -f "::$word service $service_format" $ids 2>/dev/null
    heed_frozen $?
}

fleet() {
    say hello
    # It needs no watcher: each of its calls is bounded, and it leaves nothing behind.
    exec </dev/null
    show_files
    show_containers
    end ok
}

fleet
