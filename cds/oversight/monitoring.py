"""How the models and the reading room do, over time: agreement of people, accuracy, drift of scores, turnaround.

Pure: rows in, figures out. A verdict gives the truth of a finding only as one person sees it, and people judge what
they look at: the figures watch for change, they are no evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import NormalDist, quantiles
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Stage: TypeAlias = Literal["result", "opened", "verdict", "read"]
STAGES: tuple[Stage, ...] = ("result", "opened", "verdict", "read")
_FEWEST = 20
_BINS = 10
_Z = NormalDist().inv_cdf(0.975)
_TELLS = frozenset({"agree", "corrected", "disagree"})


@dataclass(frozen=True)
class Judged:
    """The last word on one finding of one film: the model's label and score, and what the person said."""

    finding: str
    model: str
    score: float
    label: bool | None
    verdict: str
    at: datetime

    @property
    def truth(self) -> bool:
        """Whether the person sees the finding; a corrected one is there, though elsewhere."""
        return self.verdict == "corrected" or (self.label is True) is (self.verdict == "agree")

    @property
    def agrees(self) -> bool:
        return self.verdict == "agree" or (self.verdict == "corrected" and self.label is True)


@dataclass(frozen=True)
class Scored:
    """One score that a model gave."""

    finding: str
    model: str
    score: float
    label: bool | None
    at: datetime


@dataclass(frozen=True)
class Passage:
    """When one film arrived and reached each stage; None where it has not."""

    arrived: datetime
    reached: Mapping[Stage, datetime | None]


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson 1927); `of` cases."""

    hits: int
    of: int
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """What people say of one finding of one model in one period.

    agreement              verdicts that agree, of those that could tell
    sensitivity            of what people see, the share above the cut-off; corrected places count as seen
    specificity            of what people do not see, the share below it
    """

    finding: str
    model: str
    period: str
    agreement: Share
    sensitivity: Share | None
    specificity: Share | None


@dataclass(frozen=True)
class Drift:
    """How one finding's scores have moved.

    psi       population stability index of the latest period against all before; above 0.25 is a large shift
    positive  share above the cut-off, before and in the latest period
    """

    finding: str
    model: str
    before: int
    latest: int
    psi: float | None
    positive_before: Share | None
    positive_latest: Share | None


@dataclass(frozen=True)
class Turnaround:
    """From arrival to one stage, in seconds, of the films that reached it."""

    stage: Stage
    films: int
    median: float
    p90: float
    longest: float


def agreements(judged: Iterable[Judged]) -> list[Agreement]:
    """Return agreement by finding, model and month, and over all months (period `all`)."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for one in judged:
        if one.verdict in _TELLS:
            for period in (f"{one.at:%Y-%m}", "all"):
                groups.setdefault((one.finding, one.model, period), []).append(one)
    return [
        Agreement(
            *key,
            agreement=share(sum(one.agrees for one in rows), len(rows)),
            sensitivity=_rate(rows, there=True),
            specificity=_rate(rows, there=False),
        )
        for key, rows in sorted(groups.items())
    ]


def _rate(rows: Sequence[Judged], *, there: bool) -> Share | None:
    """Return how often the label is that of the truth, of the cases with one truth."""
    of_truth = [one for one in rows if one.label is not None and one.truth is there]
    return share(sum(one.label is there for one in of_truth), len(of_truth)) if of_truth else None


def drifts(scored: Iterable[Scored], *, latest_from: datetime) -> list[Drift]:
    """Return how the scores since a time differ from those before, by finding and model."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        groups.setdefault((one.finding, one.model), []).append(one)
    found = []
    for (finding, model), rows in sorted(groups.items()):
        before = [one for one in rows if one.at < latest_from]
        latest = [one for one in rows if one.at >= latest_from]
        enough = min(len(before), len(latest)) >= _FEWEST
        index = stability_index([one.score for one in before], [one.score for one in latest]) if enough else None
        found.append(Drift(finding, model, len(before), len(latest), index, _positive(before), _positive(latest)))
    return found


def stability_index(before: Sequence[float], latest: Sequence[float]) -> float:
    """Return the population stability index over the tenths of the earlier scores.

    Sum over bins of (q - p) ln(q / p); a half is added to each count so that an empty bin stays finite
    (Siddiqi 2006, Credit Risk Scorecards, chapter 9).
    """
    edges = np.quantile(np.asarray(before), np.linspace(0, 1, _BINS + 1)[1:-1])
    p, q = _shares(before, edges), _shares(latest, edges)
    return float(((q - p) * np.log(q / p)).sum())


def turnarounds(passages: Iterable[Passage]) -> list[Turnaround]:
    """Return the time from arrival to each stage that a film has reached."""
    seconds: dict[Stage, list[float]] = {stage: [] for stage in STAGES}
    for one in passages:
        for stage in STAGES:
            at = one.reached.get(stage)
            if at is not None:
                seconds[stage].append(max(at - one.arrived, timedelta(0)).total_seconds())
    return [
        Turnaround(stage, len(values), _quantile(values, 50), _quantile(values, 90), max(values))
        for stage, values in seconds.items()
        if values
    ]


def share(hits: int, of: int) -> Share:
    """Return a share of at least one case with its interval; serving does without the evaluation package."""
    value, square = hits / of, _Z**2
    centre = (value + square / (2 * of)) / (1 + square / of)
    half = _Z * float(np.sqrt(value * (1 - value) / of + square / (4 * of**2))) / (1 + square / of)
    return Share(hits, of, value, max(0.0, centre - half), min(1.0, centre + half))


def _positive(rows: Sequence[Scored]) -> Share | None:
    labelled = [one.label for one in rows if one.label is not None]
    return share(sum(labelled), len(labelled)) if labelled else None


def _shares(values: Sequence[float], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.bincount(np.searchsorted(edges, np.asarray(values), side="left"), minlength=len(edges) + 1) + 0.5
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _quantile(values: Sequence[float], percent: int) -> float:
    return values[0] if len(values) == 1 else quantiles(values, n=100, method="inclusive")[percent - 1]
