"""Scores give the published vectors, refuse what cannot be, and bound what missing inputs can change."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion.errors import ScoreInputError
from fusion.scores import SCORES, calculate
from fusion.scores.inputs import Input

VECTORS = json.loads((Path(__file__).parent / "data" / "score_cases.json").read_text())
NORMAL_NEWS2 = {
    "spo2_scale": 1,
    "respiratory_rate": 16,
    "spo2_percent": 97,
    "supplemental_oxygen": False,
    "systolic_bp": 120,
    "heart_rate": 75,
    "consciousness_acvpu": "A",
    "temperature_c": 37.0,
}
CONSIDERED = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["score"])
def test_a_published_case_gives_its_published_result(case: dict[str, Any]) -> None:
    expected = case["expected"] if isinstance(case["expected"], dict) else {"score": case["expected"]}
    result = calculate(case["score"], case["inputs"])
    assert {name: result[name] for name in expected} == expected


def test_every_score_of_the_knowledge_base_is_there_and_documented() -> None:
    assert len(SCORES) == 36
    for name, definition in SCORES.items():
        declared = definition.describe()
        assert declared["name"] == name
        assert declared["citation"]
        assert declared["population"]
        json.dumps(declared)


def _values(item: Input) -> st.SearchStrategy[Any]:
    if item.kind == "boolean":
        return st.booleans()
    if item.kind == "choice":
        return st.sampled_from(item.choices)
    near = [v for t in item.tries for v in (t - 1, t, t + 1) if item.low <= v <= item.high]
    if item.kind == "integer":
        return st.integers(int(item.low), int(item.high)) | st.sampled_from(near)
    inside = st.floats(item.low, item.high, allow_nan=False) if math.isfinite(item.high) else st.floats(0, 1e4)
    return inside.map(lambda value: round(value, 2)).filter(lambda v: item.low <= v <= item.high) | st.sampled_from(
        near
    )


@st.composite
def complete_inputs(draw: st.DrawFn, name: str) -> dict[str, Any]:
    inputs = {item.name: draw(_values(item)) for item in SCORES[name].inputs}
    if name == "cardiothoracic_ratio" and inputs["cardiac_width_mm"] >= inputs["thoracic_width_mm"]:
        inputs |= {"cardiac_width_mm": 150, "thoracic_width_mm": 300}
    if SCORES[name].population.minimum_age and "age" in inputs:
        inputs["age"] = max(inputs["age"], SCORES[name].population.minimum_age)
    return inputs


@pytest.mark.parametrize("name", SCORES)
@CONSIDERED
@given(data=st.data())
def test_what_missing_inputs_turn_out_to_be_lies_within_the_bounds(name: str, data: st.DataObject) -> None:
    definition = SCORES[name]
    complete = data.draw(complete_inputs(name))
    hidden = data.draw(st.sets(st.sampled_from([item.name for item in definition.inputs]), min_size=1))
    partial = {key: value for key, value in complete.items() if key not in hidden}
    missing = {item.name for item in definition.missing({**dict.fromkeys(definition.accepted), **partial})}
    filled = {key: value for key, value in complete.items() if key not in hidden or key in missing}
    before, after = calculate(name, partial), calculate(name, filled)
    if definition.number is not None and after[definition.number] is not None:
        assert before["minimum"] <= after[definition.number] <= before["maximum"]
    names = set(definition.rule.observed(dict.fromkeys(item.name for item in definition.inputs)))
    decisions = names - {definition.number, *definition.counts}
    for decision in decisions:
        assert before[decision] is None or before[decision] == after[decision]
    if definition.number is None and not missing & set(after["missing"]):
        result = {key: after[key] for key in sorted(names)}
        assert (next(iter(result.values())) if len(result) == 1 else result) in before["possible"]


@pytest.mark.parametrize("name", SCORES)
@CONSIDERED
@given(data=st.data())
def test_a_score_lies_between_its_minimum_and_maximum(name: str, data: st.DataObject) -> None:
    inputs = data.draw(complete_inputs(name))
    kept = data.draw(st.sets(st.sampled_from(list(inputs))))
    result = calculate(name, {key: inputs[key] for key in kept})
    number = SCORES[name].number
    if number is not None and result[number] is not None and result["minimum"] is not None:
        assert result["minimum"] <= result[number] <= result["maximum"]
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("name", SCORES)
def test_an_unknown_input_is_refused_with_those_that_are_known_and_not_repeated(name: str) -> None:
    with pytest.raises(ScoreInputError, match=f"{name}: 1 unknown input.*; inputs: ") as refusal:
        calculate(name, {"blood_colour": "red"})
    assert "blood_colour" not in str(refusal.value)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("absurd", ["eighteen", [1], {"value": 3}, math.nan, math.inf, -999, 1e12])
def test_what_cannot_be_is_refused_by_name(name: str, absurd: Any) -> None:
    for item in SCORES[name].inputs:
        with pytest.raises(ScoreInputError, match=f"^{item.name}: expected"):
            calculate(name, {item.name: absurd})


def test_a_truth_value_is_not_a_number() -> None:
    with pytest.raises(ScoreInputError, match="respiratory_rate: expected a number in /min"):
        calculate("curb65", {"respiratory_rate": True})


def test_an_unknown_score_is_refused() -> None:
    with pytest.raises(ScoreInputError, match="unknown score 'curb66'"):
        calculate("curb66", {})


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("curb65", {"urea_mmol_l": 7.0}, 0),
        ("curb65", {"urea_mmol_l": 7.01}, 1),
        ("curb65", {"respiratory_rate": 29.9}, 0),
        ("curb65", {"systolic_bp": 90, "diastolic_bp": 60}, 1),
        ("wells_pe", {"heart_rate": 100}, 0.0),
        ("revised_geneva", {"heart_rate": 75}, 3),
        ("revised_geneva", {"heart_rate": 95}, 5),
        ("mews", {"heart_rate": 40}, 2),
        ("mews", {"temperature_c": 38.4}, 0),
        ("sirs", {"temperature_c": 36.0}, 0),
        ("isaric_4c_mortality", {"urea_mmol_l": 14}, 1),
        ("isaric_4c_mortality", {"crp_mg_l": 99.9}, 1),
        ("cha2ds2_vasc", {"age": 75}, 2),
    ],
)
def test_boundaries_are_those_of_the_tables(name: str, inputs: dict[str, Any], expected: float) -> None:
    assert calculate(name, inputs)["score"] == expected


@pytest.mark.parametrize(
    ("inputs", "score", "band"),
    [
        ({"spo2_scale": 2, "spo2_percent": 95, "supplemental_oxygen": True}, 4, "low"),
        ({"spo2_scale": 2, "spo2_percent": 97, "supplemental_oxygen": True}, 5, "medium"),
        ({"spo2_scale": 2, "spo2_percent": 97}, 0, "low"),
        ({"spo2_scale": 2, "spo2_percent": 83}, 3, "low-medium"),
        ({"temperature_c": 35.04}, 3, "low-medium"),
        ({"temperature_c": 38.06}, 1, "low"),
        ({"systolic_bp": 220}, 3, "low-medium"),
        ({"heart_rate": 131, "respiratory_rate": 25, "temperature_c": 38.1}, 7, "high"),
    ],
)
def test_news2_looks_up_its_table(inputs: dict[str, Any], score: int, band: str) -> None:
    result = calculate("news2", NORMAL_NEWS2 | inputs)
    assert (result["score"], result["band"]) == (score, band)


def test_a_band_is_given_only_when_both_ends_agree() -> None:
    inputs = {"respiratory_rate": 32, "systolic_bp": 80, "diastolic_bp": 50, "age": 80}
    settled = calculate("curb65", inputs)
    assert (settled["score"], settled["minimum"], settled["maximum"], settled["band"]) == (3, 3, 5, "high")
    assert settled["missing"] == ["confusion", "urea_mmol_l"]
    open_ended = calculate("curb65", {"age": 80})
    assert (open_ended["minimum"], open_ended["maximum"], open_ended["band"]) == (1, 5, None)


def test_inputs_that_stand_for_each_other_are_not_missing_when_one_is_given() -> None:
    case = next(case for case in VECTORS if case["score"] == "smart_cop")["inputs"]
    assert calculate("smart_cop", case)["missing"] == []
    without = {key: value for key, value in case.items() if key != "spo2_percent"}
    result = calculate("smart_cop", without)
    assert result["missing"] == ["pao2_mmhg", "spo2_percent", "pao2_fio2_mmhg"]
    assert result["maximum"] - result["minimum"] == 2


@pytest.mark.parametrize("sex", [None, "unknown", "other"])
def test_unknown_sex_leaves_both_values_possible(sex: str | None) -> None:
    result = calculate("ckd_epi_2021", {"creatinine_mg_dl": 1.0, "age": 55, "sex": sex})
    assert result["score"] is None
    assert result["minimum"] == 66.5
    assert result["maximum"] == calculate("ckd_epi_2021", {"creatinine_mg_dl": 1.0, "age": 55, "sex": "male"})["score"]
    assert result["missing"] == ["sex"]


def test_class_one_of_psi_has_no_points_and_stays_possible_for_the_young() -> None:
    result = calculate("psi_port", {"age": 40, "sex": "male"})
    assert (result["score"], result["risk_class"]) == (None, None)
    assert result["minimum"] == 50
    assert calculate("psi_port", {"age": 40, "sex": "male", "missing_as_normal": True})["risk_class"] == "I"


@pytest.mark.parametrize(
    ("name", "inputs", "reason"),
    [
        ("curb65", {"age": 17}, "made for age 18 and over"),
        ("news2", {"age": 15}, "made for age 16 and over"),
        ("news2", {"pregnant": True}, "not made for pregnancy"),
        ("wells_pe", {"pregnant": True}, "not made for pregnancy"),
        ("fleischner2017", {"age": 34}, "made for age 35 and over"),
        ("fleischner2017", {"immunosuppressed": True}, "not made for immunosuppression"),
        ("canadian_c_spine", {"age": 15}, "made for age 16 and over"),
    ],
)
def test_outside_its_population_a_score_is_not_applicable(name: str, inputs: dict[str, Any], reason: str) -> None:
    result = calculate(name, inputs)
    assert (result["status"], result["reason"]) == ("not_applicable", reason)
    assert "minimum" not in result


def test_the_cardiothoracic_ratio_is_assessed_on_pa_films_only() -> None:
    widths = {"cardiac_width_mm": 160, "thoracic_width_mm": 300}
    assert calculate("cardiothoracic_ratio", {**widths, "projection": "AP"})["enlarged"] is None
    assert calculate("cardiothoracic_ratio", {**widths, "projection": "AP"})["ctr"] == 0.533
    with pytest.raises(ScoreInputError, match="less than thoracic_width_mm"):
        calculate("cardiothoracic_ratio", {"cardiac_width_mm": 300, "thoracic_width_mm": 290})


def test_current_smokers_have_not_quit_and_no_cigarettes_are_refused() -> None:
    case = next(case for case in VECTORS if case["score"] == "plcom2012" and case["inputs"]["current_smoker"])["inputs"]
    assert calculate("plcom2012", {**case, "years_since_quit": 5})["score"] == calculate("plcom2012", case)["score"]
    with pytest.raises(ScoreInputError, match="cigarettes_per_day"):
        calculate("plcom2012", {**case, "cigarettes_per_day": 0})


@pytest.mark.parametrize("name", ["brock_full", "mayo_spn"])
def test_a_larger_nodule_is_never_less_likely_cancer(name: str) -> None:
    rest = next(case for case in VECTORS if case["score"] == name)["inputs"]
    risks = [calculate(name, {**rest, "diameter_mm": size})["score"] for size in (4, 8, 15, 30)]
    assert all(smaller < larger for smaller, larger in pairwise(risks))
