"""Features of an intensive care stay, from whatever was measured up to an hour of it.

Every feature is NaN where nothing was measured; counts are 0. Nothing is imputed. Names are `parameter.statistic`, so
that contributions can be gathered by parameter. Knows no outcome and no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusion.risks.events import SERIES, Array, Rows, Stays

_HOUR = 60.0
_LAST_WINDOWS = (6, 12, 24)
_DAY_PARTS = ((0, 12), (12, 24), (24, 36), (36, 48))
_PAIRED_WITHIN = 240.0
_FREQUENT = (
    "HR", "SBP", "DBP", "MBP", "Temp", "RespRate", "GCS", "Urine", "FiO2", "SaO2", "PaO2", "PaCO2", "pH", "PF",
    "ShockIndex", "Lactate", "BUN", "Creatinine", "HCO3", "Na", "K", "Glucose", "WBC", "Platelets", "HCT",
    "PulsePressure",
)  # fmt: skip


def features_of(stays: Stays) -> pd.DataFrame:
    """Return one row per stay, in the order of `stays.records`; columns are always the same and in the same order."""
    columns = feature_columns(stays)
    return pd.DataFrame(stacked(columns, tuple(columns)), columns=pd.Index(columns))


def stacked(columns: Mapping[str, Array], names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return (stays, names) of some columns."""
    values = np.concatenate([columns[name] for name in names]) if names else np.empty(0)
    return np.ascontiguousarray(values.reshape(len(names), -1).T, dtype=np.float32)


def feature_columns(stays: Stays) -> dict[str, Array]:
    """Return each feature as (stays,), always the same ones in the same order."""
    series = dict(with_derived(stays.series))
    columns: dict[str, Array] = {}
    end = stays.end
    columns["Stay.hours"] = end / _HOUR
    for name, values in stays.descriptors.items():
        columns[f"{name}.value"] = values
    height, age = stays.descriptors["Height"], stays.descriptors["Age"]
    for name, rows in series.items():
        columns.update({f"{name}.{statistic}": value for statistic, value in _course(name, rows, end)})
    columns["Weight.bmi"] = columns["Weight.first"] / (height / 100) ** 2
    columns.update(_urine(series["Urine"], end, columns["Weight.first"]))
    columns.update(_ventilation(series["MechVent"], end))
    columns.update(_combined(columns, age))
    measured = np.column_stack([columns[f"{name}.count"] for name in SERIES])
    columns["Stay.parameters"] = (measured > 0).sum(axis=1).astype(float)
    columns["Stay.measurements_per_hour"] = measured.sum(axis=1) / np.maximum(end / _HOUR, 1)
    return columns


def with_derived(measured: Mapping[str, Rows]) -> Iterator[tuple[str, Rows]]:
    """Yield the measured series by name, then those formed from them."""
    yield from measured.items()
    merged = {
        "SBP": _merged(measured["SysABP"], measured["NISysABP"]),
        "DBP": _merged(measured["DiasABP"], measured["NIDiasABP"]),
        "MBP": _merged(measured["MAP"], measured["NIMAP"]),
    }
    yield from merged.items()
    yield "ShockIndex", _paired(measured["HR"], merged["SBP"], np.divide)
    yield "PulsePressure", _paired(merged["SBP"], merged["DBP"], np.subtract)
    yield "PF", _paired(measured["PaO2"], measured["FiO2"], np.divide)
    yield "AnionGap", _paired(_paired(measured["Na"], measured["HCO3"], np.subtract), measured["K"], np.add)
    yield "UreaRatio", _paired(measured["BUN"], measured["Creatinine"], np.divide)


def _merged(invasive: Rows, cuff: Rows) -> Rows:
    """Return both series as one, in order of time; where both were measured at a minute, the invasive comes first."""
    stay = np.concatenate([invasive[0], cuff[0]])
    minute = np.concatenate([invasive[1], cuff[1]])
    value = np.concatenate([invasive[2], cuff[2]])
    order = np.lexsort((minute, stay))
    return stay[order], minute[order], value[order]


