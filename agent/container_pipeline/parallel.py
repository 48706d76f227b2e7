"""Runs functions in parallel on daemon threads, so that an interrupted run ends at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from typing import Any, Callable, Optional, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def in_parallel(
    function: Callable[[Item], Answer],
    items: Iterable[Item],
    workers: int,
    interrupt: Callable[[], object] | None = None,
) -> list[Answer]:
    """Return ``function(item)`` for each item, in the order of the items, with at most ``workers`` at a time.

    The first exception is raised as soon as it happens, that of a signal too; items that have not begun by then never begin. If
    ``interrupt`` is given, it is called then, and the items that have begun are waited for.
    """
    waiting = list(enumerate(items))
    if len(waiting) <= 1 and not interrupt:
        return [function(item) for _index, item in waiting]
    waiting.reverse()
    count, done = len(waiting), _Done()
    threads = [threading.Thread(target=_work, args=(function, waiting, done), daemon=True) for _ in waiting[:workers]]
    try:
        for thread in threads:
            thread.start()
        return _collect(done, count)
    except BaseException:
        waiting.clear()
        if interrupt:
            interrupt()
            for thread in threads:
                if thread.ident:
                    thread.join()
        raise


#: Index, answer and exception of a call.
_Done = queue.SimpleQueue[tuple[int, Any, Optional[BaseException]]]


def _work(function: Callable[[Any], Any], waiting: list[tuple[int, Any]], done: _Done) -> None:
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


def _collect(done: _Done, count: int) -> list[Any]:
    """Return ``count`` answers in order; raises the first exception."""
    answers: dict[int, Any] = {}
    while len(answers) < count:
        index, answer, error = done.get()
        if error is not None:
            raise error
        answers[index] = answer
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
