#!/bin/sh
# Writes or removes the hold of a code, beside its lock; while it stands, deploy and up end at once. Requires common.sh; action (hold or
# resume), reason.
# shellcheck disable=SC2154 # the parts share their variables

hold() {
    say hello
    make_work
    await_go
    if [ "$action" = hold ]; then
        (umask 022 && mkdir -p "$folder") 2>"$work/out" || refuse_write
    fi
    enter_folder
    watch_connection
    say "fact hold $(held_by)"
    # Without the lock: a run that has it goes on, and the next one finds the hold.
    if [ "$action" = resume ]; then
        rm -f .hold 2>"$work/out" || refuse_write
    else
        {
            (umask 022 && printf '%s|%s|%s\n' "$who" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$reason" >".hold.$$") &&
                mv -f ".hold.$$" .hold
        } 2>"$work/out" || { rm -f ".hold.$$" && refuse_write; }
    fi
    end ok
}

hold
