#!/bin/sh
# Changes the live files, all or none. Requires common.sh, and from deploy.sh: private, stage, former, units, image,
# familiar, version, id, found.
#
# A killed run may leave behind releases/.incoming.PID (never used again) and releases/.former. The latter is the journal of a
# switch: one rename creates it, complete, before the first live file changes, and one rename removes it after success. A run that
# finds it restores its content.
# shellcheck disable=SC2034,SC2154 # the parts share their variables

former=releases/.former

# Prints the units, or the topmost missing folder above one; a file in its place must be removed.
tops() {
    while IFS= read -r name; do
        above=$name
        while case $above in */*) ;; *) false ;; esac; do
            above=${above%/*}
            [ -d "./$above" ] || name=$above
        done
        printf '%s\n' "$name"
    done <"$stage/.units" | awk '!seen[$0]++'
}

same_files() {
    cmp -s "$private/list.new" "$private/list.old" || return 1
    while IFS= read -r name; do
        diff -r "$stage/$name" "./$name" >/dev/null 2>&1 || return 1
    done <"$private/list.tops"
}

# Prints the changes of the new units to the live files, no path below another one: "put PATH" for an added, removed or replaced
# path, "mode OLD NEW PATH" for a kept folder. Folders and equal files are kept, because containers may have them mounted.
list_changes() {
    [ -s "$stage/.units" ] || return 0
    tops >"$private/list.tops" || return 1
    kinds <"$private/list.tops" >"$private/list.old"
    (cd "$stage" && kinds) <"$private/list.tops" >"$private/list.new" || return 1
    ! same_files || return 0
    awk '
        { kind = $1 ""; path = substr($0, length(kind) + 2) }
        side == "old" { old[path] = kind; order[++count] = path; next }
        { new[path] = kind }
        index(path, done) == 1 { next }
        kind ~ /^8/ && kind == old[path] { print "compare " path; next }
        kind ~ /^4/ && old[path] ~ /^4/ { if (kind != old[path]) print "mode " old[path] " " kind " " path; next }
        { print "put " path; done = path "/"; replaced[path] = 1 }
        END {
            done = "/"
            for (i = 1; i <= count; i++) {
                path = order[i]
                if (index(path, done) == 1) continue
                if (path in replaced || !(path in new)) done = path "/"
                if (!(path in new)) print "put " path
            }
        }' done=/ side=old "$private/list.old" side=new "$private/list.new" | while IFS= read -r change; do
        name=${change#compare }
        if [ "$change" = "$name" ]; then
            printf '%s\n' "$change" || exit 1
        elif ! cmp -s "$stage/$name" "$name"; then
            printf 'put %s\n' "$name" || exit 1
        fi
    done
}

# Lists the changes of the units in $private/changes.
note_units() {
    [ -z "$units" ] || printf '%s\n' "$units" >"$stage/.units" || return 1
    list_changes >"$private/changes"
}

units_differ() {
    note_units 2>"$work/out" || refuse_write
    [ -s "$private/changes" ]
}

switch() {
    step switch
    # Everything that needs disk space is done before the first rename.
    note_former 2>"$work/out" || refuse_write
    recreate=''
    # Containers have the units mounted, but not the file with the pins.
    if [ -f docker-compose.yml ] && grep -Fqvx "put ./$pinned_file" "$private/changes"; then recreate=--force-recreate; fi
    if ! { mv "$private/former" "$former" && put_files && { [ -z "$id" ] || tagged || dock tag "$id" "$image:$version"; }; } 2>"$work/out"; then
        # Nothing with the new files has been started yet.
        recreate=''
        go_back "switch $(last_line "$work/out")"
    fi
}

# Creates the journal, and a second copy of the new files on the same disk.
note_former() {
    note_units || return 1
    cp -Rp "$stage" "$private/live" && mkdir -p "$private/former/tree" && note_containers || return 1
    { printf '%s\n' docker-compose.yml .env && sed -n 's/^put //p' "$private/changes"; } >"$private/former/names" || return 1
    sed -n 's/^mode //p' "$private/changes" >"$private/former/modes" || return 1
    cat releases/.current >"$private/former/current" 2>/dev/null
    [ -z "$id" ] || echo "$image:$version" >"$private/former/tag" || return 1
    # The current image of the version's tag, if the tag will move.
    [ -z "$id" ] || tagged || note_tag || return 1
    for name in docker-compose.yml .env; do
        [ ! -e "$name" ] || ln "$name" "$private/former/tree/$name" 2>/dev/null || cp -p "$name" "$private/former/tree/$name" || return 1
    done
    while IFS= read -r name; do
        there "$name" || printf '%s\n' "$name"
    done <"$private/former/names" >"$private/former/absent" || return 1
    # Flush to disk before the renames, so that a power loss finds the files there. (A sync without file support flushes everything.)
    find "$private" -path "$private/former/tree" -prune -o -type f -exec sync {} +
}

note_tag() {
    if had=$(dock image inspect -f '{{.Id}}' "$image:$version" 2>"$work/out"); then
        echo "$had" >"$private/former/image"
    else
        # No such image, or an engine that did not respond.
        check_reachable
    fi
}

there() {
    [ -e "$1" ] || [ -L "$1" ]
}

put_files() {
    while IFS= read -r name; do
        case $name in ./*) put "$name" || return 1 ;; esac
    done <"$former/names"
    set_modes new || return 1
    # A service from before the first release may have none of these.
    for name in docker-compose.yml .env; do
        if [ -e "$private/live/$name" ]; then mv -f "$private/live/$name" . || return 1; else rm -f "$name" || return 1; fi
    done
    rm -rf "$private/live"
}

# put PATH: moves the old one to .former and the new one into place. A file replaces a file by one rename.
put() {
    [ -d "$former/tree/${1%/*}" ] || mkdir -p "$former/tree/${1%/*}" || return 1
    if [ -f "$1" ] && [ ! -L "$1" ] && [ -f "$private/live/$1" ] && ln "$1" "$former/tree/$1" 2>/dev/null; then
        :
    elif there "$1"; then
        mv -f "$1" "$former/tree/$1" || return 1
    fi
    ! there "$private/live/$1" || mv -f "$private/live/$1" "$1"
}

# set_modes new|old: sets the modes of kept folders.
set_modes() {
    [ -s "$former/modes" ] || return 0
    while IFS= read -r change; do
        old=${change%% *} name=${change#* }
        new=${name%% *} name=${name#* }
        [ "$1" = new ] || new=$old
        chmod "$(printf %o $((0x$new & 07777)))" "$name" || return 1
    done <"$former/modes"
}

# Whether the version's tag already is this image: $found lists its tags in brackets, in the engine's form ($familiar).
tagged() {
    tags=${found#* [}
    case " ${tags%]} " in
    *" ${familiar:-$image}:$version "*) ;;
    *) return 1 ;;
    esac
}

# Restores the files in .former; can be repeated after an interruption. If one cannot be restored, restores the others, returns false
# and sets $unrestored to the reason.
restore_files() {
    unrestored=''
    {
        while IFS= read -r name; do
            put_back "$name" || unrestored=yes
        done <"$former/names"
        set_modes old || unrestored=yes
    } 2>"$work/unrestored"
    [ -z "$unrestored" ] || unrestored="switch $(last_line "$work/unrestored")"
    if [ -s "$former/image" ]; then dock tag "$(cat "$former/image")" "$(cat "$former/tag")"; fi
    if [ ! -s "$former/current" ]; then
        rm -f releases/.current
    elif ! cmp -s "$former/current" releases/.current; then
        cp "$former/current" releases/.current
    fi
    [ -z "$unrestored" ]
}

# put_back PATH: restores a path, a file by one rename.
put_back() {
    if there "$former/tree/$1"; then
        if [ -d "$1" ] || [ -d "$former/tree/$1" ]; then rm -rf "$1" || return 1; fi
        # A file that the switch has not reached yet has two names, which mv refuses.
        mv -f "$former/tree/$1" "$1" || cmp -s "$former/tree/$1" "$1"
    elif grep -Fqx -e "$1" "$former/absent" 2>/dev/null; then
        rm -rf "$1"
    fi
}

close_journal() {
    mv "$former" "$private/done" && rm -rf "$private/done"
}
