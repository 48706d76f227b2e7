#!/bin/sh
# Lets Compose resolve the uploaded release, and the agent judge the result (see docs/architecture.md). Requires common.sh and
# switch.sh, and from deploy.sh: stage, units, found. Sets project, files and services, and completes the release's record.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Files that would change the meaning of a person's own `up -d` in the folder.
OTHERS='compose.yaml compose.yml docker-compose.yaml docker-compose.override.yml docker-compose.override.yaml compose.override.yml compose.override.yaml'

# Keep the project name of the release that runs, or of what ran here before the first one: volumes are named after it.
name_project() {
    project=$(field project "releases/$(current_release)/release.json")
    [ -n "$project" ] || project=${found_project:-$code}
    files=docker-compose.yml
    # Only an override file that belongs to the release.
    for name in $OTHERS; do
        case $name in
        *override*) ! brings "$name" || { files="$files$newline$name" && return; } ;;
        esac
    done
}

brings() {
    case "$newline$units$newline" in *"$newline$1$newline"*) ;; *) return 1 ;; esac
}

# Prints the lines for the release's .env with which a person's own `up -d` starts the same as ours.
list_names() {
    for name in $OTHERS "$pinned_file"; do
        case $name in
        "$pinned_file") names_pins || continue ;;
        *) [ -e "$name" ] || [ -e "$stage/$name" ] || continue ;;
        esac
        write_name COMPOSE_FILE "$(printf %s "$files" | tr '\n' ':')"
        break
    done
    if [ "$project" != "$code" ] || says_name; then write_name COMPOSE_PROJECT_NAME "$project"; fi
}

# write_name NAME VALUE: prints the variable if the release's .env has none of that name.
write_name() {
    grep -qs "^$1=" "$stage/.env" || printf '%s=%s\n' "$1" "$2"
}

write_names() {
    lines=$(list_names)
    [ -z "$lines" ] || printf '%s\n' "$lines" 2>"$work/out" >>"$stage/.env" || refuse_write
}

# Whether the release's Compose files include the one with the pins.
names_pins() {
    case "$newline$files$newline" in *"$newline$pinned_file$newline"*) ;; *) return 1 ;; esac
}

# Whether a file may have a top-level `name:`; a file in flow style counts as one.
says_name() {
    set -f
    IFS=$newline
    for name in $files; do
        grep -Eqs "^[^[:space:][:alnum:]#]*(name[\"']?[[:space:]]*:|\{)" "$stage/$name" && IFS=$blanks && set +f && return 0
    done
    IFS=$blanks
    set +f
    return 1
}

