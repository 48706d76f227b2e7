#!/bin/sh
# Deploys a release, or goes back to an earlier one. Expects common.sh, health.sh, switch.sh, containers.sh, found.sh and ask.sh, and from the agent also: action (deploy or
# rollback), size (bytes of the payload), image (name without tag), digest, services, units (files that the release brings, one a
# line), timeout, settle, keep, strategy (recreate or start-first).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

open_folder() {
    (umask 022 && mkdir -p "$folder/releases") 2>"$work/out" || refuse_write
    cd "$folder" || refuse folder "$folder"
    stage=$private/release
    { { [ ! -e "$private" ] || rm -rf "$private"; } && mkdir "$private" "$stage"; } 2>"$work/out" || refuse_write
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
    [ -f "$stage/.env.v1" ] || return 0
    if [ "$generation" = v1 ]; then mv -f "$stage/.env.v1" "$stage/.env"; else rm -f "$stage/.env.v1"; fi
}

# An earlier release, taken from where it is kept; without a version the one that ran before the current one.
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
    cp -Rp "releases/$version/." "$stage/" 2>"$work/out" || refuse_write
    record=$stage/release.json
    image=$(field image "$record") digest=$(field digest "$record")
    units=$(cat "$stage/.units" 2>/dev/null)
    say "fact version $version"
    say "fact digest $digest"
}

# Those that ran before the current one and are kept, latest first.
former_releases() {
    sed 1d releases/.current 2>/dev/null | while IFS= read -r release; do
        [ ! -d "releases/$release" ] || echo "$release"
    done
}

# Newest first: the order in which they were deployed. Whatever has no record is somebody else's.
list_releases() {
    # shellcheck disable=SC2012 # names are versions: no newlines
    ls -1t releases 2>/dev/null | while IFS= read -r release; do
        [ ! -f "releases/$release/release.json" ] || printf '%s\n' "$release"
    done
}

# A rollback asks nobody: the release's record says what it is.
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

# Files may have come into the folder since the release ran here. What was found here before the first one stays as it was.
name_again() {
    [ -n "$project" ] || name_project
    [ -z "$digest" ] || write_names
}

# Asked for while the files are still on their way; find_image waits for the answer.
ask_for_image() {
    dock image inspect -f '{{.Id}} {{.RepoTags}}' "$image@$digest" >"$work/found" 2>"$work/not-found" &
    asked=$!
}

find_image() {
    wait "$asked"
    found=$(cat "$work/found")
    [ -n "$found" ]
}

get_image() {
    id=''
    [ -n "$digest" ] || { get_other_images && return; }
    if ! find_image; then
        mv "$work/not-found" "$work/out"
        check_reachable
        step pull
        long yes dock ${login:+--config "$login"} pull -q "$image@$digest" || refuse_pull "$image@$digest"
        ask_for_image
        find_image || { mv "$work/not-found" "$work/out" && refuse_docker; }
    fi
    id=${found%% *}
    get_other_images
}

# refuse_pull NAME: why that image could not be pulled.
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

# Those of the other services: up would fetch them when the old containers are stopped already.
get_other_images() {
    others=$(for service in $services; do [ "$service" = "$code" ] && [ -n "$digest" ] || printf '%s ' "$service"; done)
    [ -n "$others" ] || return 0
    if [ "$action" = rollback ]; then
        # A release that ran here once has the images that it had.
        if [ -n "$(field files "$stage/release.json")" ] && tag_images "$stage/.images" && have_images; then return; fi
    elif [ -z "$images" ]; then
        # All run the release's own image, which must not be pulled by its tag: that may have moved.
        return
    fi
    step pull
    # shellcheck disable=SC2086 # a list of names
    { cd "$stage" && long yes compose pull -q $others; } || { have_images && missing=''; refuse_pull "${missing:-$others}"; }
    cd "$folder" || refuse folder "$folder"
    have_images || refuse pull-missing "$missing"
    [ -z "$digest" ] || { ask_for_image && find_image; } || { mv "$work/not-found" "$work/out" && refuse_docker; }
}

have_images() {
    for missing in $images; do
        dock image inspect "$missing" >/dev/null 2>&1 || return 1
    done
}

# The former release runs again, or nothing where there was none. Sets $bad where that fails.
restore() {
    bad=''
    if [ ! -s "$former/current" ] && grep -Fqx docker-compose.yml "$former/absent" 2>/dev/null; then
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
    # Healthy or not: this is not the former release.
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

# Whether the new container can come up beside the old one ($old), which goes when the new one is well. For one that has a fixed
# name, or where nothing runs yet, that cannot be.
start_beside() {
    old=''
    [ "$strategy" = start-first ] || return 1
    grep -Eq '^[[:space:]]*container_name:' docker-compose.yml || old=$(service_containers)
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

# All is well: the old containers go, and what else the release changes is started.
retire_old() {
    [ -n "$old" ] || return 0
    step retire
    ignored=''
    # shellcheck disable=SC2086 # a list of names
    long no dock stop $old && dock rm $old >>"$work/out" 2>&1 && start_others && healthy "$id"
}

# The new container is not started anew: that would be the gap.
start_others() {
    # shellcheck disable=SC2086 # a list of names
    [ -z "$others" ] || long no compose up -d --no-deps ${recreate:+"$recreate"} $others || return
    long no compose up -d
}

# Back to the old ones, which never stopped.
remove_new() {
    for name in $(service_containers); do
        case " $old" in *" $name "*) ;; *) dock rm -f "$name" >/dev/null 2>&1 ;; esac
    done
    ignored=''
}

