"""Events are cleaned without guessing, and features know only what was measured until the hour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import EventsError
from fusion.risks.deterioration_features import features_of
from fusion.risks.events import DESCRIPTORS, SERIES, stays_of


def events(*rows: tuple[int, float, str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["record", "minute", "parameter", "value"])


def feature(name: str, *rows: tuple[int, float, str, float]) -> float:
    return float(features_of(stays_of(events(*rows)))[name].iloc[0])


@pytest.mark.parametrize(
    ("parameter", "written", "meant"),
    [("pH", 735, 7.35), ("pH", 73.5, 7.35), ("Temp", 98.6, 37.0), ("FiO2", 40, 0.4)],
)
def test_certain_slips_of_unit_are_mended(parameter: str, written: float, meant: float) -> None:
    assert feature(f"{parameter}.last", (1, 5, parameter, written)) == pytest.approx(meant, abs=0.01)


@pytest.mark.parametrize(("written", "meant"), [(431.8, 170), (67, 170.18), (1.75, 175), (175, 175)])
def test_heights_in_inches_metres_or_converted_twice_are_mended(written: float, meant: float) -> None:
    assert feature("Height.value", (1, 0, "Height", written)) == pytest.approx(meant)


@pytest.mark.parametrize(
    ("parameter", "value"), [("Temp", -17.8), ("HR", 0), ("pH", 1), ("SaO2", 1.06), ("Weight", -1), ("GCS", 2)]
)
def test_what_cannot_be_is_dropped_and_not_clipped(parameter: str, value: float) -> None:
    assert np.isnan(feature(f"{parameter}.last", (1, 5, parameter, value)))


def test_minus_one_is_missing() -> None:
    assert np.isnan(feature("Gender.value", (1, 0, "Gender", -1)))


def test_a_course_is_described_by_its_values() -> None:
    rows = [(7, hour * 60, "HR", 80.0 + 10 * hour) for hour in range(4)]
    table = features_of(stays_of(events(*rows)))
    row = table.iloc[0]
    assert (row["HR.first"], row["HR.last"], row["HR.min"], row["HR.max"]) == (80, 110, 80, 110)
    assert (row["HR.mean"], row["HR.median"], row["HR.count"]) == (95, 95, 4)
    assert row["HR.slope"] == pytest.approx(10)
    assert row["Stay.hours"] == 3


def test_invasive_and_cuff_pressures_are_read_as_one_course() -> None:
    rows = [(1, 0, "NISysABP", 120.0), (1, 60, "SysABP", 100.0), (1, 60, "HR", 110.0)]
    assert feature("SBP.count", *rows) == 2
    assert feature("ShockIndex.last", *rows) == pytest.approx(1.1)


def test_ratios_are_formed_with_the_value_before_and_never_with_a_later_one() -> None:
    assert feature("PF.last", (1, 0, "FiO2", 0.5), (1, 60, "PaO2", 100.0)) == 200
    assert np.isnan(feature("PF.last", (1, 60, "PaO2", 100.0), (1, 90, "FiO2", 0.5)))
    assert np.isnan(feature("PF.last", (1, 0, "FiO2", 0.5), (1, 600, "PaO2", 100.0)))


def test_nothing_measured_gives_no_value_and_no_count() -> None:
    row = features_of(stays_of(events((1, 0, "Age", 70.0)))).iloc[0]
    assert row["Age.value"] == 70
    counts = [name for name in row.index if name.endswith(".count")]
    assert (row[counts] == 0).all()
    assert row[[name for name in row.index if name.endswith((".last", ".mean", ".max"))]].isna().all()


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_comes_after_the_hour_changes_nothing(data: st.DataObject) -> None:
    names = st.sampled_from([*SERIES, *DESCRIPTORS, "SomethingElse"])
    row = st.tuples(st.integers(1, 3), st.integers(0, 2880), names, st.floats(-1, 400, width=32))
    rows: list[Any] = data.draw(st.lists(row, min_size=1, max_size=40))
    cut = data.draw(st.integers(0, 2880))
    rows += [(stay, 0, "HR", 70.0) for stay in (1, 2, 3)]
    descriptors = [entry for entry in rows if entry[2] in DESCRIPTORS]
    known = [entry for entry in rows if entry[1] <= cut or entry[2] in DESCRIPTORS]
    everything = stays_of(events(*rows)).until(np.full(3, float(cut)))
    early = stays_of(events(*known)) if descriptors or known else everything
    pd.testing.assert_frame_equal(features_of(everything), features_of(early))


def test_columns_are_the_same_whatever_was_measured() -> None:
    few = features_of(stays_of(events((1, 0, "Age", 70.0))))
    more = features_of(stays_of(events((1, 0, "HR", 70.0), (1, 9, "Lactate", 3.0))))
    assert list(few.columns) == list(more.columns)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"record": [1], "minute": [0], "value": [1.0]}), "'parameter' is missing"),
        (
            pd.DataFrame({"record": [1], "minute": ["0"], "parameter": ["HR"], "value": [1.0]}),
            "'minute' must be numeric",
        ),
    ],
)
def test_a_table_of_another_layout_is_refused(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(EventsError, match=message):
        stays_of(table)