# Whether the release has the same files as the current one, so that its record can be reused.
same_as_current() {
    record=releases/$(current_release)/release.json
    companions=$(field companions "$record")
    # Where an older agent deployed it, it has images without pins.
    [ -n "$(field files "$record")" ] && { [ -n "$companions" ] || [ -z "$(field images "$record")" ]; } || return 1
    [ "$pull" = missing ] || [ -z "$companions" ] || return 1
    own_units=$units own_files=$files
    if [ -f "${record%/*}/$pinned_file" ]; then
        cp -p "${record%/*}/$pinned_file" "$stage/" 2>"$work/out" || refuse_write
        add_pins
    fi
    cmp -s "$stage/docker-compose.yml" docker-compose.yml && { cat "$stage/.env" && list_names; } 2>/dev/null | cmp -s - .env &&
        [ "$(cat "${record%/*}/.units" 2>/dev/null)" = "$units" ] && ! units_differ && return
    units=$own_units files=$own_files
    rm -f "$stage/$pinned_file" "$stage/.units"
    return 1
}

ask_compose() {
    unchanged=no images='' companions=''
    [ "$generation" != swarm ] || { ask_swarm && return; }
    name_project
    if [ -z "${release_program-}" ] && same_as_current; then
        unchanged=yes services=$(field services "$record") images=$(field images "$record")
    else
        companions=''
        speak
        resolve
        look_for_paths
        look_for network "$outside_networks"
        look_for volume "$outside_volumes"
        look_for container "$outside_containers"
        check_speech
    fi
}

# Once the images are known.
complete_release() {
    [ "$generation" != swarm ] || return 0
    write_names
    files_field=$(printf %s "$files" | tr '\n' ':')
    sed "s|}\$|, \"services\": \"$services\", \"images\": \"$images\", \"companions\": \"$companions\", \"project\": \"$project\", \"files\": \"$files_field\"}|" \
        "$stage/release.json" 2>"$work/out" >"$stage/.record" || refuse_write
    mv "$stage/.record" "$stage/release.json" 2>"$work/out" || refuse_write
}

# Only a call of the engine shows whether this Compose can talk to it; that call runs meanwhile.
speaking=''
speak() {
    (cd "$stage" && ask ps -q >"$work/engine" 2>&1 && : >"$work/spoke") &
    speaking=$!
}

check_speech() {
    wait "$speaking"
    [ "$lost" = no ] || end stopped connection
    [ ! -f "$work/spoke" ] || return 0
    mv "$work/engine" "$work/out"
    check_reachable
    refuse engine "$(last_line "$work/out")"
}

# After `up` has failed with the files that were already live, about which Compose was not asked before the switch: if it cannot talk to
# the engine, it has changed nothing.
refuse_mute() {
    if [ -n "$speaking" ] || [ "$generation" = swarm ] || ! answers; then return; fi
    speak
    wait "$speaking"
    if [ "$lost" = yes ] || [ -f "$work/spoke" ] || ! restore_files; then return; fi
    close_journal
    refuse engine "$(last_line "$work/engine")"
}

# Sends the resolved form to the agent, which replies with assignments: verdict, services, images, companions, file_version,
# must_exist, outside_networks, outside_volumes and outside_containers.
resolve() {
    json='' all_profiles=''
    # The release command's service may be one that no enabled profile starts. (v1 lists those, too.)
    [ "${release_service:-$code}" = "$code" ] || [ "$generation" = v1 ] || all_profiles='--profile *'
    # No file name stands for the star.
    set -f
    [ "$generation" = v1 ] || json='--format json'
    # shellcheck disable=SC2086 # two words or none
    (cd "$stage" && ask $all_profiles config $json) >"$work/resolved" 2>"$work/out" || refuse_compose_file
    set +f
    [ "$(wc -c <"$work/resolved")" -lt 4000000 ] || refuse compose-file 'its resolved form is larger than 4 MB'
    base64 <"$work/resolved" | say_lines resolved
    rm -f "$work/resolved"
    verdict=''
    consult "ask $generation $(cd "$stage" && pwd -P)"
    [ "$verdict" = good ] || refuse resolved
}

# consult SENTENCE: sends it to the agent, and sets the variables of the reply.
consult() {
    : >"$work/answer"
    say "$1"
    turns=0
    until [ -s "$work/answer" ]; do
        [ "$lost" = no ] && [ "$turns" -lt 1200 ] || end stopped connection
        turns=$((turns + 1))
        sleep 0.05 2>/dev/null || sleep 1
    done
    eval "$(tr '\001' '\n' <"$work/answer")"
}

# Compose's error about the file, without quotes from an env file.
refuse_compose_file() {
    check_reachable
    here=$(cd "$stage" && pwd -P)
    sed "s|$here/||g; s|$stage/||g; s/ near .*//" "$work/out" >"$work/said"
    path=$(sed -n "s/.*env file \(.*\) not found.*/\1/p; s/.*Couldn't find env file: \(.*\)/\1/p" "$work/said" | head -n 1)
    [ -z "$path" ] || refuse missing "$path"
    tell "$work/said"
    refuse compose-file "$(last_line "$work/said")"
}

look_for_paths() {
    while IFS= read -r path; do
        case $path in
        '') continue ;;
        /*) ! surely_missing "$path" || refuse missing "$path" ;;
        *) [ -e "$stage/$path" ] || [ -e "$folder/$path" ] || refuse missing "$path" ;;
        esac
    done <<PATHS
$must_exist
PATHS
}

# Skipped if this user may not look, or if the engine is on another machine.
surely_missing() {
    case ${DOCKER_HOST-} in '' | unix:*) ;; *) return 1 ;; esac
    [ ! -e "$1" ] || return 1
    above=${1%/*}
    while [ -n "$above" ] && [ ! -d "$above" ]; do above=${above%/*}; done
    [ -x "${above:-/}" ]
}

# look_for KIND NAMES: external networks, volumes or containers must exist.
look_for() {
    while IFS= read -r name; do
        [ -n "$name" ] || continue
        dock "$1" inspect "$name" >/dev/null 2>"$work/out" || { check_reachable && refuse "missing-$1" "$name"; }
    done <<NAMES
$2
NAMES
}