def _paired(left: Rows, right: Rows, operation: np.ufunc) -> Rows:
    """Return operation(left, the last right value at most four hours before) at the minutes of left."""
    if not len(left[0]) or not len(right[0]):
        return left[0][:0], left[1][:0], left[2][:0]
    span = 10_000.0
    at = np.searchsorted(right[0] * span + right[1], left[0] * span + left[1], side="right") - 1
    held = np.maximum(at, 0)
    fits = (at >= 0) & (right[0][held] == left[0]) & (left[1] - right[1][held] <= _PAIRED_WITHIN)
    return left[0][fits], left[1][fits], operation(left[2][fits], right[2][held[fits]])


def _course(name: str, rows: Rows, end: Array) -> Iterator[tuple[str, Array]]:
    """Yield the statistics of one parameter over the stay and its windows."""
    count = len(end)
    stay, minute, _ = rows
    whole = _Groups(rows, count)
    yield "count", whole.count
    if name == "MechVent":
        return
    if not len(stay):
        nothing = np.full(count, np.nan)
        yield from ((statistic, nothing) for statistic in _statistics(name))
        return
    first, last = whole.first, whole.last
    yield "first", first
    yield "last", last
    yield "min", whole.minimum
    yield "max", whole.maximum
    yield "mean", whole.mean
    yield "median", whole.median()
    yield "std", whole.std()
    yield "slope", whole.slope()
    yield "change", last - first
    yield "since", end - whole.last_minute
    yield "first_at", whole.first_minute
    before_end = end[stay] - minute
    if name not in _FREQUENT:
        return
    for hours in _LAST_WINDOWS:
        window = _Groups(_where(rows, before_end <= hours * _HOUR), count)
        yield from window.level(f"last_{hours}h")
    for start, stop in _DAY_PARTS:
        part = _Groups(_where(rows, (minute >= start * _HOUR) & (minute < stop * _HOUR)), count)
        yield from part.level(f"{start}_{stop}h")


@cache
def _statistics(name: str) -> tuple[str, ...]:
    """Return the names of the statistics of a parameter other than its count, in their order."""
    one = np.zeros(1)
    course = _course(name, (np.zeros(1, dtype=np.int64), one, one), one)
    return tuple(statistic for statistic, _ in course if statistic != "count")


def _where(rows: Rows, kept: npt.NDArray[np.bool_]) -> Rows:
    return rows[0][kept], rows[1][kept], rows[2][kept]


class _Groups:
    """Statistics by stay of rows sorted by stay and minute; (count,) arrays, NaN where a stay has no row."""

    def __init__(self, rows: Rows, count: int) -> None:
        self._stay, self._minute, self._value = rows
        self._count = count

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        new = np.ones(len(self._stay), dtype=bool)
        np.not_equal(self._stay[1:], self._stay[:-1], out=new[1:])
        return new.nonzero()[0]

    @cached_property
    def _at(self) -> npt.NDArray[np.int64]:
        return self._stay[self._starts]

    @cached_property
    def count(self) -> Array:
        return np.bincount(self._stay, minlength=self._count).astype(float)

    @cached_property
    def _sizes(self) -> npt.NDArray[np.int64]:
        return self.count[self._at].astype(np.int64)

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return self._starts + self._sizes - 1

    @property
    def first(self) -> Array:
        return self._spread(self._value[self._starts])

    @property
    def first_minute(self) -> Array:
        return self._spread(self._minute[self._starts])

    @property
    def last(self) -> Array:
        return self._spread(self._value[self._ends])

    @property
    def last_minute(self) -> Array:
        return self._spread(self._minute[self._ends])

    @property
    def minimum(self) -> Array:
        return self._reduced(np.minimum, self._value)

    @property
    def maximum(self) -> Array:
        return self._reduced(np.maximum, self._value)

    @cached_property
    def mean(self) -> Array:
        return self._sums(self._value) / np.maximum(self.count, 1)

    def level(self, window: str) -> Iterator[tuple[str, Array]]:
        """Yield mean, minimum and maximum, named for their window."""
        if not len(self._value):
            nothing = np.full(self._count, np.nan)
            yield from ((f"{name}_{window}", nothing) for name in ("mean", "min", "max"))
            return
        yield f"mean_{window}", self.mean
        yield f"min_{window}", self.minimum
        yield f"max_{window}", self.maximum

    def _spread(self, values: Array) -> Array:
        out = np.full(self._count, np.nan)
        out[self._at] = values
        return out

    def _reduced(self, operation: np.ufunc, values: Array) -> Array:
        return self._spread(operation.reduceat(values, self._starts)) if len(values) else np.full(self._count, np.nan)

    def _sums(self, values: Array) -> Array:
        return self._reduced(np.add, values)

    def median(self) -> Array:
        order = np.lexsort((self._value, self._stay))
        ordered = self._value[order]
        low = self._starts + (self._sizes - 1) // 2
        high = self._starts + self._sizes // 2
        return self._spread((ordered[low] + ordered[high]) / 2)

    def std(self) -> Array:
        deviation = self._value - self.mean[self._stay]
        variance = self._sums(deviation**2) / np.maximum(self.count - 1, 1)
        return np.where(self.count > 1, np.sqrt(variance), np.nan)

    def slope(self) -> Array:
        """Return the least-squares slope per hour."""
        hours = self._minute / _HOUR
        centre = self._sums(hours) / np.maximum(self.count, 1)
        offset = hours - centre[self._stay]
        spread = self._sums(offset**2)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(spread > 0, self._sums(offset * (self._value - self.mean[self._stay])) / spread, np.nan)


