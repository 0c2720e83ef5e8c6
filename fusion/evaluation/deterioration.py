"""What `cds evaluate deterioration` measures: a model of in-hospital death on stays with known outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fusion.evaluation.metrics import calibration_bins, measure
from fusion.evaluation.stays import read_cohorts
from fusion.risks.deterioration import NAME, DeteriorationModel
from fusion.risks.events import Stays
from fusion.risks.models import PACKAGED


@dataclass(frozen=True)
class View:
    """What is known of a stay: everything until an hour, and of its descriptors perhaps the age only."""

    hours: int
    age_only: bool = False

    def __str__(self) -> str:
        return f"first {self.hours} h" + (", of the descriptors age only" if self.age_only else "")

    def of(self, stays: Stays) -> Stays:
        """Return stays as this view shows them."""
        until = stays.until(np.full(len(stays.records), self.hours * 60.0))
        if not self.age_only:
            return until
        unknown = {name: np.full_like(values, np.nan) for name, values in stays.descriptors.items()}
        return replace(until, descriptors={**unknown, "Age": stays.descriptors["Age"]})


VIEWS = (View(48), View(36), View(24), View(12), View(6), View(6, age_only=True))
"""The views that every figure is reported for."""


def evaluate_deterioration(
    data: Path, *, model: Path | None = None, names: tuple[str, ...] | None = None, resamples: int = 1000
) -> dict[str, Any]:
    """Return metrics with 95 % intervals per view, and calibration bins, of a model (default: the packaged one).

    data  folder of set_NAME.parquet (record, minute, parameter, value) and outcomes_NAME.csv

    A model measured on the stays it was trained on looks better than it is; the packaged one was trained on sets a
    and b of PhysioNet/CinC 2012.
    Raises EventsError for another layout, ModelError when the model cannot be trusted.
    """
    loaded = DeteriorationModel.load(model or PACKAGED / NAME)
    cohorts = read_cohorts(data, names)
    outcome = np.concatenate([cohort.outcome for cohort in cohorts])
    probability = {
        view: np.concatenate([loaded.probability(view.of(cohort.stays)) for cohort in cohorts]) for view in VIEWS
    }
    return {
        "model": {"id": loaded.card.id, "version": loaded.card.version, "sha256": loaded.card.weights_sha256},
        "trained_on": [source["name"] for source in loaded.card.training_data],
        "sets": [cohort.name for cohort in cohorts],
        "stays": len(outcome),
        "deaths": int(outcome.sum()),
        "metrics": {str(view): measure(outcome, probability[view], resamples=resamples) for view in VIEWS},
        "calibration": calibration_bins(outcome, probability[VIEWS[0]]),
    }
