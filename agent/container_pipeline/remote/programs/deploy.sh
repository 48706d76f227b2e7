#!/bin/sh
# Deploys a release, or rolls back to an earlier one. Requires common.sh, health.sh, switch.sh, containers.sh, found.sh, ask.sh and
# pins.sh, and from the agent also: action (deploy or rollback), size (bytes of the payload), image (name without tag), digest, services,
# units (files of the release, one per line), timeout, settle, keep, strategy (recreate or start-first), pull (missing or always); for a
# deploy created (the image's build time, or nothing), keep_newer (yes or no) and override (the reason to go on in spite of a hold, or
# nothing).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

open_folder() {
    (umask 022 && mkdir -p "$folder/releases") 2>"$work/out" || refuse_write
    cd "$folder" || refuse folder "$folder"
    stage=$private/release
    { { [ ! -e "$private" ] || rm -rf "$private"; } && mkdir "$private" "$stage"; } 2>"$work/out" || refuse_write
}

# take BYTES: reads exactly that many bytes of stdin.
take() {
    if dd count=0 iflag=fullblock,count_bytes </dev/null >/dev/null 2>&1; then
        dd bs=65536 count="$1" iflag=fullblock,count_bytes 2>/dev/null
    else
        dd bs=1 count="$1" 2>/dev/null
    fi
}

receive() {
    take "$size" | tar -xpof - -C "$stage" 2>"$work/out" || refuse_write
    [ -f "$stage/.env.v1" ] || return 0
    if [ "$generation" = v1 ]; then mv -f "$stage/.env.v1" "$stage/.env"; else rm -f "$stage/.env.v1"; fi
}

# Prepares an earlier release from its kept files; without a version, the previous one.
choose_release() {
    if [ -z "$version" ]; then
        version=$(former_releases | sed -n 1p)
        [ -n "$version" ] || refuse no-former "$(list_releases | tr '\n' ' ')"
    fi
    record=releases/$version/release.json
    case $(field digest "$record")$(field found "$record") in
    sha256:* | yes) ;;
    *) refuse no-release "$version $(list_releases | tr '\n' ' ')" ;;
    esac
    # signed: the digests that the agent has verified, where the project has keys.
    case "${signed:+ $signed }" in
    '' | *" $(field digest "$record") "*) ;;
    *) refuse unsigned "$version" ;;
    esac
    cp -Rp "releases/$version/." "$stage/" 2>"$work/out" || refuse_write
    record=$stage/release.json
    image=$(field image "$record") digest=$(field digest "$record")
    units=$(cat "$stage/.units" 2>/dev/null)
    say "fact version $version"
    say "fact digest $digest"
}

# Releases in the order of their deploys, newest first. A folder without a record is not ours.
list_releases() {
    # shellcheck disable=SC2012 # names are versions: no newlines
    ls -1t releases 2>/dev/null | while IFS= read -r release; do
        [ ! -f "releases/$release/release.json" ] || printf '%s\n' "$release"
    done
}

# A rollback needs no resolving: the release's record has everything.
know_release() {
    unchanged=no
    know "$stage/release.json"
    images=$(field images "$stage/release.json")
    [ "$generation" != swarm ] || { ask_swarm && return; }
    name_again
    cmp -s "$stage/docker-compose.yml" docker-compose.yml && cmp -s "$stage/.env" .env && return
    speak
    (cd "$stage" && ask config -q) >"$work/out" 2>&1 || refuse_compose_file
    check_speech
}

# Files may have been added to the folder since the release ran. A service from before the first release is kept unchanged.
name_again() {
    [ -n "$project" ] || name_project
    [ -z "$digest" ] || write_names
}

# Looks for the image, and in the same call for those that the other services of release $record run, or without it of the running one,
# while the files still arrive; find_image waits for the result. Files are read there, too: a disk that hangs would keep this program
# from watch_connection, without which watch_over ends nothing.
ask_for_image() {
    {
        pins=$(pins_of "${record:-$folder/releases/$(first_line "$folder/releases/.current")/release.json}")
        # shellcheck disable=SC2086 # a list of images
        dock image inspect -f '{{.Id}} {{.RepoTags}}{{println}}{{.RepoDigests}}{{println}}{{with .Config.Labels}}{{json (index . "org.opencontainers.image.created")}}{{end}}' \
            "$image@$digest" $pins >"$work/found" 2>"$work/not-found"
    } &
    asked=$!
}

