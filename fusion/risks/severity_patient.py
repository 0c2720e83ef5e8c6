"""A patient's facts, film and report -> features of severity, and whom it is for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fusion.facts import Observation, Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.risks.severity_features import LIMITS, row_of

ADULT = 18
CONDITION = "pneumonia"
FRESH = timedelta(days=2)


def reason_outside(patient: Patient, at: datetime) -> str | None:
    """Return why the risk of severity is not applicable, or None."""
    age = patient.age_at(at)
    if age is None:
        return "age unknown; made for adults"
    if age < ADULT:
        return "made for adults"
    if patient.condition(CONDITION) is None:
        return "no pneumonia in the record; made for adults with viral pneumonia"
    return None


def observed(patient: Patient, at: datetime) -> list[Observation]:
    """Return the latest value of each feature of the record, not older than two days."""
    found = (patient.latest(key, at=at, within=FRESH) for key in LIMITS if key not in ("age", "male"))
    return [item for item in found if item is not None and isinstance(item.value, int | float)]


def features_of(
    patient: Patient, imaging: ImagingInput | None, report: ReportInput | None, at: datetime
) -> dict[str, Any]:
    """Return the features of a patient at a time, as the model takes them."""
    age = patient.age_at(at)
    record: dict[str, float | None] = {item.key: float(item.value) for item in observed(patient, at)}
    record["age"] = None if age is None else float(age)
    record["male"] = float(patient.sex == "male") if patient.sex in ("male", "female") else None
    image = imaging.result if imaging is not None and imaging.usable else None
    return row_of(image, report.report if report is not None and report.usable else None, record)
