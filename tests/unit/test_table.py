"""A table of cases fails with each case that is wrong."""

from __future__ import annotations

import inspect

import pytest

from unit.table import table


def test_a_table_shows_every_case_that_fails():
    seen = []

    @table(("number", "square"), [(1, 1), (2, 5), (3, 9), (4, 15)])
    def squares(folder: str, number: int, square: int) -> None:
        seen.append((folder, number))
        assert number**2 == square

    assert list(inspect.signature(squares).parameters) == ["folder"]
    with pytest.raises(AssertionError) as caught:
        squares(folder="x")
    assert seen == [("x", 1), ("x", 2), ("x", 3), ("x", 4)]
    assert str(caught.value).startswith("2 of 4 cases fail:\n\nnumber=2, square=5\nAssertionError: assert")
    assert "number=4, square=15\n" in str(caught.value)


def test_a_case_that_raises_nothing_fails_its_table():
    @table("text", ["1", "x"])
    def numbers(text: str) -> None:
        with pytest.raises(ValueError, match="invalid"):
            int(text)

    with pytest.raises(AssertionError, match="1 of 2 cases fail:\n\ntext='1'\nFailed: DID NOT RAISE"):
        numbers()


def test_an_empty_table_is_an_error():
    with pytest.raises(AssertionError, match="tests nothing"):
        table("text", [])
