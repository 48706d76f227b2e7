"""The list of mutations (`make mutations`) matches the code."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from mutations.entry import PACKAGE, REPOSITORY, Mutation
from mutations.table import MUTATIONS
from unit.table import table


@table("mutation", MUTATIONS)
def test_mutation_changes_the_file_and_keeps_it_valid(mutation: Mutation):
    before = text_of(REPOSITORY / PACKAGE / mutation.file)
    after = mutation.changed(before)
    assert after != before
    if mutation.file.endswith(".sh"):
        subprocess.run(["sh", "-n"], input=after, text=True, check=True)
    else:
        compile(after, mutation.file, "exec")


text_of = cache(Path.read_text)


def test_the_tests_that_they_name_are_there():
    def there(test: str) -> bool:
        path, _colons, name = test.partition("::")
        return f"\ndef {name.partition('[')[0]}(" in text_of(REPOSITORY / "tests" / path)

    assert [test for one in MUTATIONS for test in one.tests if not there(test)] == []
