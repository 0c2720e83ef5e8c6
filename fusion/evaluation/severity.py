"""Cases of the cohort with known course, and what `cds evaluate severity` measures on them.

Positive is intubated or in intensive care; negative is neither, both stated; everyone else is left out. The earliest
film of each patient counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import EventsError
from fusion.evaluation.metrics import METRICS, Ints, calibration_bins, calibration_error_by_chance, measure
from fusion.risks.models import PACKAGED
from fusion.risks.severity import NAME, SeverityModel, subset_name
from fusion.risks.severity_features import EMBEDDING, IMAGE, IMAGE_MODEL, MODALITIES, SUBSETS

_COURSE = ("intubated", "went_icu")
_NEEDED = ("file", "patientid", "offset", "license", *_COURSE)
LATE = 1e9
CLASSES_NEEDED = 5


def cases_of(cohort: pd.DataFrame, *, any_negative: bool = False) -> pd.DataFrame:
    """Return the earliest film of each patient whose course is known, with `severe` 0 or 1, in order of the table.

    cohort        columns file, patientid, offset (days), license, intubated, went_icu (Y, N or empty), and any others
    any_negative  sensitivity analysis: one stated N is enough for a negative

    Raises EventsError when a column is missing.
    """
    absent = [name for name in _NEEDED if name not in cohort.columns]
    if absent:
        raise EventsError(f"column {absent[0]!r} is missing; expected {', '.join(_NEEDED)}")
    offset = pd.to_numeric(cohort["offset"], errors="coerce").fillna(LATE)
    earliest = cohort.loc[offset.groupby(cohort["patientid"]).idxmin().sort_values()]
    said_yes = (cohort[list(_COURSE)] == "Y").any(axis=1).groupby(cohort["patientid"]).any()
    no = cohort[list(_COURSE)] == "N"
    said_no = (no.any(axis=1) if any_negative else no.all(axis=1)).groupby(cohort["patientid"]).any()
    yes = earliest["patientid"].map(said_yes).to_numpy(bool)
    known = yes | earliest["patientid"].map(said_no).to_numpy(bool)
    return earliest.assign(severe=yes.astype(np.int64))[known].reset_index(drop=True)


def evaluate_severity(table: pd.DataFrame, *, model: Path | None = None, resamples: int = 1000) -> dict[str, Any]:
    """Return metrics with 95 % intervals of a model (default: the packaged one), by the modalities that it is shown.

    table  cases (`cases_of`) with their features (`severity_features.row_of`)

    A model measured on the patients it was trained on looks better than it is; the packaged one was trained on the
    patients of the cohort whose films have a licence.
    """
    loaded = SeverityModel.load(model or PACKAGED / NAME)
    outcome = table["severe"].to_numpy(np.int64)
    everything = loaded.probability(table)
    answered = np.isfinite(everything)
    return {
        "model": {"id": loaded.card.id, "version": loaded.card.version, "sha256": loaded.card.weights_sha256},
        "enabled": loaded.card.enabled,
        "stays": int(answered.sum()),
        "severe": int(outcome[answered].sum()),
        "metrics": measured_by_modalities(loaded, table, resamples=resamples),
        "calibration": calibration_bins(outcome[answered], everything[answered]),
    }


def measured_by_modalities(model: SeverityModel, table: pd.DataFrame, *, resamples: int) -> dict[str, Any]:
    """Return metrics on cases as they are, and as they are when only some modalities are there."""
    outcome = table["severe"].to_numpy(np.int64)
    views = {"as given": table, **{subset_name(subset): only(table, subset) for subset in SUBSETS}}
    return {name: _measured(outcome, model.probability(view), resamples) for name, view in views.items()}


def only(table: pd.DataFrame, modalities: tuple[str, ...]) -> pd.DataFrame:
    """Return a table of features as it is when only these modalities were there."""
    dropped = {name for name in MODALITIES if name not in modalities}
    hidden = [
        n for n in table.columns if n.split(".")[0] in dropped or (n in (EMBEDDING, IMAGE_MODEL) and IMAGE in dropped)
    ]
    return table.drop(columns=hidden)


def _measured(outcome: Ints, probability: Any, resamples: int) -> dict[str, Any]:
    answered = np.isfinite(probability)
    positives = int(outcome[answered].sum())
    counts: dict[str, Any] = {"patients": int(answered.sum()), "severe": positives}
    if min(positives, counts["patients"] - positives) < CLASSES_NEEDED:
        return counts
    chance = calibration_error_by_chance(probability[answered], draws=resamples)
    found = measure(outcome[answered], probability[answered], metrics=METRICS, resamples=resamples)
    return counts | found | {"calibration_error_by_chance": chance}
