#!/bin/sh
# The containers of the releases before and after a switch: which go, which come back, and under which name. Expects common.sh and
# health.sh, and from deploy.sh: former, services, unchanged.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# Into the journal: one line for each container that there is, ID|NAME|SERVICE|IMAGE ID|IMAGE.
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

# The lines of those whose service only the release before had. What an operator started beside it is not among them.
dropped() {
    [ -s "$former/containers" ] || return 0
    had=$(field services "releases/$(sed -n 1p "$former/current" 2>/dev/null)/release.json")
    while IFS='|' read -r container name service _; do
        case " $services " in *" $service "*) continue ;; esac
        case " $had " in *" $service "*) echo "$container|$name|$service" ;; esac
    done <"$former/containers"
}

# They free their ports and names for what comes now, and wait for it to be well.
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

# Before the former release starts: what the failed one started goes, but where Compose is to replace it; names and images are what
# they were.
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

# Whether it took the place of one that is gone: a service that the former release has, and none of whose containers is left.
replaceable() {
    case " $services " in *" $service "*) ;; *) return 1 ;; esac
    ! cut -d'|' -f1,3 "$work/now" | grep -Fx -e "$(cut -d'|' -f1,3 "$former/containers")" | grep -q "|$service\$" || return 1
    [ "$(grep -c "^[^|]*|$name|" "$former/containers")" = 0 ] || grep -q "^[^|]*|$name|$service|" "$former/containers"
}

# tag_images FILE: lets names of images mean again what they meant; each line is ID|NAME.
tag_images() {
    [ -s "$1" ] || return 0
    while IFS='|' read -r image_id name; do
        case $name in sha256:* | *@*) continue ;; esac
        [ "$(dock image inspect -f '{{.Id}}' "$name" 2>/dev/null)" = "$image_id" ] || dock tag "$image_id" "$name" >/dev/null 2>&1 || return 1
    done <"$1"
}

# Compose gives a container that it is about to replace another name for a moment, such as 45ffcca9f14d_web; where it was cut short
# there, or failed, that name stays. What it asked for is what healthy looks at first.
correct_names() {
    [ "$generation" != swarm ] || return 0
    listed=$(containers 2>/dev/null)
    case $listed in *'|/'????????????_*) listed='' ;; *) return 0 ;; esac
    dock ps -a --filter "label=com.docker.compose.project=${project:-$code}" --format '{{.ID}}|{{.Names}}|{{.State}}' >"$work/names" 2>/dev/null
    grep -E '^[^|]*\|[0-9a-f]{12}_' "$work/names" | while IFS='|' read -r container name state; do
        rightful=${name#*_}
        if ! cut -d'|' -f2 "$work/names" | grep -Fqx "$rightful"; then
            dock rename "$container" "$rightful"
        elif [ "$state" != running ]; then
            dock rm "$container"
        fi
    done >/dev/null 2>&1
    return 0
}
