#!/bin/sh
# Deploys a release, or goes back to an earlier one. Expects common.sh and health.sh, and from the agent also: action (deploy or
# rollback), size (bytes of the payload), image (name without tag), digest, services, units (files that the release brings, one a
# line), timeout, settle, keep.
#
# What may be left behind by a run that was killed: releases/.incoming.PID (never used again) and releases/.former. The latter is
# the journal of a switch: it appears whole, by one rename, before the first live file changes, and goes by one rename when all is
# well again. Whoever finds it puts back what it holds.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

former=releases/.former

open_folder() {
    (umask 022 && mkdir -p "$folder/releases") 2>"$work/out" || refuse_write
    cd "$folder" || refuse folder "$folder"
    stage=$folder/releases/.incoming.$$
    { rm -rf "$stage" && mkdir "$stage"; } 2>"$work/out" || refuse_write
}

# take BYTES: exactly so many of stdin, not one more.
take() {
    if dd count=0 iflag=fullblock,count_bytes </dev/null >/dev/null 2>&1; then
        dd bs=65536 count="$1" iflag=fullblock,count_bytes 2>/dev/null
    else
        dd bs=1 count="$1" 2>/dev/null
    fi
}

receive() {
    take "$size" | tar -xpof - -C "$stage" 2>"$work/out" || refuse_write
    if [ "$generation" = v1 ] && [ -f "$stage/.env.v1" ]; then
        mv -f "$stage/.env.v1" "$stage/.env"
    fi
    rm -f "$stage/.env.v1"
}

# An earlier release, taken from where it is kept; without a version the one before the current one.
choose_release() {
    current=$(cat releases/.current 2>/dev/null)
    if [ -z "$version" ]; then
        version=$(list_releases | sed -n "/^$current\$/,\$p" | sed -n 2p)
        [ -n "$version" ] || refuse no-former "$(list_releases | tr '\n' ' ')"
    fi
    [ -f "releases/$version/release.json" ] || refuse no-release "$version $(list_releases | tr '\n' ' ')"
    cp -Rp "releases/$version/." "$stage/" 2>"$work/out" || refuse_write
    image=$(field image) digest=$(field digest) services=$(field services)
    units=$(cat "$stage/.units" 2>/dev/null)
    say "fact version $version"
    say "fact digest $digest"
}

# field NAME: of the release's record, which the agent wrote on one line.
field() {
    sed -n "s/.*\"$1\": \"\\([^\"]*\\)\".*/\\1/p" "$stage/release.json"
}

# Newest first: the order in which they were deployed.
list_releases() {
    # shellcheck disable=SC2012 # names are versions: no blanks, no newlines
    ls -1t releases 2>/dev/null
}

check_compose_file() {
    if cmp -s "$stage/docker-compose.yml" docker-compose.yml && cmp -s "$stage/.env" .env && [ -f releases/.current ]; then
        return
    fi
    if ! (cd "$stage" && compose -p "$code" config -q) >"$work/out" 2>&1; then
        check_reachable
        tell "$work/out"
        refuse compose-file "$(last_line "$work/out")"
    fi
}

get_image() {
    found=$(dock image inspect -f '{{.Id}} {{.RepoTags}}' "$image@$digest" 2>"$work/out")
    if [ -z "$found" ]; then
        check_reachable
        step pull
        long yes dock ${login:+--config "$login"} pull -q "$image@$digest" || refuse_pull
        found=$(dock image inspect -f '{{.Id}} {{.RepoTags}}' "$image@$digest" 2>"$work/out") || refuse docker "$(last_line "$work/out")"
    fi
    id=${found%% *}
    get_other_images
}

refuse_pull() {
    [ "$lost" = no ] || end stopped connection
    tell "$work/out"
    case $(tr '[:upper:]' '[:lower:]' <"$work/out") in
    *unauthorized* | *"no basic auth"* | *denied*) refuse pull-login "$image" ;;
    *"manifest unknown"* | *"not found"*) refuse pull-missing "$image@$digest" ;;
    *"no space left"*) refuse disk Docker ;;
    esac
    refuse pull "$(last_line "$work/out")"
}

# Those of the other services: up would fetch them when the old containers are stopped already.
get_other_images() {
    others=$(for service in $services; do [ "$service" = "$code" ] || printf '%s ' "$service"; done)
    [ -n "$others" ] || return 0
    step pull
    # shellcheck disable=SC2086 # a list of names
    { cd "$stage" && long yes compose -p "$code" pull -q $others; } || refuse_pull
    cd "$folder" || refuse folder "$folder"
}

# Whether the new one brings other files than those that are there: Compose does not see what is in them.
units_differ() {
    IFS=$newline
    for unit in $units; do
        if ! diff -r "$stage/$unit" "$unit" >/dev/null 2>&1; then IFS=$blanks && return 0; fi
    done
    IFS=$blanks
    return 1
}

switch() {
    step switch
    # All that needs room on the disk is done before the first rename.
    note_former 2>"$work/out" || refuse_write
    recreate=''
    if [ -f docker-compose.yml ] && units_differ; then recreate=--force-recreate; fi
    if ! { mv "$stage.former" "$former" && put_files && tag_image; } 2>"$work/out"; then
        go_back "switch $(last_line "$work/out")"
    fi
}

