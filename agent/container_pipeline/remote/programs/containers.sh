#!/bin/sh
# The containers of the releases before and after a switch: which are removed, which are restored, and their names. Requires
# common.sh and health.sh, and from deploy.sh: former, services, unchanged.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Journal of existing containers, one per line: ID|NAME|SERVICE|IMAGE ID|IMAGE.
note_containers() {
    [ "$generation" != swarm ] || return 0
    cp "$stage/release.json" "$private/former/release.json" || return 1
    [ "$unchanged" = no ] || return 0
    list_containers >"$private/former/containers"
}

list_containers() {
    ids=$(dock ps -aq --no-trunc --filter "label=com.docker.compose.project=${project:-$code}" --filter label=com.docker.compose.oneoff=False) || return 1
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086 # a list of ids
    dock inspect -f '{{.Id}}|{{slice .Name 1}}|{{index .Config.Labels "com.docker.compose.service"}}|{{.Image}}|{{.Config.Image}}' $ids
}

# Lines of containers whose service only the previous release has, without those that an operator started.
dropped() {
    [ -s "$former/containers" ] || return 0
    had=$(field services "releases/$(first_line "$former/current")/release.json")
    while IFS='|' read -r container name service _; do
        case " $services " in *" $service "*) continue ;; esac
        case " $had " in *" $service "*) echo "$container|$name|$service" ;; esac
    done <"$former/containers"
}

# Stops them, to free ports and names for the new release, and keeps them until that is healthy.
park_dropped() {
    dropped >"$work/dropped"
    while IFS='|' read -r container name service; do
        long no dock stop "$container" && dock rename "$container" "$name.former" >/dev/null 2>&1
    done <"$work/dropped"
}

remove_dropped() {
    [ -s "$work/dropped" ] || return 0
    while IFS='|' read -r container name service; do
        dock rm -f "$container" >/dev/null 2>&1
        say "dropped $service"
    done <"$work/dropped"
}

# Before the previous release starts: removes the failed one's containers, except those that Compose replaces; restores names and
# images.
restore_containers() {
    [ -f "$former/containers" ] || return 0
    list_containers >"$work/now"
    while IFS='|' read -r container name service _; do
        grep -q "^$container|" "$former/containers" || replaceable || dock rm -f "$container" >/dev/null 2>&1
    done <"$work/now"
    while IFS='|' read -r container name _; do
        now=$(sed -n "s/^$container|\([^|]*\)|.*/\1/p" "$work/now")
        [ -z "$now" ] || [ "$now" = "$name" ] || dock rename "$container" "$name" >/dev/null 2>&1
    done <"$former/containers"
    cut -d'|' -f4,5 "$former/containers" | sort -u >"$work/images"
    tag_images "$work/images"
}

# Whether it replaced a removed container: a service of the previous release without any container left.
replaceable() {
    case " $services " in *" $service "*) ;; *) return 1 ;; esac
    ! cut -d'|' -f1,3 "$work/now" | grep -Fx -e "$(cut -d'|' -f1,3 "$former/containers")" | grep -q "|$service\$" || return 1
    [ "$(grep -c "^[^|]*|$name|" "$former/containers")" = 0 ] || grep -q "^[^|]*|$name|$service|" "$former/containers"
}

# tag_images FILE: restores the tags of images; each line is ID|NAME.
tag_images() {
    [ -s "$1" ] || return 0
    while IFS='|' read -r image_id name; do
        case $name in sha256:* | *@*) continue ;; esac
        [ "$(dock image inspect -f '{{.Id}}' "$name" 2>/dev/null)" = "$image_id" ] || dock tag "$image_id" "$name" >/dev/null 2>&1 || return 1
    done <"$1"
}

# Compose temporarily renames a container that it replaces, such as to 45ffcca9f14d_web; if it is interrupted or fails there, that
# name stays. healthy looks at the requested name first.
correct_names() {
    [ "$generation" != swarm ] || return 0
    listed=$(containers 2>/dev/null)
    case $listed in *'|/'????????????_*) listed='' ;; *) return 0 ;; esac
    dock ps -a --filter "label=com.docker.compose.project=${project:-$code}" --format '{{.ID}}|{{.Names}}|{{.Status}}' >"$work/names" 2>/dev/null
    grep -E '^[^|]*\|[0-9a-f]{12}_' "$work/names" | while IFS='|' read -r container name state; do
        rightful=${name#*_}
        if ! cut -d'|' -f2 "$work/names" | grep -Fqx "$rightful"; then
            dock rename "$container" "$rightful"
        else
            # Docker before 20.10 has no State here.
            case $state in Up*) ;; *) dock rm "$container" ;; esac
        fi
    done >/dev/null 2>&1
    return 0
}