find_image() {
    wait "$asked"
    found='' label=''
    while IFS= read -r tags && IFS= read -r digests && IFS= read -r age; do
        case $digests in *"@$digest]"* | *"@$digest "*) found=$tags label=$age && return ;; esac
    done <"$work/found"
    return 1
}

get_image() {
    id='' pulled=no
    if [ -n "$digest" ] && ! find_image; then
        mv "$work/not-found" "$work/out"
        check_reachable
        step pull
        long yes dock ${login:+--config "$login"} pull "$image@$digest" || refuse_pull "$image@$digest"
        pulled=yes
        ask_for_image
        find_image || { mv "$work/not-found" "$work/out" && refuse_docker; }
    fi
    id=${found%% *}
    get_other_images
}

# With $keep_newer, ends if the current release was built later. An unknown build time decides nothing.
heed_newer() {
    [ "$keep_newer" = yes ] || return 0
    running=$(current_release)
    built=$(field created "releases/$running/release.json")
    # These texts sort by time, and an empty one sorts first.
    expr "x$built" '>' "x$created" >/dev/null || return 0
    [ "$pulled" = no ] || dock rmi "$image@$digest" >/dev/null 2>&1
    end overtaken "$running" "$built"
}

# Reads the build time from the image if the agent does not know it, and adds it to the record.
learn_age() {
    created=${label#\"}
    created=${created%\"}
    created=${created%Z}
    created=${created%%.*}Z
    case $created in
    [12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]Z) ;;
    *) created='' && return ;;
    esac
    heed_newer
    { sed "s|}\$|, \"created\": \"$created\"}|" "$stage/release.json" >"$stage/.record" && mv "$stage/.record" "$stage/release.json"; } 2>"$work/out" || refuse_write
}

# refuse_pull NAME: ends with the reason why the image could not be pulled.
refuse_pull() {
    [ "$lost" = no ] || end stopped connection
    tell "$work/out"
    case $(tr '[:upper:]' '[:lower:]' <"$work/out") in
    *unauthorized* | *"no basic auth"* | *denied*) refuse pull-login "$1" ;;
    *"manifest unknown"* | *"not found"*) refuse pull-missing "$1" ;;
    *"no space left"*) refuse disk Docker ;;
    esac
    refuse pull "$1 $(last_line "$work/out")"
}

# Starts the previous release again, or nothing if there was none. Sets $bad on failure.
# Whether nothing ran in the folder before this deploy.
first_deploy() {
    [ ! -s "$former/current" ] && grep -Fqx docker-compose.yml "$former/absent" 2>/dev/null
}

restore() {
    bad=''
    if first_deploy; then
        know "$former/release.json"
        [ ! -f docker-compose.yml ] || insist long no compose down || bad="${bad:-down $(last_line "$work/out")}"
        restore_files || bad=${bad:-$unrestored}
        [ -n "$bad" ] || close_journal
        return
    fi
    await_engine || bad=docker
    restore_files || true
    [ -z "$bad" ] || return
    know_current
    restore_containers
    if insist run_former; then
        [ -n "$unrestored" ] || close_journal
    elif [ "$started" = no ]; then
        bad=${bad:-start $(last_line "$work/out")}
        tell "$work/out"
    else
        show_log
    fi
    # Healthy or not, this is not the previous release.
    bad=${unrestored:-$bad}
}

run_former() {
    started=no
    start || return
    started=yes
    healthy
}

start() {
    long no compose up -d ${recreate:+"$recreate"} || return
    correct_names
}

# Whether the new container can start beside the old one ($old), which is removed once the new one is healthy. That is impossible
# with a fixed name, which a deploy has removed but an earlier release may have, or if nothing runs yet.
start_beside() {
    old=''
    [ "$strategy" = start-first ] || return 1
    [ "$action" = rollback ] && grep -Eq '^[[:space:]]*container_name:' docker-compose.yml || old=$(service_containers)
    [ -n "$old" ]
}

