"""Runs functions in parallel on daemon threads, so that an interrupted run ends at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Callable, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_parallel(function: Callable[[Item], Answer], items: Iterable[Item], workers: int) -> list[Answer]:
    """Return ``function(item)`` for each item, in the order of the items, with at most ``workers`` at a time.

    The first exception is raised as soon as it happens; items that have not begun by then never begin.
    """
    waiting = list(enumerate(items))
    if len(waiting) <= 1:
        return [function(item) for _index, item in waiting]
    waiting.reverse()
    done: queue.SimpleQueue[tuple[int, Answer | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        while True:
            try:
                index, item = waiting.pop()
            except IndexError:
                return
            try:
                done.put((index, function(item), None))
            except BaseException as error:
                waiting.clear()
                done.put((index, None, error))

    count = len(waiting)
    for _number in range(min(workers, count)):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[int, Answer] = {}
    for _number in range(count):
        index, answer, error = done.get()
        if error is not None:
            raise error
        answers[index] = answer  # type: ignore[assignment]
    return [answers[index] for index in range(count)]


def in_background(function: Callable[[], Answer]) -> Callable[[], Answer]:
    """Start ``function()``; return a function that waits for its result or raises its exception."""
    done: queue.SimpleQueue[tuple[Answer | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((function(), None))
        except BaseException as error:
            done.put((None, error))

    def wait() -> Answer:
        answer, error = done.get()
        if error is not None:
            raise error
        return answer  # type: ignore[return-value]

    threading.Thread(target=work, daemon=True).start()
    return wait
