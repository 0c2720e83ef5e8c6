"""Thresholds for a site: the cut-off that gives a wished sensitivity or specificity, and how sure that is.

Takes labels and scores, knows no model. A score at or above the threshold counts as positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fusion.errors import EvaluationError
from fusion.evaluation.metrics import RESAMPLES, Floats, Ints, resampled

Aim = Literal["sensitivity", "specificity"]
Interval = tuple[float, float]

FEWEST = 40
"""Positive and negative patients below which a threshold is not to be trusted (as for serving a finding)."""

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with what it gives where it was chosen.

    threshold_interval  95 %, by choosing it again on resampled patients
    sensitivity_interval, specificity_interval  95 %, Wilson, at this threshold
    """

    aim: Aim
    wished: float
    threshold: float
    threshold_interval: Interval
    sensitivity: float
    sensitivity_interval: Interval
    specificity: float
    specificity_interval: Interval
    prevalence: float
    prevalence_interval: Interval
    positives: int
    negatives: int

    @property
    def few(self) -> bool:
        """Whether there were too few patients of a class to trust it."""
        return min(self.positives, self.negatives) < FEWEST


def operating_point(
    label: Ints,
    score: Floats,
    *,
    aim: Aim,
    wished: float,
    patients: npt.NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> OperatingPoint:
    """Return the threshold that reaches a wished sensitivity with the best specificity, or the other way round.

    label, score  (n,) 0 or 1, and finite numbers; wished above 0 and at most 1

    Raises EvaluationError when there is only one class, or the wish cannot be met.
    """
    if set(np.unique(label)) != {0, 1}:
        raise EvaluationError("both labels, 0 and 1, must occur")
    if not 0 < wished <= 1:
        raise EvaluationError(f"{aim} {wished:g}: expected above 0 and at most 1")
    threshold = _threshold(label, score, aim, wished)
    chosen = [_threshold(label[rows], score[rows], aim, wished) for rows in resampled(label, patients, resamples, seed)]
    positive = score >= threshold
    positives, negatives = int(label.sum()), int((label == 0).sum())
    found, cleared = int(positive[label == 1].sum()), int((~positive)[label == 0].sum())
    return OperatingPoint(
        aim=aim,
        wished=wished,
        threshold=threshold,
        threshold_interval=(float(np.percentile(chosen, 2.5)), float(np.percentile(chosen, 97.5))),
        sensitivity=found / positives,
        sensitivity_interval=wilson(found, positives),
        specificity=cleared / negatives,
        specificity_interval=wilson(cleared, negatives),
        prevalence=positives / len(label),
        prevalence_interval=wilson(positives, len(label)),
        positives=positives,
        negatives=negatives,
    )


def wilson(count: int, total: int) -> Interval:
    """Return the 95 % interval of a proportion (Wilson 1927)."""
    share, square = count / total, _Z**2
    centre = (share + square / (2 * total)) / (1 + square / total)
    half = _Z * np.sqrt(share * (1 - share) / total + square / (4 * total**2)) / (1 + square / total)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _threshold(label: Ints, score: Floats, aim: Aim, wished: float) -> float:
    """Return the highest score that reaches the sensitivity, or the lowest above enough negatives."""
    if aim == "sensitivity":
        positives = np.sort(score[label == 1])[::-1]
        return float(positives[_reached(wished, len(positives)) - 1])
    negatives = np.sort(score[label == 0])
    highest = negatives[_reached(wished, len(negatives)) - 1]
    above = score[score > highest]
    return float(above.min()) if len(above) else float(np.nextafter(highest, np.inf))


def _reached(wished: float, count: int) -> int:
    return max(1, int(np.ceil(wished * count - 1e-9)))
