"""`make check` finds names on a server that are split at blanks or expanded as patterns."""

from __future__ import annotations

from tools.splits import splits

from unit.table import table


@table("line", ["for x in $units; do :; done", "rm -rf $units", "for x in $(cat list); do :; done", "echo ${units}"])
def test_a_list_that_is_split_is_found(line: str):
    start = 'units=$(cat "$1")\n'
    assert splits(f"#!/bin/sh\n{start}{line}\n") == [line]
    assert splits(f"#!/bin/sh\n{start}set -f\n{line}\nset +f\n") == []
