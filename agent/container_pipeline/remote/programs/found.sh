#!/bin/sh
# A service in the project's folder that this product did not deploy: it is the previous release of the first deploy, kept as
# releases/found-TIME with its Compose files, its .env and the ids of its images. Requires common.sh; to keep it, from deploy.sh
# also: private, units.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Sets $found_ids, the containers that Compose started from this folder, and $found_project, their project. Refuses a service that a
# rollback could not restore.
find_found() {
    look_for_found
    [ -n "$found_ids" ] || return 0
    # A rollback could not restore a service whose file no longer exists.
    while IFS= read -r name; do
        [ -f "$name" ] || refuse found-file "$name"
        case $name in *[!A-Za-z0-9._/-]*) refuse found-file "$name" ;; esac
    done <<FILES
$(found_files)
FILES
}

look_for_found() {
    found_ids='' found_project=''
    case $(current_release) in '' | found-*) ;; *) return 0 ;; esac
    [ "$generation" != swarm ] || return 0
    real=$(pwd -P)
    started_from "$folder" >"$work/here" || refuse_docker
    [ "$real" = "$folder" ] || started_from "$real" >>"$work/here"
    grep -Eq '\|(Up|Restarting) [^|]*\|' "$work/here" || return 0
    found_project=$({ grep "|$code|" "$work/here" && cat "$work/here"; } | sed -n '1s/^[^|]*|[^|]*|\([^|]*\)|.*/\1/p')
    [ -n "$found_project" ] || found_project=$(sed -n '1s/^[^|]*|[^|]*|\([^|]*\)|.*/\1/p' "$work/here")
    found_ids=$(sed -n "s/^\([^|]*\)|[^|]*|$found_project|.*/\1/p" "$work/here" | tr '\n' ' ')
}

# Prints one line per container that Compose started from a folder.
started_from() {
    dock ps -a --filter "label=com.docker.compose.project.working_dir=$1" --filter label=com.docker.compose.oneoff=False \
        --format '{{.ID}}|{{.Status}}|{{.Label "com.docker.compose.project"}}|{{.Label "com.docker.compose.service"}}|{{.Label "com.docker.compose.project.config_files"}}' 2>"$work/out"
}

# Compose files of those containers, one per line, relative to this folder.
found_files() {
    sed -n "s/^[^|]*|[^|]*|$found_project|[^|]*|//p" "$work/here" | head -n 1 | tr ',' '\n' | while IFS= read -r name; do
        name=${name#"$folder/"} && name=${name#"$real/"} && echo "${name#./}"
    done
}

# Writes the record before anything is changed, unless an unchanged one already exists.
keep_found() {
    [ -n "$found_ids" ] || return 0
    kept=$(current_release)
    found_name=found-$(date -u +%Y%m%d%H%M%S)
    found_dir=$private/found
    { mkdir "$found_dir" && write_found "$found_name"; } 2>"$work/out" || refuse_write
    if [ -n "$kept" ] && diff -r -x release.json "$found_dir" "releases/$kept" >/dev/null 2>&1; then rm -rf "$found_dir" && return; fi
    # First what needs disk space.
    { (umask 022 && { echo "$found_name" && { [ ! -s releases/.current ] || cat releases/.current; }; } >"$private/current") &&
        mv "$found_dir" "releases/$found_name" && mv -f "$private/current" releases/.current; } 2>"$work/out" || refuse_write
    say "found $found_name"
}

write_found() {
    found_files >"$found_dir/.names" || return 1
    # Files in the folder, and those that this release will replace.
    { grep -v '^/' "$found_dir/.names"; printf '%s\n' "$units"; } | grep -vFx -e docker-compose.yml -e .env -e '' | sort -u |
        while IFS= read -r name; do [ ! -e "$name" ] || printf '%s\n' "$name"; done >"$found_dir/.units"
    { printf '%s\n' docker-compose.yml .env && cat "$found_dir/.units"; } >"$found_dir/.all" || return 1
    while IFS= read -r name; do
        [ -e "$name" ] || continue
        mkdir -p "$found_dir/$(dirname "$name")" && cp -Rp "$name" "$found_dir/$name" || return 1
    done <"$found_dir/.all"
    # shellcheck disable=SC2086 # a list of ids
    dock inspect -f '{{.Image}}|{{.Config.Image}}' $found_ids | sort -u >"$found_dir/.images" || return 1
    printf '{"schema": 1, "version": "%s", "found": "yes", "digest": "", "image": "", "when": "%s", "by": "", "build": "", "services": "%s", "images": "%s", "project": "%s", "files": "%s"}\n' \
        "$1" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" \
        "$(sed -n "s/^[^|]*|[^|]*|$found_project|\([^|]*\)|.*/\1/p" "$work/here" | sort -u | in_one_line ' ')" \
        "$(cut -d'|' -f2 "$found_dir/.images" | in_one_line ' ')" "$found_project" "$(in_one_line : <"$found_dir/.names")" >"$found_dir/release.json" || return 1
    rm -f "$found_dir/.names" "$found_dir/.all"
}

in_one_line() {
    tr '\n' "$1" | sed 's/.$//'
}
