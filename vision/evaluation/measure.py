"""Out-of-fold logits of a whole task -> everything a card says in numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.evaluation.figures import (
    against_normal,
    calibration_of,
    called_out_of_fold,
    cases_of,
    cross_fitted,
    figures_of,
    operating_point,
    reason_not_served,
    source_control,
    subgroups_of,
)
from vision.evaluation.films import LabelledFilms


@dataclass
class Measured:
    """The numbers of a card; `tried` says why a label is not served."""

    served: tuple[str, ...] = ()
    tried: dict[str, str] = field(default_factory=dict)
    calibration: dict[str, tuple[float, float]] = field(default_factory=dict)
    prevalence: dict[str, float] = field(default_factory=dict)
    thresholds: dict[str, dict[str, Any]] = field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)
    subgroups: dict[str, dict[str, Any]] = field(default_factory=dict)


def measured(
    films: LabelledFilms,
    logits: NDArray[np.float32],
    folds: int,
    *,
    untrusted: Mapping[str, str],
    without_cut_off: Collection[str],
    specific: Collection[str],
) -> Measured:
    """Return the numbers of a card.

    logits           float32 [N, K], each by a network that has not seen the patient
    untrusted        labels not to be served whatever their figures, with the reason
    without_cut_off  labels served as a score only
    specific         labels whose cut-off is that of a high specificity, the others' being balanced
    """
    numbers = Measured()
    for label in films.labels:
        cases = cases_of(films, logits, label, folds)
        scores = cross_fitted(cases)
        figures = figures_of(cases, scores)
        numbers.calibration[label] = calibration_of(cases)
        numbers.prevalence[label] = round(float(cases.outcome.mean()), 4)
        numbers.metrics[label] = figures
        reason = untrusted.get(label) or reason_not_served(figures)
        if reason is not None:
            numbers.tried[label] = reason
            continue
        numbers.served = (*numbers.served, label)
        cut = label not in without_cut_off
        called = called_out_of_fold(cases, scores, specific=label in specific) if cut else None
        numbers.subgroups[label] = subgroups_of(cases, scores, called)
        controls = {"against_normal_only": against_normal(cases), "source_among_negatives": source_control(cases)}
        numbers.metrics[label] |= {name: value for name, value in controls.items() if value is not None}
        if cut:
            numbers.thresholds[label] = operating_point(cases, scores, specific=label in specific)
    return numbers