service_containers() {
    dock ps --filter "label=com.docker.compose.project=${project:-$code}" --filter "label=com.docker.compose.service=$code" --format '{{.Names}}' | tr '\n' ' '
}

start_new() {
    start_beside || { start; return; }
    count=$(echo "$old" | wc -w)
    ignored=$old
    long no compose up -d --no-deps --no-recreate --scale "$code=$((count * 2))" "$code"
}

# After success: removes the old containers, and starts the release's other changes.
retire_old() {
    [ -n "$old" ] || return 0
    [ -z "${drain-}" ] || drain_old || return
    step retire
    ignored=''
    # shellcheck disable=SC2086 # a list of names
    long no dock stop $old && dock rm $old >>"$work/out" 2>&1 && start_others && healthy "$id"
}

# The new container is not restarted, which would cause the gap.
start_others() {
    # shellcheck disable=SC2086 # a list of names
    [ -z "$others" ] || long no compose up -d --no-deps ${recreate:+"$recreate"} $others || return
    long no compose up -d
}

# Returns to the old containers, which never stopped.
remove_new() {
    for name in $(service_containers); do
        case " $old" in *" $name "*) ;; *) dock rm -f "$name" >/dev/null 2>&1 ;; esac
    done
    ignored=''
}

go_back() {
    reason=$1
    IFS=$blanks
    if first_deploy; then step takedown; else step back; fi
    # From here on, nothing may end it, not even a lost connection.
    lost=no
    trap '' TERM HUP INT
    # Restore the files that the old containers, which never stopped, have mounted.
    [ -z "$ignored" ] || { remove_new && recreate=''; }
    restore
    clean_image
    log_attempt "failed $reason${bad:+|$bad}"
    [ -z "$bad" ] || { note_broken && end broken "$(runs_there)|$(current_release)|$reason|$bad"; }
    if [ -s releases/.current ] || [ -f docker-compose.yml ]; then end rolled-back "$reason|$(current_release)"; fi
    end taken-down "$reason"
}

# For status and doctor, until the repair, which removes the journal and this file.
note_broken() {
    printf 'broken %s|%s\n' "$reason" "$bad" 2>/dev/null >"$former/broken" || true
}

# Whether the service's containers run now: prints runs, down, or nothing if Docker does not respond.
runs_there() {
    [ "$bad" != docker ] && list=$(containers 2>/dev/null) || return 0
    if printf '%s\n' "$list" | grep -v '|unhealthy|' | grep -Eq "^$code\|[^|]*\|(running\||[1-9][0-9]*/)"; then echo runs; else echo down; fi
}

# Removes the image of a failed version. If a kept release has that version, the tag names its image again.
clean_image() {
    if [ ! -d "releases/$version" ]; then
        dock rmi "$image:$version" >/dev/null 2>&1
    elif [ "$pulled" = yes ]; then
        forget "$image" "$digest"
    fi
}

