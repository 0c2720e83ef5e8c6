"""An audit by subgroup: whether a score is as good, as calibrated and as safe for everyone.

Takes a table of scores, labels and groups; knows no model and no meaning of the groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import EvaluationError
from fusion.evaluation.metrics import RESAMPLES, Floats, Ints, auroc, calibration_error, measure
from fusion.evaluation.operating_points import wilson

FEWEST = 10
"""Positives and negatives below which a subgroup has no figures, only counts."""

EVERYONE = "everyone"
AGE = "age"
AGE_BANDS = ((0, "0-17"), (18, "18-39"), (40, "40-64"), (65, "65 and over"))
"""First year and name of each band that a column `age` is looked at in."""
_REQUIRED = ("score", "label")
_PATIENT = "patient"


def scores_and_labels(table: pd.DataFrame) -> tuple[Ints, Floats, Any]:
    """Return labels, scores and patients (None without a column `patient`) of a table.

    Raises EvaluationError when a column is missing or holds something else.
    """
    absent = [name for name in _REQUIRED if name not in table.columns]
    if absent:
        raise EvaluationError(f"column {absent[0]!r} is missing; expected score, label")
    score = pd.to_numeric(table["score"], errors="coerce").to_numpy(np.float64)
    label = pd.to_numeric(table["label"], errors="coerce").to_numpy(np.float64)
    bad = ~np.isfinite(score) | ~np.isin(label, (0, 1))
    if bad.any():
        raise EvaluationError(f"line {int(np.argmax(bad)) + 2}: score must be a number, and label 0 or 1")
    patients = table[_PATIENT].to_numpy() if _PATIENT in table.columns else None
    return label.astype(np.int64), score, patients


def audit(
    table: pd.DataFrame,
    *,
    threshold: float | None = None,
    groups: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> list[dict[str, Any]]:
    """Return a row for everyone and for each value of each group column, with 95 % intervals.

    table      columns score, label (0 or 1), group columns, and `patient` where patients repeat
    threshold  cut-off (at or above is positive) for the false negative rate
    groups     columns to look at; default: all others; `age` in years is looked at in bands

    Calibration error and mean score are meaningful where the score is a probability.
    Raises EvaluationError for another layout.
    """
    label, score, patients = scores_and_labels(table)
    chosen = [name for name in table.columns if name not in (*_REQUIRED, _PATIENT)] if groups is None else list(groups)
    unknown = [name for name in chosen if name not in table.columns]
    if unknown:
        raise EvaluationError(f"no column {unknown[0]!r}")
    rows = [(EVERYONE, EVERYONE, np.ones(len(label), dtype=bool))]
    for name in chosen:
        values = _values(table[name])
        rows += [(name, str(value), (values == value).to_numpy(bool)) for value in sorted(values.unique())]
    return [
        {"group": group, "value": value}
        | _figures(label[kept], score[kept], None if patients is None else patients[kept], threshold, resamples)
        for group, value, kept in rows
    ]


def _values(column: pd.Series[Any]) -> pd.Series[Any]:
    """Return the group of each row as text; ages in years become bands."""
    years = pd.to_numeric(column, errors="coerce") if column.name == AGE else None
    if years is not None and years.notna().any():
        bands = pd.cut(
            years, [start for start, _ in AGE_BANDS] + [np.inf], right=False, labels=[b for _, b in AGE_BANDS]
        )
        return bands.astype("string").fillna("not known")
    return column.astype("string").fillna("not known")


def _figures(label: Ints, score: Floats, patients: Any, threshold: float | None, resamples: int) -> dict[str, Any]:
    positives = int(label.sum())
    figures: dict[str, Any] = {"count": len(label), "positives": positives}
    if min(positives, len(label) - positives) < FEWEST:
        return figures | {"note": f"fewer than {FEWEST} of a class: no figures"}
    within = score.min() >= 0 and score.max() <= 1
    metrics = {"auroc": auroc} | ({"calibration_error": calibration_error} if within else {})
    measured = measure(label, score, patients=patients, metrics=metrics, resamples=resamples)
    figures |= measured | {"observed": positives / len(label), "mean_score": float(score.mean())}
    if threshold is not None:
        missed = int((score[label == 1] < threshold).sum())
        low, high = wilson(missed, positives)
        figures["false_negative_rate"] = {"value": missed / positives, "low": low, "high": high}
    return figures
