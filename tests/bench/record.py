"""Shared by benchmarks: alternating runs, medians, and one file of figures for the pictures."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

RESULTS = Path(__file__).parent / "results.json"


def in_turn(sides: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Run the sides A B A B …, and return the wall seconds of each counted run: a drifting machine is fair to all."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warm_up + rounds):
        for name, run in sides.items():
            begin = time.monotonic()
            run()
            if turn >= warm_up:
                seconds[name].append(time.monotonic() - begin)
    return seconds


def record(title: str, seconds: Mapping[str, Sequence[float]], **more: object) -> None:
    """Print medians and ratios (the first side's time over each other's, pair by pair), and keep them in results.json."""
    first = next(iter(seconds))
    rows = {}
    for name, values in seconds.items():
        ratios = [mine / other for mine, other in zip(seconds[first], values)]
        rows[name] = {
            "median": round(statistics.median(values), 3),
            "min": round(min(values), 3),
            "max": round(max(values), 3),
            "ratio": round(statistics.median(ratios), 2),
        }
        print(f"{title}: {name}: {rows[name]['median']} s ({rows[name]['min']} to {rows[name]['max']})", end="")
        print("" if name == first else f", {first} takes {rows[name]['ratio']} of it")
    keep(title, {"rows": rows, **more})


def keep(title: str, figures: Mapping[str, object]) -> None:
    """Put one benchmark's figures into results.json, with the machine that they were measured on."""
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    results[title] = {**figures, "machine": machine(), "day": time.strftime("%Y-%m-%d")}
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def machine() -> str:
    """Return the machine in a few words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, {platform.system()}"