def _urine(rows: Rows, end: Array, weight: Array) -> dict[str, Array]:
    columns = {}
    count = len(end)
    hours = np.maximum(end / _HOUR, 1)
    total = np.bincount(rows[0], rows[2], minlength=count)
    measured = np.bincount(rows[0], minlength=count) > 0
    columns["Urine.per_hour"] = np.where(measured, total / hours, np.nan)
    columns["Urine.per_kg_hour"] = columns["Urine.per_hour"] / weight
    for window in (6, 12, 24):
        recent = _where(rows, end[rows[0]] - rows[1] <= window * _HOUR)
        output = np.bincount(recent[0], recent[2], minlength=count)
        columns[f"Urine.total_last_{window}h"] = np.where(measured & (end >= window * _HOUR), output, np.nan)
    first_day = _where(rows, rows[1] <= 24 * _HOUR)
    columns["Urine.total_first_24h"] = np.where(
        measured, np.bincount(first_day[0], first_day[2], minlength=count), np.nan
    )
    return columns


def _ventilation(rows: Rows, end: Array) -> dict[str, Array]:
    groups = _Groups(rows, len(end))
    seen = groups.count > 0
    return {
        "MechVent.ever": seen.astype(float),
        "MechVent.first_at": groups.first_minute,
        "MechVent.since": end - groups.last_minute,
        "MechVent.hours": np.where(seen, (groups.last_minute - groups.first_minute) / _HOUR, 0.0),
        "MechVent.at_end": (seen & (end - groups.last_minute <= 6 * _HOUR)).astype(float),
    }


def _combined(columns: dict[str, Array], age: Array) -> dict[str, Array]:
    """Return ratios that bedside scores use, from the latest or worst values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "ShockIndex.with_age": columns["ShockIndex.last"] * age,
            "GCS.with_age": columns["GCS.last"] / age,
            "GCS.range": columns["GCS.max"] - columns["GCS.min"],
            "BUN.with_age": columns["BUN.last"] * age,
            "BUN.per_albumin": columns["BUN.last"] / columns["Albumin.last"],
            "Lactate.per_albumin": columns["Lactate.last"] / columns["Albumin.last"],
            "Bilirubin.with_creatinine": np.log1p(columns["Bilirubin.last"]) + np.log1p(columns["Creatinine.last"]),
            "HR.per_temperature": columns["HR.mean"] / columns["Temp.mean"],
            "PaCO2.with_rate": columns["PaCO2.last"] * columns["RespRate.last"],
        }
