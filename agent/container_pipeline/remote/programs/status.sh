#!/bin/sh
# Reports what runs, what was deployed and how they differ; the kept releases; or all versions in use. Changes nothing. Requires
# common.sh, health.sh and found.sh; action is status, history or in-use.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Prints release.json as one line, after a blank.
record() {
    tr -d '\n' <"releases/$1/release.json"
}

report() {
    say hello
    make_work
    watch_connection
    enter_folder
    current=$(current_release)
    say "fact version $current"
    if [ "$action" = history ]; then
        check_readable
        say "fact previous $(former_releases | sed -n 1p)"
        ls -1t releases >"$work/releases" 2>/dev/null
        while IFS= read -r release; do
            [ -x "releases/$release" ] || refuse unreadable "$folder/releases/$release"
            [ ! -f "releases/$release/release.json" ] || say "kept $release $(record "$release")"
        done <"$work/releases"
        tail -n 50 releases/.log 2>/dev/null | say_lines attempt
        end ok
    fi
    find_docker
    project=$(field project "releases/$current/release.json") found_ids='' found_project=''
    [ -n "$current" ] || look_for_found
    project=${project:-$found_project}
    [ "$action" = status ] || { show_use && end ok; }
    [ -z "$found_ids" ] || say "differs found"
    [ -n "$found_ids" ] || [ -f docker-compose.yml ] || [ -n "$current" ] || [ -e .hold ] || refuse nothing "$(tail -n 1 releases/.log 2>/dev/null)"
    [ -n "$current" ] && [ -f "releases/$current/release.json" ] && say "release $(record "$current")"
    say "fact hold $(held_by)"
    [ ! -f .lock ] || flock -sn .lock true 2>/dev/null || say "fact lock $(lock_holder .lock)"
    if [ -s releases/.former/broken ]; then
        say "differs broken"
        say "fact broken $(first_line releases/.former/broken)"
    elif [ -d releases/.former ]; then
        say "differs unfinished"
    fi
    say "fact since $(sed -n 's/^\([^|]*\)|.*|ok$/\1/p' releases/.log 2>/dev/null | tail -n 1)"
    compare
    show_containers
    end ok
}

# A file that this user may not read may be in use.
check_readable() {
    for name in releases .env; do
        [ ! -e "$name" ] || [ -r "$name" ] || refuse unreadable "$folder/$name"
    done
}

# Tags and digests of the images that other services of kept releases run: they may be versions of this image.
companions_in_use() {
    for name in releases/*/release.json; do
        companions=$(field companions "$name")
        for companion in $companions; do
            image=${companion#*=}
            image=${image%%=*}
            printf '%s\n%s\n' "${image##*:}" "${companion##*@}"
        done
    done
}

# Versions that are kept, that the next manual `up -d` would start, or that have containers.
show_use() {
    images=$(images_in_use 2>"$work/out") || refuse_docker
    check_readable
    {
        ls -1 releases 2>/dev/null
        sed -n 's/^VERSION=//p' .env 2>/dev/null | tr -d "\"'\r"
        companions_in_use
        cat releases/found-*/.images 2>/dev/null | sed 's/.*|//; s/@.*//; s/.*://'
        printf '%s\n' "$images" | sed 's/@.*//; s/.*://'
    } | say_lines use
}

modes() {
    printf '%s\n' "$1" | kinds | sort
}

# Whether a path has the content and modes of the current release.
same() {
    diff -r "./$1" "releases/$current/$1" >/dev/null 2>&1 &&
        [ "$(modes "$1")" = "$(cd "releases/$current" && modes "$1")" ]
}

# Files that were edited since the deploy.
compare() {
    [ -d "releases/$current" ] && [ -n "$current" ] || return 0
    {
        printf '%s\n' docker-compose.yml .env
        cat "releases/$current/.units" 2>/dev/null
    } | while IFS= read -r name; do
        # A service from before the first release may have none of them.
        [ -e "./$name" ] || [ -e "releases/$current/$name" ] || continue
        same "$name" || say "differs $name"
    done
}

show_containers() {
    list=$(containers 2>"$work/out") || refuse_docker
    [ -n "$list" ] || say "differs down"
    record=releases/$current/release.json
    image=$(field image "$record") digest=$(field digest "$record")
    [ -z "$digest" ] || wanted=$(dock image inspect -f '{{.Id}}' "$image@$digest" 2>/dev/null)
    while IFS='|' read -r service name status exit restarts health policy pid started runs reference ports; do
        [ -n "$service" ] || continue
        say "container $service|$status|$health|$started|$restarts|$exit|$reference|$runs"
        if [ "$service" = "$code" ] && [ -n "$digest" ] && [ "$runs" != "$wanted" ]; then say "differs image"; fi
    done <<LIST
$list
LIST
}

report
