"""A patient's facts -> events of the current intensive care stay, and the words for what weighed.

The bridge between the record's keys and the parameters that the model of deterioration was trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from fusion.assessment import Contribution, Evidence, InputUsed
from fusion.facts import Encounter, Observation, Patient

STAY = timedelta(hours=48)
ADULT = 18
MINIMUM_PARAMETERS = 4


@dataclass(frozen=True)
class Parameter:
    """One parameter of the model: the record's key, the factor to the model's unit, and how a clinician names it.

    shown  factor and unit in which the value is told
    """

    name: str
    key: str
    words: str
    factor: float = 1.0
    shown: tuple[float, str] = (1.0, "")


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("HR", "heart_rate", "heart rate", shown=(1, "/min")),
    Parameter("NISysABP", "systolic_bp", "systolic pressure", shown=(1, "mmHg")),
    Parameter("NIDiasABP", "diastolic_bp", "diastolic pressure", shown=(1, "mmHg")),
    Parameter("RespRate", "respiratory_rate", "respiratory rate", shown=(1, "/min")),
    Parameter("Temp", "temperature_c", "temperature", shown=(1, "°C")),
    Parameter("SaO2", "spo2_percent", "oxygen saturation", shown=(1, "%")),
    Parameter("GCS", "glasgow_coma_scale", "Glasgow coma scale"),
    Parameter("FiO2", "fio2_percent", "inspired oxygen", 0.01, (100, "%")),
    Parameter("PaO2", "pao2_mmhg", "PaO2", shown=(1, "mmHg")),
    Parameter("PaCO2", "paco2_mmhg", "PaCO2", shown=(1, "mmHg")),
    Parameter("pH", "arterial_ph", "arterial pH"),
    Parameter("BUN", "bun_mg_dl", "urea", shown=(0.357, "mmol/L")),
    Parameter("Creatinine", "creatinine_mg_dl", "creatinine", shown=(88.4, "µmol/L")),
    Parameter("Na", "sodium_mmol_l", "sodium", shown=(1, "mmol/L")),
    Parameter("K", "potassium_mmol_l", "potassium", shown=(1, "mmol/L")),
    Parameter("Glucose", "glucose_mg_dl", "glucose", shown=(1 / 18.016, "mmol/L")),
    Parameter("HCT", "hematocrit_percent", "haematocrit", shown=(1, "%")),
    Parameter("WBC", "leukocytes_10e9_l", "white cells", shown=(1, "x10⁹/L")),
    Parameter("Platelets", "platelets_10e9_l", "platelets", shown=(1, "x10⁹/L")),
    Parameter("Lactate", "lactate_mmol_l", "lactate", shown=(1, "mmol/L")),
    Parameter("Albumin", "albumin_g_dl", "albumin", shown=(10, "g/L")),
    Parameter("Bilirubin", "bilirubin_mg_dl", "bilirubin", shown=(17.1, "µmol/L")),
    Parameter("TroponinI", "troponin_i_ng_l", "troponin I", 0.001, (1000, "ng/L")),
    Parameter("TroponinT", "troponin_t_ng_l", "troponin T", 0.001, (1000, "ng/L")),
    Parameter("Weight", "weight_kg", "weight", shown=(1, "kg")),
)

_OTHER_WORDS: Mapping[str, str] = {
    "Age": "age",
    "Gender": "sex",
    "Height": "height",
    "ICUType": "kind of intensive care unit",
    "Urine": "urine output",
    "MechVent": "mechanical ventilation",
    "SBP": "systolic pressure",
    "SysABP": "systolic pressure",
    "DBP": "diastolic pressure",
    "DiasABP": "diastolic pressure",
    "MBP": "mean pressure",
    "MAP": "mean pressure",
    "NIMAP": "mean pressure",
    "ShockIndex": "shock index",
    "PulsePressure": "pulse pressure",
    "PF": "PaO2/FiO2",
    "AnionGap": "anion gap",
    "UreaRatio": "urea to creatinine ratio",
    "HCO3": "bicarbonate",
    "Mg": "magnesium",
    "ALP": "alkaline phosphatase",
    "ALT": "ALT",
    "AST": "AST",
    "Cholesterol": "cholesterol",
    "Stay": "how long and how closely watched",
    "Composite": "severity by bedside points",
}
_VALUE_OF: Mapping[str, str] = {"SBP": "NISysABP", "DBP": "NIDiasABP", "SysABP": "NISysABP", "DiasABP": "NIDiasABP"}
_TREND = 0.1


def stay_of(patient: Patient, at: datetime) -> Encounter | None:
    """Return the intensive care encounter that is under way, the latest if there are several."""
    current = [
        e
        for e in patient.encounters
        if e.icu and e.start is not None and e.start <= at and (e.end is None or e.end >= at)
    ]
    return max(current, key=lambda encounter: encounter.start or at, default=None)


def reason_outside(patient: Patient, at: datetime) -> str | None:
    """Return why the risk of deterioration is not applicable, or None."""
    age = patient.age_at(at)
    if age is None:
        return "age unknown; made for adults in intensive care"
    if age < ADULT:
        return "made for adults"
    if stay_of(patient, at) is None:
        return "no intensive care stay under way in the record; made for adult intensive care"
    return None


def observed(patient: Patient, start: datetime, at: datetime) -> list[tuple[Parameter, Observation]]:
    """Return the observations of the first 48 hours of a stay, with their parameters."""
    end = min(at, start + STAY)
    return [
        (parameter, item)
        for parameter in PARAMETERS
        for item in patient.series(parameter.key)
        if start <= item.at <= end and isinstance(item.value, int | float)
    ]


def events_of(patient: Patient, start: datetime, at: datetime) -> pd.DataFrame:
    """Return the events of a stay in the layout of the model."""
    age = patient.age_at(at)
    rows: list[tuple[int, float, str, float]] = [(0, 0.0, "Age", float(age) if age is not None else -1.0)]
    if patient.sex in ("male", "female"):
        rows.append((0, 0.0, "Gender", float(patient.sex == "male")))
    height = patient.latest("height_cm", at=at)
    if height is not None:
        rows.append((0, 0.0, "Height", float(height.value)))
    for parameter, item in observed(patient, start, at):
        minute = (item.at - start) / timedelta(minutes=1)
        rows.append((0, minute, parameter.name, float(item.value) * parameter.factor))
    return pd.DataFrame(rows, columns=["record", "minute", "parameter", "value"])


def inputs_used(patient: Patient, start: datetime, at: datetime) -> tuple[InputUsed, ...]:
    """Return the latest value of each parameter with its provenance."""
    latest: dict[str, tuple[Parameter, Observation]] = {p.key: (p, item) for p, item in observed(patient, start, at)}
    return tuple(
        InputUsed(
            name=item.key,
            value=item.value,
            unit=item.unit,
            at=item.at,
            evidence=Evidence(kind="record", reference=item.reference, detail=parameter.words),
        )
        for parameter, item in latest.values()
    )


def missing(patient: Patient, start: datetime, at: datetime) -> tuple[str, ...]:
    seen = {item.key for _, item in observed(patient, start, at)}
    return tuple(parameter.key for parameter in PARAMETERS if parameter.key not in seen)


def in_words(weights: Mapping[str, float], features: Mapping[str, float], most: int = 6) -> tuple[Contribution, ...]:
    """Return the heaviest contributions in clinical words, such as "urea 18 mmol/L, rising"."""
    gathered: dict[str, float] = {}
    for name, weight in weights.items():
        words = _words(name, features)
        gathered[words] = gathered.get(words, 0.0) + weight
    heaviest = sorted(gathered.items(), key=lambda pair: -abs(pair[1]))[:most]
    return tuple(Contribution(text=text, weight=round(weight, 4)) for text, weight in heaviest)


def _words(name: str, features: Mapping[str, float]) -> str:
    source = _VALUE_OF.get(name, name)
    parameter = next((parameter for parameter in PARAMETERS if parameter.name == source), None)
    if name == "Age":
        return f"age {features['Age.value']:.0f}"
    if parameter is None:
        return _OTHER_WORDS.get(name, name)
    last, first = features.get(f"{source}.last", float("nan")), features.get(f"{source}.first", float("nan"))
    if last != last:
        return f"{parameter.words} not measured"
    factor, unit = parameter.shown
    return " ".join(filter(None, [parameter.words, f"{last * factor:.3g}", unit])) + "".join(_trend(first, last))


def _trend(first: float, last: float) -> Iterator[str]:
    if first == first and abs(last - first) > _TREND * max(abs(first), 1e-9):
        yield ", rising" if last > first else ", falling"
