"""Logits of patients that a network has not seen -> calibration, cut-offs, figures with intervals, what may be served.

Knows no network. Every figure is out of fold: the calibration that a score has in a figure was fitted on the other
folds, so nothing is measured on what it was tuned on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision.evaluation.films import LabelledFilms, folds_of
from vision.evaluation.metrics import (
    Floats,
    auroc_interval,
    calibration_bins,
    calibration_error_interval,
    calibration_intervals,
    logistic,
    share_interval,
    sigmoid,
)

LEAST_PATIENTS = 40
LEAST_AUROC = 0.6
SPECIFICITY = 0.9
SPECIFIC = f"specificity {SPECIFICITY}, out of fold"
BALANCED = "sensitivity equal to specificity, out of fold"
SMALLEST_SUBGROUP = 10
"""Films of each outcome below which a subgroup gets no AUROC."""
ONLY_NIH = {"abnormal", "lung_nodule_or_mass", "lung_nodule"}
"""Labels that other sources have too, with another meaning and prevalence: their figures are those of NIH."""
AGE_BANDS = (("18-39", 18, 40), ("40-64", 40, 65), ("65 and over", 65, 200))


@dataclass(frozen=True)
class Cases:
    """The rows of one label that count: outcome known for certain, logit of a network that has not seen the patient."""

    outcome: NDArray[np.int64]
    logits: Floats
    folds: NDArray[np.int64]
    patients: NDArray[np.str_]
    table: pd.DataFrame

    def part(self, chosen: NDArray[np.bool_]) -> Cases:
        return Cases(
            self.outcome[chosen], self.logits[chosen], self.folds[chosen], self.patients[chosen], self.table[chosen]
        )

    @property
    def counts(self) -> dict[str, int]:
        positive = self.outcome == 1
        return {
            "films": len(self.outcome),
            "positive_films": int(positive.sum()),
            "patients": len(np.unique(self.patients)),
            "positive_patients": len(np.unique(self.patients[positive])),
        }


def cases_of(films: LabelledFilms, logits: NDArray[np.float32], label: str, folds: int) -> Cases:
    """Return the cases of a label.

    logits  float32 [N, K], row by row of a network that has not seen the patient
    """
    column = films.labels.index(label)
    known = np.isin(films.targets[:, column], (0, 1)) & np.isfinite(logits[:, column])
    if films.seen and label in ONLY_NIH:
        known &= films.table["source"].str.startswith("nih").to_numpy(bool)
    return Cases(
        outcome=films.targets[known, column].astype(np.int64),
        logits=logits[known, column].astype(np.float64),
        folds=folds_of(films.groups[known], folds),
        patients=films.groups[known],
        table=films.table[known],
    )


def calibration_of(cases: Cases) -> tuple[float, float]:
    """Return (slope, intercept) that turn a logit into a calibrated score; the slope never turns a ranking around."""
    slope, intercept = logistic(cases.outcome, cases.logits, np.ones((1, len(cases.outcome))))[0]
    return max(float(slope), 0.05), float(intercept)


def with_calibration(cases: Cases, slope: float, intercept: float) -> Floats:
    """Return the scores of cases by a given calibration."""
    return sigmoid(slope * cases.logits + intercept)


def cross_fitted(cases: Cases) -> Floats:
    """Return the scores of cases, each by a calibration fitted on the other folds."""
    scores = np.empty(len(cases.outcome))
    for fold in np.unique(cases.folds):
        inside = cases.folds == fold
        slope, intercept = calibration_of(cases.part(~inside))
        scores[inside] = with_calibration(cases.part(inside), slope, intercept)
    return scores


def figures_of(cases: Cases, scores: Floats) -> dict[str, Any]:
    """Return counts, AUROC and calibration of a label with their 95 % intervals."""
    return {
        **cases.counts,
        "auroc": auroc_interval(cases.outcome, cases.logits, cases.patients),
        **calibration_intervals(cases.outcome, scores, cases.patients),
        "calibration": calibration_bins(cases.outcome, scores),
    }


def balanced_cut_off(outcome: NDArray[np.int64], scores: Floats) -> float:
    """Return the score at which sensitivity and specificity are nearest to each other."""
    values = np.unique(scores)
    sensitivity = np.array([(scores[outcome == 1] >= value).mean() for value in values])
    specificity = np.array([(scores[outcome == 0] < value).mean() for value in values])
    return float(values[np.abs(sensitivity - specificity).argmin()])


def specific_cut_off(outcome: NDArray[np.int64], scores: Floats) -> float:
    """Return the score that a tenth of the negatives reach."""
    return float(np.quantile(scores[outcome == 0], SPECIFICITY))


def operating_point(cases: Cases, scores: Floats, *, specific: bool) -> dict[str, Any]:
    """Return the cut-off of a label and how it does: sensitivity, specificity and accuracy of each fold's films by the
    cut-off of the other folds, with 95 % intervals.

    specific  the cut-off with a specificity of 0.9 rather than the one where sensitivity and specificity are equal
    """
    cut_off = specific_cut_off if specific else balanced_cut_off
    return {
        "value": round(cut_off(cases.outcome, scores), 4),
        "operating_point": SPECIFIC if specific else BALANCED,
        **_rates(cases, called_out_of_fold(cases, scores, specific=specific)),
    }


def called_out_of_fold(cases: Cases, scores: Floats, *, specific: bool) -> NDArray[np.bool_]:
    """Return which cases are called positive, each by the cut-off of the other folds."""
    cut_off = specific_cut_off if specific else balanced_cut_off
    called = np.empty(len(scores), bool)
    for fold in np.unique(cases.folds):
        inside = cases.folds == fold
        called[inside] = scores[inside] >= cut_off(cases.outcome[~inside], scores[~inside])
    return called


def at_cut_off(cases: Cases, scores: Floats, value: float) -> dict[str, Any]:
    """Return sensitivity, specificity and accuracy at a given cut-off, with 95 % intervals."""
    return _rates(cases, scores >= value)


def _rates(cases: Cases, called: NDArray[np.bool_]) -> dict[str, Any]:
    sick = cases.outcome == 1
    return {
        "sensitivity": share_interval(called[sick], cases.patients[sick]),
        "specificity": share_interval(~called[~sick], cases.patients[~sick]),
        "accuracy": share_interval(called == sick, cases.patients),
    }


def subgroups_of(cases: Cases, scores: Floats, called: NDArray[np.bool_] | None = None) -> dict[str, dict[str, Any]]:
    """Return the figures by view, source, sex and age band.

    scores  calibrated, of each case
    called  which cases the cut-off calls positive; None without a cut-off

    Counts and, where there are enough films of each outcome, AUROC, calibration error and false negative rate with
    their 95 % intervals.
    """
    figures: dict[str, dict[str, Any]] = {}
    for name, chosen in _subgroups(cases.table):
        part = cases.part(chosen)
        figures[name] = {**part.counts, "auroc": None}
        if min(int(part.outcome.sum()), int((1 - part.outcome).sum())) < SMALLEST_SUBGROUP:
            continue
        figures[name]["auroc"] = auroc_interval(part.outcome, part.logits, part.patients)
        figures[name]["calibration_error"] = calibration_error_interval(part.outcome, scores[chosen], part.patients)
        if called is not None:
            sick = part.outcome == 1
            figures[name]["false_negative_rate"] = share_interval(~called[chosen][sick], part.patients[sick])
    return figures


def against_normal(cases: Cases) -> dict[str, Any] | None:
    """Return the AUROC with only films that a radiologist called normal as negatives, where such classes are known."""
    if "rsna_class" not in cases.table:
        return None
    normal = cases.table["rsna_class"].eq("Normal").to_numpy(bool)
    if normal.sum() < SMALLEST_SUBGROUP:
        return None
    part = cases.part(normal | (cases.outcome == 1))
    return {**part.counts, "auroc": auroc_interval(part.outcome, part.logits, part.patients)}


def source_control(cases: Cases) -> dict[str, Any] | None:
    """Return how well a label's logit tells the 64 px from the 1024 px films among the negatives; 0.5 is not at all."""
    negatives = cases.part(cases.outcome == 0)
    source = negatives.table["source"]
    large = source.eq("nih_1024").to_numpy(bool)
    known = large | source.eq("nih_64").to_numpy(bool)
    if min(large.sum(), (known & ~large).sum()) < SMALLEST_SUBGROUP:
        return None
    part = negatives.part(known)
    return {
        "films": len(part.outcome),
        "auroc_of_source": auroc_interval(large[known].astype(np.int64), part.logits, part.patients),
    }


def reason_not_served(figures: dict[str, Any]) -> str | None:
    """Return why a finding may not be served, or None."""
    if figures["positive_patients"] < LEAST_PATIENTS:
        return f"{figures['positive_patients']} positive patients in development, fewer than {LEAST_PATIENTS}"
    if figures["auroc"]["low"] <= LEAST_AUROC:
        return f"the interval of its AUROC reaches {LEAST_AUROC}"
    return None


def _subgroups(table: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for column in ("view", "source", "sex"):
        if column in table:
            for value in sorted(table[column].dropna().unique()):
                yield f"{column} {value}", table[column].eq(value).to_numpy(bool)
    if "age" in table:
        age = pd.to_numeric(table["age"], errors="coerce")
        for name, low, high in AGE_BANDS:
            yield f"age {name}", ((age >= low) & (age < high)).to_numpy(bool)