# The journal, and a second copy of the new files, on the same disk.
note_former() {
    rm -rf "$stage.live" "$stage.former"
    [ -z "$units" ] || printf '%s\n' "$units" >"$stage/.units" || return 1
    cp -Rp "$stage" "$stage.live" && mkdir -p "$stage.former/tree" || return 1
    printf '%s\n' docker-compose.yml .env ${units:+"$units"} >"$stage.former/names" || return 1
    cat releases/.current >"$stage.former/current" 2>/dev/null
    dock image inspect -f '{{.Id}}' "$image:$version" >"$stage.former/image" 2>/dev/null
    echo "$image:$version" >>"$stage.former/image" || return 1
    for name in docker-compose.yml .env; do
        [ ! -e "$name" ] || ln "$name" "$stage.former/tree/$name" 2>/dev/null || cp -p "$name" "$stage.former/tree/$name" || return 1
    done
    while IFS= read -r name; do
        [ -e "$name" ] || echo "$name"
    done <"$stage.former/names" >"$stage.former/absent"
}

put_files() {
    IFS=$newline
    for name in $units; do
        mkdir -p "$(dirname "$name")" "$(dirname "$former/tree/$name")" || return 1
        [ ! -e "$name" ] || mv -f "$name" "$former/tree/$name" || return 1
        mv -f "$stage.live/$name" "$name" || return 1
    done
    IFS=$blanks
    mv -f "$stage.live/docker-compose.yml" "$stage.live/.env" . && rm -rf "$stage.live"
}

# Unless the tag names this image already: $found lists its tags in brackets.
tag_image() {
    case " $(printf %s "${found#* }" | tr '[]' '  ') " in
    *" $image:$version "*) ;;
    *) dock tag "$id" "$image:$version" ;;
    esac
}

# Puts the files back that .former holds, each by one rename; may be done again where it was cut short.
restore_files() {
    while IFS= read -r name; do
        if [ -e "$former/tree/$name" ]; then
            [ ! -d "$name" ] || rm -rf "$name"
            mv -f "$former/tree/$name" "$name"
        elif grep -Fqx "$name" "$former/absent" 2>/dev/null; then
            rm -rf "$name"
        fi
    done <"$former/names"
    if [ "$(wc -l <"$former/image")" -eq 2 ]; then dock tag "$(sed -n 1p "$former/image")" "$(sed -n 2p "$former/image")"; fi
    if [ -s "$former/current" ]; then cp "$former/current" releases/.current; else rm -f releases/.current; fi
}

close_journal() {
    mv "$former" "$stage.done" && rm -rf "$stage.done"
}

# The former release runs again, or nothing where there was none. Sets $bad where that fails.
restore() {
    bad=''
    if grep -Fqx docker-compose.yml "$former/absent" 2>/dev/null; then
        [ ! -f docker-compose.yml ] || long no compose down || bad="down $(last_line "$work/out")"
        restore_files
        [ -n "$bad" ] || close_journal
        return
    fi
    restore_files
    services=$(compose config --services 2>/dev/null | tr '\n' ' ')
    if ! start; then
        bad="start $(last_line "$work/out")"
        tell "$work/out"
    elif healthy; then
        close_journal
    else
        show_log
    fi
}

start() {
    long no compose up -d $recreate
}

go_back() {
    reason=$1
    IFS=$blanks
    step back
    # Nothing may end it any more: not even that nobody listens.
    lost=no
    trap '' TERM HUP INT
    restore
    clean_image
    log_attempt "failed $reason"
    [ -z "$bad" ] || end broken "$reason|$bad"
    if [ -f docker-compose.yml ]; then end rolled-back "$reason|$(cat releases/.current 2>/dev/null)"; fi
    end taken-down "$reason"
}

# The image of a version that failed, unless a release that is kept is of the same version.
clean_image() {
    [ -d "releases/$version" ] || dock rmi "$image:$version" >/dev/null 2>&1
}

log_attempt() {
    (umask 022 && echo "$(date -u +%Y-%m-%dT%H:%M:%SZ)|$who|$action|$version|$1" >>releases/.log) 2>/dev/null
}

# A run before this one was killed in the middle of its switch.
recover() {
    for left in releases/.incoming.*; do
        pid=${left##*/.incoming.}
        kill -0 "${pid%%.*}" 2>/dev/null || rm -rf "$left"
    done
    [ -d "$former" ] || return 0
    say "recovered $(cat "$former/current" 2>/dev/null)"
    step recover
    keep_services=$services recreate=''
    restore
    # What could not be put right is put right by the release that comes now; or it fails, and says so.
    [ ! -d "$former" ] || close_journal
    services=$keep_services
}

keep_release() {
    step keep
    if [ "$action" = deploy ]; then
        if [ -d "releases/$version" ]; then mv "releases/$version" "$stage.old"; fi
        mv "$stage" "releases/$version"
        touch "releases/$version"
        rm -rf "$stage.old"
    fi
    (umask 022 && echo "$version" >releases/.current.new) && mv -f releases/.current.new releases/.current
    close_journal
    log_attempt ok
    number=0
    for release in $(list_releases); do
        number=$((number + 1))
        if [ "$number" -gt "$keep" ] && [ "$release" != "$version" ]; then
            name=$(sed -n 's/.*"image": "\([^"]*\)".*/\1/p' "releases/$release/release.json")
            rm -rf "releases/$release"
            [ -z "$name" ] || dock rmi "$name:$release" >/dev/null 2>&1
        fi
    done
}

deploy() {
    say hello
    make_work
    find_docker
    step check
    open_folder
    [ "$action" = rollback ] || receive
    watch_connection
    take_lock
    recover
    [ "$action" = deploy ] || choose_release
    check_compose_file
    get_image
    [ "$lost" = no ] || end stopped connection
    switch
    step start
    if ! start; then
        tell "$work/out"
        go_back "start $(last_line "$work/out")"
    fi
    step health
    if ! healthy "$id"; then
        show_log
        go_back "$bad"
    fi
    keep_release
    end ok "$version"
}

deploy
