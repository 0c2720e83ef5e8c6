"""How good scores are: discrimination and calibration, with 95 % intervals by resampling patients.

Takes outcomes, logits or scores, and the patient of each row; knows no model. The AUROC counts ties as half;
calibration error is that of 10 bins of equal mass; slope and intercept are those of a logistic regression of the
outcome on the log-odds (Cox 1958, Biometrika 45:562).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
_FEWER_RESAMPLES = 300
"""For what is slow to work out."""
BINS = 10


def resampled(patients: NDArray[np.str_], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Return how often each row counts in each draw of patients with replacement, [resamples, rows]."""
    names, rows = np.unique(patients, return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, rows].astype(np.float64)


def auroc(outcome: NDArray[np.int64], score: Floats, weights: Floats) -> Floats:
    """Return the AUROC under each row of `weights` [draws, rows]; NaN for a draw without both outcomes."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    positive = np.add.reduceat(weights[:, order] * outcome[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - outcome[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        area: Floats = (positive * below).sum(1) / (positive.sum(1) * negative.sum(1))
    return area


def logistic(outcome: NDArray[np.int64], log_odds: Floats, weights: Floats, *, free_slope: bool = True) -> Floats:
    """Return (slope, intercept) of a logistic regression under each row of `weights`, [draws, 2].

    free_slope  False holds the slope at 1
    """
    slope, shift = np.ones(len(weights)), np.zeros(len(weights))
    for _ in range(30):
        expected = 1 / (1 + np.exp(-np.clip(slope[:, None] * log_odds + shift[:, None], -30, 30)))
        error, information = weights * (outcome - expected), weights * expected * (1 - expected) + 1e-9
        gradient = np.stack([(error * log_odds).sum(1), error.sum(1)], 1)
        a, b, c = (information * log_odds**2).sum(1), (information * log_odds).sum(1), information.sum(1)
        if free_slope:
            determinant = np.maximum(a * c - b * b, 1e-9)
            step = np.stack([c * gradient[:, 0] - b * gradient[:, 1], a * gradient[:, 1] - b * gradient[:, 0]], 1)
            step = step / determinant[:, None]
        else:
            step = np.stack([np.zeros(len(weights)), gradient[:, 1] / c], 1)
        step = np.clip(step, -2, 2)
        slope, shift = slope + step[:, 0], shift + step[:, 1]
        if np.abs(step).max() < 1e-6:
            break
    return np.stack([slope, shift], 1)


def calibration_bins(outcome: NDArray[np.int64], score: Floats, bins: int = BINS) -> list[dict[str, float]]:
    """Return mean score and observed share in bins of equal mass, ascending."""
    parts = np.array_split(np.argsort(score, kind="stable"), bins)
    return [
        {"predicted": float(score[part].mean()), "observed": float(outcome[part].mean()), "count": len(part)}
        for part in parts
        if len(part)
    ]


def calibration_error(outcome: NDArray[np.int64], score: Floats) -> float:
    """Return the expected calibration error in bins of equal mass."""
    bins = calibration_bins(outcome, score)
    return float(sum(b["count"] * abs(b["predicted"] - b["observed"]) for b in bins) / len(outcome))


def interval(value: float, draws: Floats) -> dict[str, float]:
    """Return a value with the 2.5th and 97.5th percentile of its draws."""
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return {"value": round(float(value), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def auroc_interval(outcome: NDArray[np.int64], score: Floats, patients: NDArray[np.str_]) -> dict[str, float]:
    """Return the AUROC with its 95 % interval."""
    whole = np.ones((1, len(outcome)))
    return interval(auroc(outcome, score, whole)[0], auroc(outcome, score, resampled(patients)))


def share_interval(hit: NDArray[np.bool_], patients: NDArray[np.str_]) -> dict[str, float]:
    """Return the share of rows that hit, with its 95 % interval."""
    weights = resampled(patients)
    return interval(float(hit.mean()), (weights * hit).sum(1) / np.maximum(weights.sum(1), 1))


def calibration_error_interval(
    outcome: NDArray[np.int64], score: Floats, patients: NDArray[np.str_]
) -> dict[str, float]:
    """Return the calibration error with its 95 % interval."""
    draws = resampled(patients, _FEWER_RESAMPLES)
    repeated = [np.repeat(np.arange(len(outcome)), draw.astype(int)) for draw in draws]
    errors = np.array([calibration_error(outcome[rows], score[rows]) for rows in repeated])
    return interval(calibration_error(outcome, score), errors)


def calibration_intervals(
    outcome: NDArray[np.int64], score: Floats, patients: NDArray[np.str_]
) -> dict[str, dict[str, float]]:
    """Return calibration error, slope and intercept (slope held at 1), each with its 95 % interval."""
    log_odds = logit(score)
    weights, whole = resampled(patients, _FEWER_RESAMPLES), np.ones((1, len(outcome)))
    return {
        "calibration_error": calibration_error_interval(outcome, score, patients),
        "calibration_slope": _fitted(lambda w: logistic(outcome, log_odds, w)[:, 0], whole, weights),
        "calibration_intercept": _fitted(
            lambda w: logistic(outcome, log_odds, w, free_slope=False)[:, 1], whole, weights
        ),
    }


def logit(score: Floats) -> Floats:
    bounded = np.clip(score, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def sigmoid(log_odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))), np.float64)


def _fitted(fit: Callable[[Floats], Floats], whole: Floats, weights: Floats) -> dict[str, float]:
    return interval(float(fit(whole)[0]), fit(weights))