go_back() {
    reason=$1
    IFS=$blanks
    step back
    # Nothing may end it any more: not even that nobody listens.
    lost=no
    trap '' TERM HUP INT
    # Files are back where the old containers, which never stopped, have them mounted.
    [ -z "$ignored" ] || { remove_new && recreate=''; }
    restore
    clean_image
    log_attempt "failed $reason"
    [ -z "$bad" ] || { note_broken && end broken "$(runs_there)|$(current_release)|$reason|$bad"; }
    if [ -s releases/.current ] || [ -f docker-compose.yml ]; then end rolled-back "$reason|$(current_release)"; fi
    end taken-down "$reason"
}

# For status and doctor, until it is repaired: the journal goes then, and this with it.
note_broken() {
    echo broken >"$former/broken" 2>/dev/null || true
}

# Whether the service's own containers run now: runs, down, or nothing where Docker does not answer.
runs_there() {
    [ "$bad" != docker ] && list=$(containers 2>/dev/null) || return 0
    if printf '%s\n' "$list" | grep -v '|unhealthy|' | grep -Eq "^$code\|[^|]*\|(running\||[1-9][0-9]*/)"; then echo runs; else echo down; fi
}

# The image of a version that failed, unless a release that is kept is of the same version.
clean_image() {
    [ -d "releases/$version" ] || dock rmi "$image:$version" >/dev/null 2>&1
}

log_attempt() {
    (umask 022 && printf '%s|%s|%s|%s|%s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$who" "$action" "$version" "$1" >>releases/.log) 2>/dev/null
}

# A run before this one was killed in the middle of its switch.
recover() {
    for left in releases/.incoming.*; do
        case ${left#releases/.incoming.} in '' | *[!0-9]*) continue ;; esac
        [ -d "/proc/${left#releases/.incoming.}" ] || rm -rf "$left"
    done
    [ -d "$former" ] || return 0
    say recovered
    step recover
    keep_services=$services recreate=''
    # Containers may have been started since, and have mounted what goes now.
    [ "$(wc -l <"$former/names")" -le 2 ] || recreate=--force-recreate
    restore
    # What could not be put right is put right by the release that comes now; or it fails, and says so.
    [ "$bad" != docker ] || refuse frozen
    [ -z "$unrestored" ] || { mv "$work/unrestored" "$work/out" && refuse_write; }
    [ ! -d "$former" ] || close_journal
    services=$keep_services
}

keep_release() {
    step keep
    # All that needs room on the disk first.
    note_current 2>"$work/out" || go_back "keep $(last_line "$work/out")"
    if [ "$action" = deploy ]; then
        if [ -d "releases/$version" ]; then mv "releases/$version" "$private/old"; fi
        mv "$stage" "releases/$version"
        touch "releases/$version"
        rm -rf "$private/old"
    elif ! cmp -s .env "releases/$version/.env"; then
        { cp -p .env "$private/env" && mv -f "$private/env" "releases/$version/.env"; } 2>/dev/null
    fi
    mv -f releases/.current.new releases/.current
    remove_dropped
    close_journal
    log_attempt ok
    set -- releases/*/
    [ "$#" -gt "$keep" ] || return 0
    by_worth | sed "1,${keep}d" | while IFS= read -r release; do
        name=$(field image "releases/$release/release.json")
        rm -rf "releases/${release:?}"
        [ -z "$name" ] || dock rmi "$name:$release" </dev/null >/dev/null 2>&1
    done
}

# All releases, those first that are kept longest. What was found here before the first one is the last to go but for what runs.
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
    (umask 022 && { echo "$version" && ran_before; } >releases/.current.new) && sync releases/.current.new
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
    open_folder
    [ "$action" = rollback ] || receive
    watch_connection
    take_lock
    recover
    say "fact former $(current_release)"
    find_found
    if [ "$action" = deploy ]; then
        ask_compose
    else
        choose_release
        [ -z "$digest" ] || ask_for_image
        know_release
    fi
    get_image
    [ "$lost" = no ] || end stopped connection
    keep_found
    switch
    step start
    park_dropped
    if ! start_new; then
        tell "$work/out"
        go_back "start $(last_line "$work/out")"
    fi
    step health
    if ! healthy "$id"; then
        show_log
        go_back "$bad"
    fi
    retire_old || go_back "${bad:-start $(last_line "$work/out")}"
    keep_release
    end ok "$version" "$digest"
}

deploy
