#!/bin/sh
# The images of the other services. A release runs exact images: its record names them, and a Compose file beside docker-compose.yml pins
# them (see docs/architecture.md). Requires common.sh, containers.sh, ask.sh and deploy.sh; from the agent pull (missing or always), and
# from its reply companions (SERVICE=IMAGE for each; here each becomes SERVICE=IMAGE=PIN) and file_version.
#
# A pin is NAME@DIGEST, which can be pulled again. An image that no registry has given a digest, because it was built or loaded on this
# server, is pinned by its id.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

# pins_of RECORD: prints the pins in a release's record.
pins_of() (
    companions=$(field companions "$1")
    for companion in $companions; do echo "${companion##*=}"; done
)

# `up` would pull a missing image only after it stopped the old containers.
get_other_images() {
    others=$(for service in $services; do [ "$service" = "$code" ] && [ -n "$digest" ] || printf '%s ' "$service"; done)
    [ "$generation" != swarm ] || return 0 # each node pulls for itself
    if [ "$action" = rollback ]; then
        companions=$(field companions "$stage/release.json")
        [ -n "$companions" ] || { get_unpinned && return; }
    elif [ "$unchanged" = no ]; then
        choose_pins
        write_pins
    fi
    have_pins || { pull_others "$missing" && have_pins; } || refuse pull-missing "$missing"
}

# An older agent's release, or a service from before the first one, has no pins: it uses the images of its tags.
get_unpinned() {
    [ -n "$others" ] || return 0
    if [ -n "$(field files "$stage/release.json")" ] && tag_images "$stage/.images" && have_images; then return; fi
    ! have_images || missing=''
    absent=$others
    pull_others "$missing"
    have_images || refuse pull-missing "$missing"
}

have_images() {
    for missing in $images; do
        dock image inspect "$missing" >/dev/null 2>&1 || return 1
    done
}

# pull_others NAME: pulls the images of the services in $absent; NAME is for the error. Compose knows their platforms.
pull_others() {
    step pull
    # shellcheck disable=SC2086 # a list of names
    { cd "$stage" && long yes compose pull -q $absent; } || refuse_pull "${1:-$absent}"
    cd "$folder" || refuse folder "$folder"
    # The pull may have moved a tag of the release's own image.
    [ -z "$digest" ] || { ask_for_image && find_image; } || { mv "$work/not-found" "$work/out" && refuse_docker; }
}

# Chooses a pin for each image of $companions, and pulls images that are missing.
choose_pins() {
    [ -n "$companions" ] || return 0
    kept=$(field companions "releases/$(current_release)/release.json")
    : >"$work/runs"
    # What runs without a pin keeps its image, too, even if its tag has moved on this server.
    if [ -z "$kept" ] && [ -n "$(current_release)$found_ids" ]; then list_containers >"$work/runs" 2>"$work/out" || refuse_docker; fi
    choose_each "$pull"
    # Those that had an image keep it, unless all were pulled anew.
    [ "$pull" = missing ] && again=missing || again=pulled
    [ -z "$absent" ] || { pull_others "$missing" && choose_each "$again"; }
    [ -z "$absent" ] || refuse pull-missing "$missing"
    companions=$chosen
}

# choose_each missing|always|pulled: sets $chosen, or $absent, the services without an image, and $missing, one of these images.
choose_each() {
    chosen='' absent='' missing=''
    for companion in $companions; do
        service=${companion%%=*} reference=${companion#*=} pin=''
        choose "$1"
        if [ -n "$pin" ]; then
            chosen="${chosen:+$chosen }$companion=$pin"
        else
            absent="${absent:+$absent }$service" missing=$reference
        fi
    done
}

choose() {
    case $reference in *@*) pin=$reference && return ;; esac
    case " $chosen " in *"=$reference="*) pin=${chosen#*"=$reference="} && pin=${pin%% *} && return ;; esac
    case $1 in
    always) return ;;
    missing)
        case " $kept " in
        # Only a person on this server moves a tag to another image without a digest.
        *"=$reference=sha256:"*) ;;
        *"=$reference="*) pin=${kept#*"=$reference="} && pin=${pin%% *} && return ;;
        esac
        runs=$(awk -F'|' -v service="$service" -v image="$reference" '$3 == service && $5 == image { print $4; exit }' "$work/runs")
        [ -z "$runs" ] || { look "$runs" && return; }
        ;;
    esac
    look "$reference"
}

# look NAME: sets $pin to the pin of an image under the name $reference; false if it is not on this server.
look() {
    shown=$(dock image inspect -f '{{.Id}} {{.RepoDigests}}' "$1" 2>/dev/null) || return 1
    printf '%s\n' "$shown" >>"$work/looked"
    name=$reference
    case ${name##*/} in *:*) name=${name%:*} ;; esac
    digests=${shown#*"["}
    digests=${digests%"]"}
    for known in $digests; do
        # Docker lists Docker Hub's images without its host.
        case $name in "${known%@*}" | docker.io/"${known%@*}" | docker.io/library/"${known%@*}" | library/"${known%@*}") ;; *) continue ;; esac
        pin=${pin:-$known}
        # The same image may have several digests: a pin that changes would replace the container.
        case " $kept " in *"=$known "*) pin=$known ;; esac
    done
    pin=${pin:-${shown%% *}}
}

write_pins() {
    lines=$(for companion in $companions; do
        image_name=${companion#*=}
        image_name=${image_name%%=*}
        [ "${companion##*=}" = "$image_name" ] || printf '  "%s":\n    image: "%s" # %s\n' "${companion%%=*}" "${companion##*=}" "$image_name"
    done)
    [ -n "$lines" ] || return 0
    # Compose v1 wants the version of docker-compose.yml here; only v1 reports it.
    [ -n "$file_version" ] || file_version=$(sed -n "s/^[\"']\{0,1\}version[\"']\{0,1\}[[:space:]]*:[[:space:]]*[\"']\{0,1\}\([0-9.]*\).*/\1/p" "$stage/docker-compose.yml" | head -n 1)
    (
        umask 022
        echo '# Written by container-pipeline: the exact images of this release. CONTAINER_PIPELINE_PULL=always takes newer ones.'
        [ -z "$file_version" ] || printf 'version: "%s"\n' "$file_version"
        printf 'services:\n%s\n' "$lines"
    ) 2>"$work/out" >"$stage/$pinned_file" || refuse_write
    add_pins
}

# Adds the file with the pins to the release.
add_pins() {
    files=$files$newline$pinned_file
    units="${units:+$units$newline}$pinned_file"
}

# Sets $absent to the services whose pinned image is not on this server, and $missing to one of these images.
have_pins() {
    absent='' missing=''
    # What find_image or look has seen needs no further look.
    seen=" $(cat "$work/found" "$work/looked" 2>/dev/null | tr '[]\n' '   ') "
    for companion in $companions; do
        pin=${companion##*=}
        case $seen in *" $pin "*) continue ;; esac
        dock image inspect "$pin" >/dev/null 2>&1 || { absent="${absent:+$absent }${companion%%=*}" && missing=$pin; }
    done
    [ -z "$absent" ]
}

# needed_beside IMAGE VERSION DIGEST: whether another service of a kept release runs this version of the image.
needed_beside() {
    for kept_record in releases/*/release.json; do
        case " $(field companions "$kept_record") " in *"@${3:-none} "* | *"=$1:$2="*) return 0 ;; esac
    done
    return 1
}
