"""Readers at work: who reads which film when, under each policy.

A reader who is free takes the first film of the queue and is not interrupted. Turnaround is from arrival to the end of
reading; waiting is from arrival to its beginning.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from cds.oversight.triage import Priority, TriagePolicy
from cds.simulation.arrivals import Arrival

POLICIES = ("first in, first out", "priority", "priority with cap")
_NEVER = timedelta(days=36500)


@dataclass(frozen=True)
class Times:
    """Of each film, in minutes since its arrival, in the order of arrival."""

    waited: NDArray[np.float64]
    done: NDArray[np.float64]


def turnarounds(
    films: Sequence[Arrival], priorities: Sequence[Priority], policy: TriagePolicy, name: str, readers: int
) -> Times:
    """Return when each film is read under one of POLICIES."""
    uncapped = replace(policy, longest_wait=_NEVER)
    order: Callable[[int, float], tuple[float, ...]]
    if name == POLICIES[0]:
        order = lambda number, _: (number,)  # noqa: E731 - a name for each of three rules
    else:
        ranked = policy if name == POLICIES[2] else uncapped
        order = lambda number, now: ranked.rank(priorities[number], timedelta(minutes=now - films[number].at))  # noqa: E731
    waited = np.zeros(len(films))
    free = [0.0] * readers
    queue: list[int] = []
    coming = 0
    for _ in films:
        now = heapq.heappop(free)
        if not queue and coming < len(films):
            now = max(now, films[coming].at)
        while coming < len(films) and films[coming].at <= now:
            queue.append(coming)
            coming += 1
        taken = min(queue, key=lambda number: order(number, now))
        queue.remove(taken)
        waited[taken] = now - films[taken].at
        heapq.heappush(free, now + films[taken].minutes)
    return Times(waited, waited + np.array([film.minutes for film in films]))
