#!/bin/sh
# Reports how a run ended whose connection was lost. Waits until that run frees the lock; if it never had the lock, it will not begin
# any more. Requires common.sh; run (the word of that run).
# shellcheck disable=SC2034,SC2154 # the parts share their variables

outcome() {
    say hello
    make_work
    await_go
    (umask 022 && mkdir -p "$folder/releases") 2>"$work/out" || refuse_write
    cd "$folder" || refuse folder "$folder"
    watch_connection
    take_lock
    # It contains that run's last sentence, not ours.
    held=no
    said=$(lock_holder releases/.end)
    case $said in
    "$run "*) end ok ended "${said#* }" ;;
    esac
    [ ! -d releases/.former ] || end ok ended stopped unfinished
    printf '%s\n' "$run" 2>"$work/out" >releases/.given-up || refuse_write
    end ok ended stopped connection
}

outcome
