"""Events of intensive care stays in the layout of PhysioNet 2012, cleaned: one row per stay, parameter and minute.

The layout is (record, minute, parameter, value) with -1 for missing. Slips of unit that are certain are mended (a pH of
735, a temperature in Fahrenheit, a height in inches); what cannot be is dropped, never clipped to something plausible.
Knows no FHIR and no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusion.errors import EventsError

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]
Rows = tuple[Index, Array, Array]
"""Stay, minute and value of the measurements of one parameter, sorted by stay and minute."""

DESCRIPTORS: Mapping[str, tuple[float, float]] = {
    "Age": (14, 120),
    "Gender": (0, 1),
    "Height": (120, 230),
    "ICUType": (1, 4),
}
"""Parameters that hold for the whole stay, with the range in which a value is believed."""

SERIES: Mapping[str, tuple[float, float]] = {
    "ALP": (1, 5000),
    "ALT": (1, 20000),
    "AST": (1, 40000),
    "Albumin": (0.5, 7),
    "BUN": (1, 300),
    "Bilirubin": (0.05, 80),
    "Cholesterol": (10, 600),
    "Creatinine": (0.05, 30),
    "DiasABP": (10, 200),
    "FiO2": (0.2, 1.0),
    "GCS": (3, 15),
    "Glucose": (8, 2000),
    "HCO3": (2, 60),
    "HCT": (5, 75),
    "HR": (10, 300),
    "K": (1, 12),
    "Lactate": (0.1, 40),
    "MAP": (15, 250),
    "MechVent": (0, 1),
    "Mg": (0.3, 12),
    "NIDiasABP": (10, 200),
    "NIMAP": (15, 250),
    "NISysABP": (30, 300),
    "Na": (90, 200),
    "PaCO2": (5, 200),
    "PaO2": (15, 700),
    "Platelets": (1, 2500),
    "RespRate": (2, 90),
    "SaO2": (30, 100),
    "SysABP": (30, 300),
    "Temp": (25, 44),
    "TroponinI": (0, 200),
    "TroponinT": (0, 100),
    "Urine": (0, 3000),
    "WBC": (0.05, 500),
    "Weight": (25, 350),
    "pH": (6.5, 8.0),
}
"""Parameters measured over time, with the range in which a value is believed."""

MINUTES = 48 * 60
_COLUMNS = ("record", "minute", "parameter", "value")


@dataclass(frozen=True)
class Stays:
    """Cleaned stays.

    records      (n,) record numbers, ascending
    descriptors  name -> (n,) value, NaN when unknown
    stay, minute, value  per parameter, sorted by stay and minute: index into `records`, minutes from admission, value
    end          (n,) minute of the last believed measurement of each stay
    """

    records: npt.NDArray[Any]
    descriptors: Mapping[str, Array]
    series: Mapping[str, Rows]
    end: Array

    def until(self, minutes: Array) -> Stays:
        """Return the stays as they were known at a minute of each stay."""
        series = {}
        for name, (stay, minute, value) in self.series.items():
            known = minute <= minutes[stay]
            series[name] = (stay[known], minute[known], value[known])
        return Stays(self.records, self.descriptors, series, _ends(series, len(self.records)))


def stays_of(events: pd.DataFrame) -> Stays:
    """Return cleaned stays of a table of events; events after 48 hours and unknown parameters are left out.

    Raises EventsError when a column is missing or not numeric.
    """
    absent = [name for name in _COLUMNS if name not in events.columns]
    if absent:
        raise EventsError(f"column {absent[0]!r} is missing; expected {', '.join(_COLUMNS)}")
    for name in ("minute", "value"):
        if not pd.api.types.is_numeric_dtype(events[name]):
            raise EventsError(f"column {name!r} must be numeric")
    records, stay = np.unique(events["record"].to_numpy(), return_inverse=True)
    minute = events["minute"].to_numpy(np.float64)
    value = events["value"].to_numpy(np.float64)
    usable = np.isfinite(value) & (value != -1) & (minute >= 0) & (minute <= MINUTES)
    code, names = pd.factorize(events["parameter"])
    order = np.lexsort((minute, stay, code))
    order = order[usable[order]]
    bounds = np.searchsorted(code[order], np.arange(len(names) + 1))
    rows = {str(name): order[bounds[i] : bounds[i + 1]] for i, name in enumerate(names)}
    none = np.array([], dtype=np.int64)
    series = {}
    for name, limits in SERIES.items():
        index = rows.get(name, none)
        series[name] = _believed(name, limits, stay[index], minute[index], value[index])
    descriptors = {}
    for name, limits in DESCRIPTORS.items():
        index = rows.get(name, none)
        at, _, seen = _believed(name, limits, stay[index], minute[index], value[index])
        column = np.full(len(records), np.nan)
        column[at] = seen
        descriptors[name] = column
    return Stays(records, descriptors, series, _ends(series, len(records)))


def _ends(series: Mapping[str, Rows], count: int) -> Array:
    end = np.zeros(count)
    for stay, minute, _ in series.values():
        np.maximum.at(end, stay, minute)
    return end


def _believed(name: str, limits: tuple[float, float], stay: Index, minute: Array, value: Array) -> Rows:
    mended = _mended(name, value)
    kept = (mended >= limits[0]) & (mended <= limits[1])
    return stay[kept], minute[kept], mended[kept]


def _mended(name: str, value: Array) -> Array:
    """Return values with certain slips of unit undone."""
    if name == "pH":
        value = np.where((value >= 650) & (value <= 800), value / 100, value)
        return np.where((value >= 65) & (value <= 80), value / 10, value)
    if name == "Temp":
        return np.where((value >= 80) & (value <= 112), (value - 32) / 1.8, value)
    if name == "Height":
        value = np.where((value >= 1.2) & (value <= 2.3), value * 100, value)
        value = np.where((value >= 48) & (value <= 84), value * 2.54, value)
        return np.where((value >= 305) & (value <= 584), value / 2.54, value)
    if name == "FiO2":
        return np.where((value >= 20) & (value <= 100), value / 100, value)
    return value
