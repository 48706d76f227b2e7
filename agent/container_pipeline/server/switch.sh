#!/bin/sh
# The change of the live files, all of it or nothing. Expects common.sh, and from deploy.sh: private, stage, former, units, image,
# version, id, found.
#
# What may be left behind by a run that was killed: releases/.incoming.PID (never used again) and releases/.former. The latter is
# the journal of a switch: it appears whole, by one rename, before the first live file changes, and goes by one rename when all is
# well again. Whoever finds it puts back what it holds.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

former=releases/.former

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
    if ! { mv "$private/former" "$former" && put_files && { [ -z "$id" ] || tagged || dock tag "$id" "$image:$version"; }; } 2>"$work/out"; then
        # Nothing has been started yet that has the new files.
        recreate=''
        go_back "switch $(last_line "$work/out")"
    fi
}

# The journal, and a second copy of the new files, on the same disk.
note_former() {
    [ -z "$units" ] || printf '%s\n' "$units" >"$stage/.units" || return 1
    cp -Rp "$stage" "$private/live" && mkdir -p "$private/former/tree" && note_containers || return 1
    printf '%s\n' docker-compose.yml .env ${units:+"$units"} >"$private/former/names" || return 1
    cat releases/.current >"$private/former/current" 2>/dev/null
    [ -z "$id" ] || echo "$image:$version" >"$private/former/tag" || return 1
    # Where the version's tag is about to move: from where.
    [ -z "$id" ] || tagged || dock image inspect -f '{{.Id}}' "$image:$version" >"$private/former/image" 2>/dev/null
    for name in docker-compose.yml .env; do
        [ ! -e "$name" ] || ln "$name" "$private/former/tree/$name" 2>/dev/null || cp -p "$name" "$private/former/tree/$name" || return 1
    done
    while IFS= read -r name; do
        [ -e "$name" ] || echo "$name"
    done <"$private/former/names" >"$private/former/absent" || return 1
    # On the disk, not in memory alone: where power is lost, what the renames are about must be there. (A sync that knows no files
    # takes all.)
    find "$private" -path "$private/former/tree" -prune -o -type f -exec sync {} +
}

put_files() {
    IFS=$newline
    for name in $units; do
        mkdir -p "$(dirname "$name")" "$(dirname "$former/tree/$name")" || return 1
        [ ! -e "$name" ] || mv -f "$name" "$former/tree/$name" || return 1
        mv -f "$private/live/$name" "$name" || return 1
    done
    IFS=$blanks
    # What was found here may have had none of these.
    for name in docker-compose.yml .env; do
        if [ -e "$private/live/$name" ]; then mv -f "$private/live/$name" . || return 1; else rm -f "$name" || return 1; fi
    done
    rm -rf "$private/live"
}

# Whether the version's tag names this image already: $found lists its tags in brackets.
tagged() {
    case " $(printf %s "${found#* }" | tr '[]' '  ') " in
    *" $image:$version "*) ;;
    *) return 1 ;;
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
    if [ -s "$former/image" ]; then dock tag "$(cat "$former/image")" "$(cat "$former/tag")"; fi
    if [ ! -s "$former/current" ]; then
        rm -f releases/.current
    elif ! cmp -s "$former/current" releases/.current; then
        cp "$former/current" releases/.current
    fi
}

close_journal() {
    mv "$former" "$private/done" && rm -rf "$private/done"
}
