"""Turnaround by finding and policy, over several runs with seeds of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from cds.oversight.triage import OF_FINDINGS, TriagePolicy
from cds.simulation.arrivals import Arrival
from cds.simulation.detector import Detector
from cds.simulation.queueing import POLICIES, turnarounds

_TAIL = 90
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Row:
    """One class of films under one policy.

    films          a run, on average
    median, p90    turnaround in minutes, mean over runs
    ratio          p90 against first in, first out; with the middle 95 % of runs
    longest_wait   minutes, the longest of any run
    """

    finding: str
    level: str
    policy: str
    films: float
    median: float
    p90: float
    ratio: float
    ratio_low: float
    ratio_high: float
    longest_wait: float


@dataclass(frozen=True)
class Simulation:
    """What came out.

    load    share of the readers' time in reading, mean over runs
    rows    by finding, the gravest first, and policy
    sample  policy -> turnaround of the films of the gravest level, all runs together, for the picture
    """

    load: float
    runs: int
    cap_minutes: float
    rows: tuple[Row, ...]
    sample: dict[str, NDArray[np.float64]]

    def as_record(self) -> dict[str, object]:
        """Return what can be kept as JSON, without the sample."""
        return {
            "load": self.load,
            "runs": self.runs,
            "cap_minutes": self.cap_minutes,
            "rows": [asdict(row) for row in self.rows],
        }


def simulated(
    draw: Callable[[np.random.Generator], Sequence[Arrival]],
    detector: Detector,
    policy: TriagePolicy,
    *,
    readers: int,
    runs: int,
    seed: int,
) -> Simulation:
    """Return turnaround under each policy.

    draw  arrivals of one run, of a random generator; a replayed log returns the same films each time, and only what
          the model says of them differs
    """
    classes = _classes(detector, policy)
    measured: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    sample: dict[str, list[NDArray[np.float64]]] = {name: [] for name in POLICIES}
    loads = []
    for run in range(runs):
        rng = np.random.default_rng((seed, run))
        films = draw(rng)
        results = [detector.result(film, rng) for film in films]
        priorities = [policy.priority(policy.of_film(r), film_cost=policy.cost(r)) for r in results]
        loads.append(sum(film.minutes for film in films) / readers / max(films[-1].at, 1e-9))
        for name in POLICIES:
            times = turnarounds(films, priorities, policy, name, readers)
            for finding, _, belongs in classes:
                chosen = np.array([belongs(film.findings) for film in films])
                if chosen.any():
                    done, waited = times.done[chosen], times.waited[chosen]
                    figures = (chosen.sum(), np.median(done), np.percentile(done, _TAIL), waited.max())
                    measured.setdefault((finding, name), []).append(tuple(map(float, figures)))
            sample[name].append(times.done[[classes[0][2](film.findings) for film in films]])
    return Simulation(
        load=float(np.mean(loads)),
        runs=runs,
        cap_minutes=policy.longest_wait.total_seconds() / 60,
        rows=tuple(_rows(classes, measured)),
        sample={name: np.concatenate(parts) for name, parts in sample.items()},
    )


_Class = tuple[str, str, Callable[[frozenset[str]], bool]]


def _classes(detector: Detector, policy: TriagePolicy) -> list[_Class]:
    """Return the classes of films: the gravest findings together, each finding, no finding, all."""
    levels = {key: policy.findings.get(key, "finding") for key in detector.points}
    gravest = min(levels.values(), key=OF_FINDINGS.index)
    grave = frozenset(key for key, level in levels.items() if level == gravest)
    known = frozenset(levels)
    ordered = sorted(levels, key=lambda key: (OF_FINDINGS.index(levels[key]), key))
    return [
        ("gravest findings", gravest, lambda there: bool(there & grave)),
        *[(key, levels[key], lambda there, key=key: key in there) for key in ordered],
        ("none of them", "none", lambda there: not there & known),
        ("all films", "", lambda _: True),
    ]


def _rows(classes: Sequence[_Class], measured: dict[tuple[str, str], list[tuple[float, ...]]]) -> list[Row]:
    rows = []
    for finding, level, _ in classes:
        first = np.array([run[2] for run in measured.get((finding, POLICIES[0]), ())])
        for name in POLICIES:
            runs = np.array(measured.get((finding, name), ()))
            if not len(runs):
                continue
            ratios = runs[:, 2] / first
            low, high = np.percentile(ratios, _INTERVAL)
            rows.append(
                Row(
                    finding=finding,
                    level=level,
                    policy=name,
                    films=float(runs[:, 0].mean()),
                    median=float(runs[:, 1].mean()),
                    p90=float(runs[:, 2].mean()),
                    ratio=float(runs[:, 2].mean() / first.mean()),
                    ratio_low=float(low),
                    ratio_high=float(high),
                    longest_wait=float(runs[:, 3].max()),
                )
            )
    return rows
