"""Films to come: a replayed arrival log, or a stated model of arrivals, reading times and findings.

The model: Poisson arrivals, lognormal reading times, findings present independently of each other with the given
prevalences; the rate of arrivals follows from the load that is asked for.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from cds.errors import SimulationError

_SCORE = "score_"


@dataclass(frozen=True)
class Arrival:
    """One film to come.

    at        minutes since the first
    findings  what is truly there
    minutes   that reading it takes
    scores    of the model, where a log carries them
    """

    at: float
    findings: frozenset[str]
    minutes: float
    scores: Mapping[str, float] | None = None


@dataclass(frozen=True)
class ArrivalModel:
    """Stated arrivals.

    prevalence  of each finding
    load        share of the readers' time that reading takes, below 1
    minutes     mean time of reading one film
    spread      its standard deviation as a share of the mean
    """

    prevalence: Mapping[str, float]
    load: float = 0.8
    readers: int = 1
    minutes: float = 5.0
    spread: float = 0.8

    def draw(self, films: int, rng: np.random.Generator) -> list[Arrival]:
        """Return films in the order of their arrival."""
        gaps = rng.exponential(self.minutes / (self.load * self.readers), films)
        variance = np.log1p(self.spread**2)
        minutes = rng.lognormal(np.log(self.minutes) - variance / 2, np.sqrt(variance), films)
        present = {key: rng.random(films) < share for key, share in self.prevalence.items()}
        return [
            Arrival(
                float(at), frozenset(key for key, there in present.items() if there[number]), float(minutes[number])
            )
            for number, at in enumerate(np.cumsum(gaps))
        ]


def arrivals_of_log(path: Path, *, load: float | None, readers: int, minutes: float) -> list[Arrival]:
    """Return the films of an arrival log.

    path     CSV: arrived_at (ISO 8601), findings (keys that are truly there, `;` between), minutes (of reading;
             without it or empty, `minutes`), and score_<finding> where the model's own scores are known
    load     what the times between arrivals are stretched or compressed to; None leaves them as they are

    Raises SimulationError naming the line that is wrong.
    """
    films: list[Arrival] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if not {"arrived_at", "findings"} <= set(reader.fieldnames or ()):
            raise SimulationError(f"{path.name}: needs the columns arrived_at and findings")
        for row in reader:
            try:
                films.append(_arrival(row, minutes))
            except (ValueError, TypeError) as error:
                raise SimulationError(f"{path.name} line {reader.line_num}: {error}") from None
    if len(films) < 2:
        raise SimulationError(f"{path.name}: holds fewer than two films")
    films.sort(key=lambda film: film.at)
    first, span = films[0].at, films[-1].at - films[0].at
    if span <= 0:
        raise SimulationError(f"{path.name}: every film arrived at the same time")
    now = sum(film.minutes for film in films) / readers / span
    stretch = 1.0 if load is None else now / load
    return [Arrival((film.at - first) * stretch, film.findings, film.minutes, film.scores) for film in films]


def _arrival(row: Mapping[str, str], minutes: float) -> Arrival:
    arrived = datetime.fromisoformat(row["arrived_at"])
    took = float(row["minutes"]) if row.get("minutes") else minutes
    if not 0 < took < 24 * 60:
        raise ValueError("minutes of reading are more than 0 and less than a day")
    scores = {name.removeprefix(_SCORE): float(value) for name, value in row.items() if _is_score(name, value)}
    if not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError("a score is from 0 to 1")
    return Arrival(
        arrived.timestamp() / 60,
        frozenset(key.strip() for key in row["findings"].split(";") if key.strip()),
        took,
        scores or None,
    )


def _is_score(name: str | None, value: str | None) -> bool:
    return bool(name and name.startswith(_SCORE) and value)
