"""A patient's facts -> events of the current intensive care stay, and the words for what weighed.

The bridge between the record's keys and the parameters that the model of deterioration was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

    shown   factor and unit in which the value is told
    steady  change over the stay, in the model's unit, that is not called rising or falling; None: a tenth of the first
    """

    name: str
    key: str | None
    words: str
    factor: float = 1.0
    shown: tuple[float, str] = (1.0, "")
    steady: float | None = None


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("HR", "heart_rate", "heart rate", shown=(1, "/min")),
    Parameter("NISysABP", "systolic_bp", "systolic pressure", shown=(1, "mmHg")),
    Parameter("NIDiasABP", "diastolic_bp", "diastolic pressure", shown=(1, "mmHg")),
    Parameter("RespRate", "respiratory_rate", "respiratory rate", shown=(1, "/min")),
    Parameter("Temp", "temperature_c", "temperature", shown=(1, "°C"), steady=0.5),
    Parameter("SaO2", "spo2_percent", "oxygen saturation", shown=(1, "%"), steady=2),
    Parameter("GCS", "glasgow_coma_scale", "Glasgow coma scale", steady=0.5),
    Parameter("FiO2", "fio2_percent", "inspired oxygen", 0.01, (100, "%")),
    Parameter("PaO2", "pao2_mmhg", "PaO2", shown=(1, "mmHg")),
    Parameter("PaCO2", "paco2_mmhg", "PaCO2", shown=(1, "mmHg")),
    Parameter("pH", "arterial_ph", "arterial pH", steady=0.04),
    Parameter("BUN", "bun_mg_dl", "urea", shown=(0.357, "mmol/L")),
    Parameter("Creatinine", "creatinine_mg_dl", "creatinine", shown=(88.4, "µmol/L")),
    Parameter("Na", "sodium_mmol_l", "sodium", shown=(1, "mmol/L"), steady=3),
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
    Parameter("HCO3", "bicarbonate_mmol_l", "bicarbonate", shown=(1, "mmol/L")),
    Parameter("Mg", "magnesium_mg_dl", "magnesium", shown=(1, "mg/dL")),
    Parameter("ALP", "alkaline_phosphatase_u_l", "alkaline phosphatase", shown=(1, "U/L")),
    Parameter("ALT", "alt_u_l", "ALT", shown=(1, "U/L")),
    Parameter("AST", "ast_u_l", "AST", shown=(1, "U/L")),
    Parameter("Cholesterol", "cholesterol_mg_dl", "cholesterol", shown=(1, "mg/dL")),
    Parameter("NIMAP", "mean_arterial_pressure", "mean pressure", shown=(1, "mmHg")),
    Parameter("Urine", "urine_output_ml", "urine output", shown=(1, "mL at a time")),
    Parameter("MechVent", "mechanical_ventilation", "mechanical ventilation"),
)

_DERIVED: tuple[Parameter, ...] = (
    Parameter("MBP", None, "mean pressure", shown=(1, "mmHg")),
    Parameter("MAP", None, "mean pressure", shown=(1, "mmHg")),
    Parameter("ShockIndex", None, "shock index"),
    Parameter("PulsePressure", None, "pulse pressure", shown=(1, "mmHg")),
    Parameter("PF", None, "PaO2/FiO2", shown=(1, "mmHg")),
    Parameter("AnionGap", None, "anion gap", shown=(1, "mmol/L")),
    Parameter("UreaRatio", None, "urea nitrogen to creatinine ratio"),
)
"""Parameters that are formed from others, or measured invasively, which the record does not tell apart."""

_BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in (*PARAMETERS, *_DERIVED)}
_DESCRIPTOR_WORDS: Mapping[str, str] = {
    "Gender": "sex",
    "Height": "height",
    "ICUType": "kind of intensive care unit",
    "Stay": "how long and how closely watched",
}
_SAME_AS: Mapping[str, str] = {"SBP": "NISysABP", "DBP": "NIDiasABP", "SysABP": "NISysABP", "DiasABP": "NIDiasABP"}
_TREND = 0.1
_NAMED = 4
_NAN = float("nan")


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


Measured = tuple[Parameter, Observation]


