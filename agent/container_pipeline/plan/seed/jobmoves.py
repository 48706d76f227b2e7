"""Recognises renamed jobs, so that they keep their history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Callable

from container_pipeline.plan.seed.jobs import Job
from container_pipeline.plan.seed.jobtext import Marker


def find_moves(
    wanted: Mapping[str, Job], ours: Mapping[str, Marker], items: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return new name → current name of each recognised job.

    The first map has the jobs that can be moved, in an order in which each new name is free; the second those whose new
    name stays taken. A job is recognised by code and repository; else, if only one on each side fits, by repository (the
    code changed) or by code (the repository moved).
    """
    pairs: dict[str, str] = {}
    for key in (
        lambda code, repository: f"{code} {repository}",
        None,
        lambda code, repository: repository,
        lambda code, repository: code,
    ):
        free_jobs = [job for name, job in wanted.items() if name not in pairs]
        taken = set(pairs.values())
        free_items = {name: marker for name, marker in ours.items() if name not in taken}
        if key is None:
            pairs.update({job.full_name: job.full_name for job in free_jobs if job.full_name in free_items})
        else:
            pairs.update(_pair(free_jobs, free_items, key))
    return _in_order({new: old for new, old in pairs.items() if new != old}, set(items))


def _pair(jobs: list[Job], items: Mapping[str, Marker], key: Callable[[str, str], str]) -> dict[str, str]:
    """Pair items with the same key if it is unique on both sides; an item at the same place is preferred."""
    here = {job.full_name: key(job.code, job.repository) for job in jobs}
    there = {name: key(marker.code, marker.repository) for name, marker in items.items()}
    pairs = {name: name for name, value in here.items() if there.get(name) == value}
    for name in pairs:
        del here[name], there[name]
    wanted, has = Counter(here.values()), Counter(there.values())
    names = {value: name for name, value in there.items()}
    pairs.update({name: names[value] for name, value in here.items() if wanted[value] == has[value] == 1})
    return pairs


def _in_order(moves: dict[str, str], taken: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the possible moves, in an order in which each target is free, and the others."""
    ordered: dict[str, str] = {}
    while True:
        possible = [new for new in moves if new not in taken]
        if not possible:
            return ordered, moves
        for new in possible:
            ordered[new] = moves.pop(new)
            taken.discard(ordered[new])
            taken.add(new)
