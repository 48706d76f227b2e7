#!/bin/sh
# Prints the files of the release that runs, for a comparison with the next one. Changes nothing. Requires common.sh; units (files
# of the next release, one per line), known (its files, as sha256sum prints them).
# shellcheck disable=SC2154 # the parts share their variables

# Of a file that the agent does not have, and that is small enough to be shown, the content too.
show_file() {
    sum=$(sha256sum <"$1") || refuse unreadable "$folder/$1"
    sum=${sum%% *}
    say "live $sum $(stat -c %a "$1") $1"
    case $newline$known$newline in *"$newline$sum  $1$newline"*) return ;; esac
    [ "$(wc -c <"$1")" -gt 200000 ] || say "content $(base64 <"$1" | tr -d '\n') $1"
}

show_files() {
    say hello
    make_work
    find_docker
    enter_folder
    current=$(current_release)
    say "fact version $current"
    {
        printf '%s\n' docker-compose.yml .env
        # The file with the pins is written on the server.
        { printf '%s\n' "$units" && cat "releases/$current/.units" 2>/dev/null; } | grep -Fvx "$pinned_file" | sort -u
    } | while IFS= read -r name; do
        [ -z "$name" ] || [ ! -e "./$name" ] || find "./$name" -type f
    done >"$work/found"
    while IFS= read -r name; do show_file "${name#./}"; done <"$work/found"
    end ok
}

show_files
