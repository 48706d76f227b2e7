"""Many cases of one function in one test."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import Any, Callable

import pytest


def table(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test for each case, as `parametrize` does, but as one test, which shows every case that fails.

    pytest takes a millisecond for each test, a hundred times what most cases take. Use this for a table of a pure function.
    Cases share the fixtures, so use `parametrize` where one case could affect the next.
    """
    names = tuple(name.strip() for name in names.split(",")) if isinstance(names, str) else names
    rows = [(case,) if len(names) == 1 else tuple(case) for case in cases]
    assert rows, "a table without a case tests nothing"
    assert {len(row) for row in rows} == {len(names)}, f"each case has {len(names)} values"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failed: list[tuple[str, BaseException]] = []
            for row in rows:
                case = dict(zip(names, row))
                try:
                    test(**fixtures, **case)
                except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
                    failed.append((", ".join(f"{name}={_short(value)}" for name, value in case.items()), error))
            if failed:
                shown = "\n\n".join(f"{case}\n{type(error).__name__}: {error}" for case, error in failed)
                raise AssertionError(f"{len(failed)} of {len(rows)} cases fail:\n\n{shown}") from failed[0][1]

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name not in names]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
