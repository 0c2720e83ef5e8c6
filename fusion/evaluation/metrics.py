"""How good a risk is: discrimination and calibration, with 95 % intervals by resampling patients.

Takes outcomes and probabilities, knows no model. Calibration error is that of 10 bins of equal mass; slope and
intercept are those of a logistic regression of the outcome on the log-odds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Metric = Callable[[Ints, Floats], float]

BINS = 10
RESAMPLES = 1000


def auroc(outcome: Ints, probability: Floats) -> float:
    """Return the area under the receiver operating characteristic, by ranks; ties count as half."""
    _, group, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[group]
    positives = int(outcome.sum())
    negatives = len(outcome) - positives
    return float((ranks[outcome == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(outcome: Ints, probability: Floats) -> float:
    return float(average_precision_score(outcome, probability))


def min_sensitivity_precision(outcome: Ints, probability: Floats) -> float:
    """Return the best min(sensitivity, precision) over thresholds: event 1 of the PhysioNet/CinC challenge 2012."""
    order = np.argsort(-probability, kind="stable")
    found = np.cumsum(outcome[order])
    last_of_ties = np.append(np.diff(probability[order]) != 0, True)
    sensitivity = found / max(int(outcome.sum()), 1)
    precision = found / np.arange(1, len(outcome) + 1)
    return float(np.minimum(sensitivity, precision)[last_of_ties].max())


def brier(outcome: Ints, probability: Floats) -> float:
    return float(np.mean((probability - outcome) ** 2))


def calibration_bins(outcome: Ints, probability: Floats, bins: int = BINS) -> list[dict[str, float]]:
    """Return mean predicted and observed risk in bins of equal mass, ascending."""
    parts = np.array_split(np.argsort(probability, kind="stable"), bins)
    return [
        {"predicted": float(probability[part].mean()), "observed": float(outcome[part].mean()), "count": len(part)}
        for part in parts
        if len(part)
    ]


def calibration_error(outcome: Ints, probability: Floats) -> float:
    """Return the expected calibration error in 10 bins of equal mass."""
    bins = calibration_bins(outcome, probability)
    return float(sum(b["count"] * abs(b["predicted"] - b["observed"]) for b in bins) / len(outcome))


def calibration_error_by_chance(probability: Floats, *, draws: int = RESAMPLES, seed: int = 0) -> dict[str, float]:
    """Return mean and 95 % range of the calibration error of a perfect model: outcomes drawn from the probabilities.

    With few patients it is far from 0; an error above the range says that the calibration is wrong, one within it does
    not.
    """
    random = np.random.default_rng(seed)
    drawn = (random.random((draws, len(probability))) < probability).astype(np.int64)
    errors = [calibration_error(outcome, probability) for outcome in drawn]
    low, high = np.percentile(errors, [2.5, 97.5])
    return {"value": float(np.mean(errors)), "low": float(low), "high": float(high)}


def log_odds(probability: Floats) -> Floats:
    bounded = np.clip(probability, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)), dtype=np.float64)


def calibration_slope(outcome: Ints, probability: Floats) -> float:
    """Return the slope of a logistic regression of the outcome on the log-odds: below 1 the risks are too extreme."""
    design = np.column_stack([np.ones(len(outcome)), log_odds(probability)])
    weights = np.array([0.0, 1.0])
    for _ in range(25):
        expected = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        information = (design * (expected * (1 - expected))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(information, design.T @ (outcome - expected))
        weights = weights + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-6:
            break
    return float(weights[1])


def calibration_intercept(outcome: Ints, probability: Floats) -> float:
    """Return the intercept with the slope held at 1: below 0 the risk is overestimated."""
    odds, shift = log_odds(probability), 0.0
    for _ in range(50):
        expected = 1 / (1 + np.exp(-(odds + shift)))
        step = float((outcome - expected).sum() / max(float((expected * (1 - expected)).sum()), 1e-9))
        shift += float(np.clip(step, -1, 1))
        if abs(step) < 1e-6:
            break
    return shift


METRICS: Mapping[str, Metric] = {
    "auroc": auroc,
    "average_precision": average_precision,
    "min_sensitivity_precision": min_sensitivity_precision,
    "brier": brier,
    "calibration_error": calibration_error,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
}


def measure(
    outcome: Ints,
    probability: Floats,
    *,
    patients: npt.NDArray[Any] | None = None,
    metrics: Mapping[str, Metric] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Return each metric with its 95 % interval by resampling patients (rows, when each is its own patient)."""
    draws = list(resampled(outcome, patients, resamples, seed))
    measured = {}
    for name, metric in metrics.items():
        values = [metric(outcome[rows], probability[rows]) for rows in draws]
        low, high = np.percentile(values, [2.5, 97.5])
        measured[name] = {"value": metric(outcome, probability), "low": float(low), "high": float(high)}
    return measured


def difference(
    outcome: Ints,
    probability: Floats,
    other: Floats,
    metric: Metric = auroc,
    *,
    patients: npt.NDArray[Any] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, float]:
    """Return the paired difference of a metric with its 95 % interval, on the same resampled patients."""
    values = [
        metric(outcome[rows], probability[rows]) - metric(outcome[rows], other[rows])
        for rows in resampled(outcome, patients, resamples, seed)
    ]
    low, high = np.percentile(values, [2.5, 97.5])
    value = metric(outcome, probability) - metric(outcome, other)
    return {"value": value, "low": float(low), "high": float(high)}


def resampled(outcome: Ints, patients: npt.NDArray[Any] | None, resamples: int, seed: int) -> list[Ints]:
    """Return rows of resampled patients, draws without both outcomes left out."""
    random = np.random.default_rng(seed)
    groups = np.arange(len(outcome)) if patients is None else np.unique(patients, return_inverse=True)[1]
    rows_of = np.split(np.argsort(groups, kind="stable"), np.flatnonzero(np.diff(np.sort(groups))) + 1)
    draws: list[Ints] = []
    while len(draws) < resamples:
        chosen = random.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rows_of[i] for i in chosen]) if patients is not None else chosen
        if 0 < outcome[rows].sum() < len(rows):
            draws.append(rows.astype(np.int64))
    return draws