# forget IMAGE DIGEST: removes an image that has lost its tag, unless a kept release names it.
forget() {
    [ -n "$2" ] || return 0
    for kept_record in releases/*/release.json; do
        [ "$(field digest "$kept_record")" != "$2" ] || return 0
    done
    needed_beside "$1" none "$2" || dock rmi "$1@$2" >/dev/null 2>&1
}

# Repairs the switch of an earlier run that was killed.
recover() {
    for left in releases/.incoming.*; do
        case ${left#releases/.incoming.} in '' | *[!0-9]*) continue ;; esac
        [ -d "/proc/${left#releases/.incoming.}" ] || { remove_throwaway "$left" && rm -rf "$left"; }
    done
    [ -d "$former" ] || return 0
    say "recovered$([ ! -s "$former/broken" ] || echo ' broken')"
    step recover
    keep_services=$services recreate=''
    # Containers may have been started since, with mounts of files that are replaced now.
    [ "$(grep -Fvcx "./$pinned_file" "$former/names")" -le 2 ] || recreate=--force-recreate
    restore
    # The new release repairs the rest; or it fails, and says so.
    [ "$bad" != docker ] || refuse frozen
    [ -z "$unrestored" ] || { mv "$work/unrestored" "$work/out" && refuse_write; }
    [ ! -d "$former" ] || close_journal
    services=$keep_services
}

keep_release() {
    step keep
    replaced=''
    # Everything that needs disk space comes first.
    note_current 2>"$work/out" || go_back "keep $(last_line "$work/out")"
    if [ "$action" = deploy ]; then
        replaced=$(field digest "releases/$version/release.json") replaced_image=$(field image "releases/$version/release.json")
        if [ -d "releases/$version" ]; then mv "releases/$version" "$private/old"; fi
        mv "$stage" "releases/$version"
        touch "releases/$version"
        rm -rf "$private/old"
    elif ! cmp -s .env "releases/$version/.env"; then
        { cp -p .env "$private/env" && mv -f "$private/env" "releases/$version/.env"; } 2>/dev/null
    fi
    mv -f "$private/current" releases/.current
    remove_dropped
    close_journal
    names_pins || [ ! -e "$pinned_file" ] || rm -f "$pinned_file"
    log_attempt "ok${unverified:+ unverified $unverified}"
    [ "$replaced" = "$digest" ] || forget "${replaced_image:-$image}" "$replaced"
    set -- releases/*/
    [ "$#" -gt "$keep" ] || return 0
    by_worth | sed "1,${keep}d" | while IFS= read -r release; do
        name=$(field image "releases/$release/release.json") old=$(field digest "releases/$release/release.json")
        rm -rf "releases/${release:?}"
        [ -z "$name" ] || needed_beside "$name" "$release" "$old" || dock rmi "$name:$release" </dev/null >/dev/null 2>&1
    done
}

# All releases, those first that are kept longest. A service from before the first release is removed last, except for the current one.
by_worth() {
    echo "$version"
    list_releases | grep '^found-' | grep -Fvx "$version"
    { former_releases && list_releases | grep -Fvxf releases/.current; } | grep -v '^found-'
}

note_current() {
    # shellcheck disable=SC2016 # awk's variables
    those='$0 "" != version'
    if [ "$action" = rollback ] && grep -Fqx "$version" releases/.current; then
        # shellcheck disable=SC2016 # awk's variables
        those='below; $0 "" == version { below = 1 }'
    fi
    (umask 022 && { echo "$version" && ran_before; } >"$private/current") && sync "$private/current"
}

ran_before() {
    { current_release; former_releases; } | awk -v version="$version" "$those"
}

deploy() {
    say hello
    make_work
    find_docker
    step check
    [ "$action" = rollback ] || ask_for_image
    await_go
    open_folder
    [ "$action" = rollback ] || receive
    watch_connection
    take_lock
    [ "$action" = rollback ] || heed_hold
    recover
    say "fact former $(current_release)"
    say "fact former_commit $(field commit "releases/$(current_release)/release.json")"
    find_found
    if [ "$action" = deploy ]; then
        pulled=no
        [ -z "$created" ] || heed_newer
        ask_compose
    else
        choose_release
        [ -z "$digest" ] || ask_for_image
        know_release
    fi
    get_image
    [ "$action" = rollback ] || complete_release
    [ "$action" = rollback ] || [ -n "$created" ] || learn_age
    [ "$lost" = no ] || end stopped connection
    [ -z "${check_path-}" ] || find_asker
    [ -z "${release_program-}" ] || release_early
    keep_found
    switch
    [ -z "${release_program-}" ] || release_late || go_back "$bad"
    step start
    park_dropped
    if ! start_new; then
        tell "$work/out"
        refuse_mute
        go_back "start $(last_line "$work/out")"
    fi
    step health
    if ! { healthy "$id" && { [ -z "${check_path-}" ] || checked; }; }; then
        show_log
        go_back "$bad"
    fi
    retire_old || go_back "${bad:-start $(last_line "$work/out")}"
    keep_release
    end ok "$version" "$digest"
}

deploy
