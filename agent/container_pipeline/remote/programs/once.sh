#!/bin/sh
# Runs the release command, such as a migration, once per deploy in a throwaway container of the new image (see
# docs/architecture.md). Requires common.sh, health.sh, containers.sh and ask.sh; from the agent release_program and
# release_arguments (quoted for Compose and for a shell), release_service and release_timeout; from the agent's reply needs and
# throwaway_file. Sets $bad on failure.
# shellcheck disable=SC2034,SC2119,SC2120,SC2154 # the parts share their variables; run_once sets its own arguments

# Waits until the agent lets this server run the command, or another one has run it. Sets $turn to run or go.
take_turn() {
    told=''
    while :; do
        turn='' elsewhere=''
        consult turn
        case $turn in
        run | go) return ;;
        stop) refuse release-elsewhere "$elsewhere" ;;
        esac
        [ "$told" = "$elsewhere" ] || say "wait release $elsewhere"
        told=$elsewhere
        sleep 1
        [ "$lost" = no ] || end stopped connection
    done
}

# Before the switch, with the new files beside the running ones. On a first deploy only the switch creates the folder's files, which
# companions mount; there the command runs after it.
release_early() {
    take_turn
    [ "$turn" = run ] || return 0
    if [ -z "$(current_release)$found_ids" ] && [ ! -e docker-compose.yml ]; then return; fi
    place=$private/once
    { cp -Rp "$stage" "$place" && link_the_rest; } 2>"$work/out" || refuse_write
    list_containers >"$work/before" 2>"$work/out" || refuse_docker
    run_release early && turn=go && return
    list_containers 2>/dev/null | while IFS='|' read -r container _; do
        grep -q "^$container|" "$work/before" || dock rm -f "$container" >/dev/null 2>&1
    done
    [ "$lost" = no ] || end stopped release
    refuse "$bad"
}

# What services mount from the folder without being part of the release.
link_the_rest() {
    while IFS= read -r path; do
        case $path in
        '' | /*) ;;
        *) [ -e "$place/$path" ] || { mkdir -p "$(dirname "$place/$path")" && ln -s "$folder/$path" "$place/$path"; } || return 1 ;;
        esac
    done <<PATHS
$must_exist
PATHS
}

release_late() {
    [ "${turn-}" = run ] || return 0
    place=$folder
    run_release late
}

# run_release early|late: starts the companions, then runs the command with the files in $place.
run_release() {
    step release
    bad=''
    "start_needs_$1" && companions_healthy && run_once
    cd "$folder" || refuse folder "$folder"
    [ -z "$bad" ] || return 1
    say released
}

# Containers that exist are not replaced: they belong to the release that runs.
start_needs_early() {
    [ -n "$needs" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    { cd "$stage" && long yes compose --project-directory "$folder" --env-file "$stage/.env" up -d --no-recreate $needs; } || note_needs
}

start_needs_late() {
    # shellcheck disable=SC2086 # a list of names
    [ -z "$needs" ] || long yes compose up -d $needs || note_needs
}

note_needs() {
    tell "$work/out"
    bad="release companions $(last_line "$work/out")"
    return 1
}

companions_healthy() {
    [ -n "$needs" ] || return 0
    cd "$folder" || refuse folder "$folder"
    all_services=$services services=$needs
    if ! healthy; then
        show_log
        bad="release companion $bad"
    fi
    services=$all_services
    [ -z "$bad" ]
}

# Detached, because Compose forwards a signal to the container instead of ending it.
run_once() {
    throwaway=$code-release-$word
    all_files=$files
    files="$files$newline$private/once.yml"
    { printf '%s\n' "$throwaway_file" >"$private/once.yml" && echo "$throwaway" >"$private/throwaway"; } 2>"$work/out" || refuse_write
    eval "set -- $release_arguments"
    cd "$place" || refuse folder "$place"
    until_then=$(($(date +%s) + release_timeout))
    if long yes compose run -d -T --no-deps --name "$throwaway" --entrypoint "$release_program" "$release_service" "$@"; then
        follow
    else
        tell "$work/out"
        bad="release start $(last_line "$work/out")"
    fi
    files=$all_files
    [ "$lost" = no ] || bad="release connection"
    if [ -n "$bad" ]; then
        # Its creation may still be under way.
        end_group KILL
        dock logs --tail 20 "$throwaway" 2>&1 | grep -v 'No such container' >"$work/log"
        [ ! -s "$work/log" ] || say_lines log <"$work/log"
    fi
    case $bad in *timeout*) dock stop -t 5 "$throwaway" >/dev/null 2>&1 ;; esac
    remove_throwaway "$private" && rm -f "$private/throwaway"
}

# Prints the command's output while it runs; sets $bad unless it exits with 0.
follow() {
    mkfifo "$work/lines" 2>"$work/out" || refuse_write
    (exec 9>&- && background dock logs -f "$throwaway") >"$work/lines" 2>&1 &
    child=$!
    (exec 9>&- && relay) <"$work/lines" &
    state=''
    while :; do
        if [ -e "$work/relayed" ]; then
            # Its log may end before the command, as when the engine is restarted.
            state=$(dock inspect -f '{{.State.Running}} {{.State.ExitCode}}' "$throwaway" 2>"$work/out")
            case $state in
            'false 0') return ;;
            'false '*) bad="release exited ${state#false }" && return ;;
            '') engine_away || { bad="release start $(last_line "$work/out")" && return; } ;;
            esac
            sleep 1
        fi
        [ "$lost" = no ] || return 0
        [ "$(date +%s)" -lt "$until_then" ] || { bad="release timeout $release_timeout" && return; }
        beat
        sleep 0.3 2>/dev/null || sleep 1
    done
}

# A flood must not fill the connection.
relay() {
    printed=0
    while IFS= read -r line || [ -n "$line" ]; do
        printed=$((printed + 1))
        [ "$printed" -gt 20000 ] || say "ran $(printf '%.2000s' "$line")"
    done
    : >"$work/relayed"
}
