"""Learned risks, each for its declared population.

events.py                  events of intensive care stays, cleaned
deterioration_features.py  features from whatever was measured up to an hour
boosters.py                averaged boosted trees with their calibration
card.py                    model folders and their verification
deterioration.py           risk of in-hospital death
intensive_care.py          a patient's facts -> events; contributions in clinical words
severity_features.py       features from film, note and record, whichever there are
severity.py                risk of intensive care or intubation
severity_patient.py        a patient's facts, film and report -> features of severity
models.py                  what is served, asked per patient
"""

from __future__ import annotations

from functools import lru_cache

import pandas as pd

from fusion.risks.deterioration import NAME, DeteriorationModel
from fusion.risks.models import PACKAGED, RiskModels
from fusion.risks.severity import NAME as SEVERITY
from fusion.risks.severity import SeverityModel


@lru_cache(maxsize=1)
def _packaged_deterioration() -> DeteriorationModel:
    return DeteriorationModel.load(PACKAGED / NAME)


def predict_deterioration(events: pd.DataFrame) -> pd.DataFrame:
    """Return record and probability of in-hospital death of adult ICU stays.

    events  columns record, minute (from admission), parameter (names of PhysioNet/CinC 2012), value; -1 is missing

    Raises EventsError for another layout, ModelError when the packaged model cannot be trusted.
    """
    return _packaged_deterioration().predict(events)


def predict_severity(table: pd.DataFrame) -> pd.DataFrame:
    """Return file and probability of intensive care or intubation of adults with viral pneumonia.

    table  `file`, the features of `severity_features.row_of`, and `embedding`; what is not there is missing

    Answers whether the model is switched on or not: the card says what it is worth.
    Raises EventsError for another layout, ModelError when the packaged model cannot be trusted.
    """
    return SeverityModel.load(PACKAGED / SEVERITY).predict(table)


__all__ = ["DeteriorationModel", "RiskModels", "SeverityModel", "predict_deterioration", "predict_severity"]
