"""Thresholds and audits: what is chosen or reported follows from the cases, with its uncertainty, or is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.errors import EvaluationError
from fusion.evaluation.operating_points import Aim, operating_point, wilson
from fusion.evaluation.subgroups import audit, scores_and_labels

FEW = 20


def simulated(count: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    label = (random.random(count) < 0.3).astype(np.int64)
    return label, np.round(1 / (1 + np.exp(-random.normal(2 * label - 1, 1))), 2)


@settings(max_examples=60, deadline=None)
@given(
    cases=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8)), min_size=4, max_size=60),
    aim=st.sampled_from(("sensitivity", "specificity")),
    wished=st.floats(0.05, 1),
)
def test_the_wish_is_met_and_the_next_threshold_would_not_be_better(
    cases: list[tuple[int, int]], aim: Aim, wished: float
) -> None:
    label = np.array([0, 1, *(case[0] for case in cases)])
    score = np.array([0.0, 8.0, *(float(case[1]) for case in cases)])
    point = operating_point(label, score, aim=aim, wished=wished, resamples=2)
    reached = point.sensitivity if aim == "sensitivity" else point.specificity
    assert reached >= wished - 1e-9
    others = [(np.mean(score[label == 1] >= t), np.mean(score[label == 0] < t)) for t in {*score, 9.0}]
    fitting = [
        b if aim == "sensitivity" else a for a, b in others if (a if aim == "sensitivity" else b) >= wished - 1e-9
    ]
    other = point.specificity if aim == "sensitivity" else point.sensitivity
    assert other == pytest.approx(max(fitting))


def test_a_threshold_has_intervals_and_says_when_there_were_few() -> None:
    label, score = simulated()
    point = operating_point(label, score, aim="sensitivity", wished=0.9, resamples=200)
    assert point.threshold_interval[0] <= point.threshold <= point.threshold_interval[1]
    assert point.sensitivity_interval[0] < point.sensitivity < point.sensitivity_interval[1]
    assert point.prevalence == pytest.approx(label.mean())
    assert not point.few
    assert operating_point(label[:60], score[:60], aim="sensitivity", wished=0.9, resamples=20).few


@pytest.mark.parametrize(
    ("label", "wished", "message"), [([1, 1], 0.9, "both labels"), ([0, 1], 0.0, "sensitivity 0: expected above 0")]
)
def test_what_cannot_be_had_is_refused(label: list[int], wished: float, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        operating_point(np.array(label), np.array([0.1, 0.9]), aim="sensitivity", wished=wished)


def test_wilson_is_that_of_its_paper() -> None:
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert wilson(0, 10) == pytest.approx((0.0, 0.278), abs=0.001)


def test_an_audit_shows_the_group_that_a_score_fails() -> None:
    label, score = simulated()
    sex = np.where(np.arange(len(label)) % 2 == 0, "female", "male")
    score = np.where(sex == "male", np.random.default_rng(2).random(len(label)), score)
    table = pd.DataFrame({"score": score, "label": label, "sex": sex})
    rows = {row["value"]: row for row in audit(table, threshold=0.5, resamples=100)}
    assert rows["everyone"]["count"] == len(label)
    assert rows["female"]["auroc"]["low"] > rows["male"]["auroc"]["high"]
    assert rows["male"]["calibration_error"]["low"] > rows["female"]["calibration_error"]["high"]
    assert rows["female"]["false_negative_rate"]["value"] < rows["male"]["false_negative_rate"]["value"]


def test_ages_are_looked_at_in_bands() -> None:
    label, score = simulated()
    age = np.resize([3, 17.9, 18, 40, 64, 65, 90, np.nan], len(label))
    rows = audit(pd.DataFrame({"score": score, "label": label, "age": age}), groups=["age"], resamples=2)
    counts = {row["value"]: row["count"] for row in rows[1:]}
    assert list(counts) == ["0-17", "18-39", "40-64", "65 and over", "not known"]
    assert counts["0-17"] == 2 * counts["18-39"]


def test_a_small_group_has_counts_and_no_figures() -> None:
    label, score = simulated()
    table = pd.DataFrame({"score": score, "label": label, "site": np.where(np.arange(len(label)) < FEW, "new", "old")})
    (new,) = [row for row in audit(table, resamples=10) if row["value"] == "new"]
    assert new["count"] == FEW
    assert "auroc" not in new
    assert "fewer than 10" in new["note"]


def test_an_unknown_group_value_is_a_group_of_its_own() -> None:
    label, score = simulated(60)
    table = pd.DataFrame({"score": score, "label": label, "sex": [None, "male"] * 30})
    assert {row["value"] for row in audit(table, resamples=10)} == {"everyone", "male", "not known"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"score": [0.1]}), "'label' is missing"),
        (pd.DataFrame({"score": [0.1, "x"], "label": [0, 1]}), "line 3"),
        (pd.DataFrame({"score": [0.1, 0.2], "label": [0, 2]}), "line 3"),
    ],
)
def test_a_table_of_another_layout_is_refused_by_line(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        scores_and_labels(table)
