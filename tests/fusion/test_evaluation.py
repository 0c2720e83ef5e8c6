"""The metrics say what their definitions say."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.evaluation.metrics import (
    auroc,
    calibration_bins,
    calibration_error,
    calibration_error_by_chance,
    calibration_intercept,
    calibration_slope,
    difference,
    measure,
    min_sensitivity_precision,
)


@pytest.fixture
def simulated() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    probability = 1 / (1 + np.exp(-random.normal(-1.5, 1.5, 4000)))
    return (random.random(4000) < probability).astype(np.int64), probability


def test_the_area_under_the_curve_counts_ties_as_half() -> None:
    assert auroc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.5, 0.5])) == pytest.approx(3.5 / 4)
    assert auroc(np.array([0, 1, 1]), np.full(3, 0.5)) == pytest.approx(0.5)


def test_min_of_sensitivity_and_precision_is_the_best_over_thresholds() -> None:
    outcome = np.array([1, 0, 1, 0, 0, 0])
    assert min_sensitivity_precision(outcome, np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])) == pytest.approx(2 / 3)
    assert min_sensitivity_precision(outcome, np.array([0.9, 0.1, 0.8, 0.1, 0.1, 0.1])) == 1


def test_tied_predictions_are_found_together() -> None:
    assert min_sensitivity_precision(np.array([1, 0, 0, 0]), np.full(4, 0.5)) == pytest.approx(0.25)


def test_a_calibrated_risk_has_slope_one_and_no_error(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, probability = simulated
    assert calibration_error(outcome, probability) < 0.03
    assert calibration_slope(outcome, probability) == pytest.approx(1, abs=0.1)
    assert calibration_intercept(outcome, probability) == pytest.approx(0, abs=0.15)


def test_what_chance_alone_does_to_the_calibration_error_grows_as_patients_get_fewer(
    simulated: tuple[np.ndarray, np.ndarray],
) -> None:
    outcome, probability = simulated
    many = calibration_error_by_chance(probability, draws=100)
    few = calibration_error_by_chance(probability[:70], draws=100)
    assert many["low"] < calibration_error(outcome, probability) < many["high"] < 0.03
    assert few["low"] > many["high"]
    assert calibration_error(outcome, np.sqrt(probability)) > calibration_error_by_chance(np.sqrt(probability))["high"]


def test_an_overestimated_risk_has_a_negative_intercept(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, probability = simulated
    assert calibration_intercept(outcome, np.sqrt(probability)) < -0.5
    assert calibration_error(outcome, np.sqrt(probability)) > 0.1


def test_the_intercept_of_risks_that_are_all_but_certain_is_found() -> None:
    outcome, probability = np.array([0, 0, 0, 1]), np.full(4, 0.999)
    assert calibration_intercept(outcome, probability) == pytest.approx(np.log(1 / 3) - np.log(999), abs=1e-3)


def test_bins_are_of_equal_mass_and_ascending(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    bins = calibration_bins(*simulated)
    assert [b["count"] for b in bins] == [400] * 10
    assert [b["predicted"] for b in bins] == sorted(b["predicted"] for b in bins)


def test_intervals_hold_the_value_and_resample_patients(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, probability = simulated
    single = measure(outcome, probability, metrics={"auroc": auroc}, resamples=200)["auroc"]
    assert single["low"] < single["value"] < single["high"]
    patients = np.repeat(np.arange(400), 10)
    repeated = np.repeat(outcome[:400], 10), np.repeat(probability[:400], 10)
    clustered = measure(*repeated, patients=patients, metrics={"auroc": auroc}, resamples=200)["auroc"]
    as_rows = measure(*repeated, metrics={"auroc": auroc}, resamples=200)["auroc"]
    assert clustered["high"] - clustered["low"] > 2 * (as_rows["high"] - as_rows["low"])


def test_a_paired_difference_of_a_risk_with_itself_is_nothing(simulated: tuple[np.ndarray, np.ndarray]) -> None:
    outcome, probability = simulated
    assert difference(outcome, probability, probability, resamples=50) == {"value": 0, "low": 0, "high": 0}