def observed(patient: Patient, start: datetime, at: datetime) -> list[Measured]:
    """Return the observations of the first 48 hours of a stay, with their parameters."""
    end = min(at, start + STAY)
    return [
        (parameter, item)
        for parameter in PARAMETERS
        for item in patient.series(parameter.key or "")
        if start <= item.at <= end and isinstance(item.value, int | float)
    ]


def events_of(patient: Patient, start: datetime, at: datetime, seen: Sequence[Measured]) -> pd.DataFrame:
    """Return the events of a stay in the layout of the model, from its observations."""
    age = patient.age_at(at)
    rows: list[tuple[int, float, str, float]] = [(0, 0.0, "Age", float(age) if age is not None else -1.0)]
    if patient.sex in ("male", "female"):
        rows.append((0, 0.0, "Gender", float(patient.sex == "male")))
    height = patient.latest("height_cm", at=at)
    if height is not None:
        rows.append((0, 0.0, "Height", float(height.value)))
    for parameter, item in seen:
        minute = (item.at - start) / timedelta(minutes=1)
        rows.append((0, minute, parameter.name, float(item.value) * parameter.factor))
    return pd.DataFrame(rows, columns=["record", "minute", "parameter", "value"])


def inputs_used(seen: Sequence[Measured]) -> tuple[InputUsed, ...]:
    """Return the latest value of each parameter with its provenance."""
    latest = {parameter.key: (parameter, item) for parameter, item in seen}
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


def missing(seen: Sequence[Measured]) -> tuple[str, ...]:
    """Return the keys of the parameters that were not measured in the stay."""
    keys = {parameter.key for parameter, _ in seen}
    return tuple(p.key for p in PARAMETERS if p.key is not None and p.key not in keys)


def in_words(weights: Mapping[str, float], features: Mapping[str, float], most: int = 6) -> tuple[Contribution, ...]:
    """Return the heaviest contributions in clinical words, such as "urea 18 mmol/L, rising".

    What was not measured weighs, too; it is gathered into one contribution that names the heaviest of it.
    """
    gathered: dict[str, float] = {}
    unmeasured: dict[str, float] = {}
    for name, weight in weights.items():
        words = _words(name, features)
        known = words is not None
        words = words or _unmeasured_words(name)
        (gathered if known else unmeasured)[words] = (gathered if known else unmeasured).get(words, 0.0) + weight
    if unmeasured:
        named = sorted(unmeasured, key=lambda words: -abs(unmeasured[words]))[:_NAMED]
        gathered[f"not measured: {', '.join(named)}"] = sum(unmeasured.values())
    heaviest = sorted(gathered.items(), key=lambda pair: -abs(pair[1]))[:most]
    return tuple(Contribution(text=text, weight=round(weight, 4)) for text, weight in heaviest)


def _unmeasured_words(name: str) -> str:
    return _DESCRIPTOR_WORDS.get(name) or _BY_NAME[_SAME_AS.get(name, name)].words


def _words(name: str, features: Mapping[str, float]) -> str | None:
    """Return a parameter with its latest value and its course; None when it was not measured."""
    if name == "Age":
        return f"age {features['Age.value']:.0f}"
    if name == "Gender":
        return {1.0: "male", 0.0: "female"}.get(features["Gender.value"])
    if name == "Stay":
        return _DESCRIPTOR_WORDS[name]
    if name == "MechVent":
        return _BY_NAME[name].words if features.get("MechVent.ever") == 1 else None
    if name in _DESCRIPTOR_WORDS:
        return _DESCRIPTOR_WORDS[name] if features.get(f"{name}.value", _NAN) > 0 else None
    source = _SAME_AS.get(name, name)
    parameter = _BY_NAME[source]
    last, first = features.get(f"{source}.last", _NAN), features.get(f"{source}.first", _NAN)
    if math.isnan(last):
        return None
    factor, unit = parameter.shown
    return " ".join(filter(None, [parameter.words, _figure(last * factor), unit])) + _trend(parameter, first, last)


def _figure(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _trend(parameter: Parameter, first: float, last: float) -> str:
    steady = _TREND * abs(first) if parameter.steady is None else parameter.steady
    if abs(last - first) <= steady:
        return ""
    return ", rising" if last > first else ", falling"
