"""Figures of an evaluation: right by definition, out of fold, by patient, and honest about what cannot be measured."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from vision.evaluation import NoFilmsError, evaluate, picture
from vision.evaluation.figures import (
    Cases,
    against_normal,
    at_cut_off,
    balanced_cut_off,
    calibration_of,
    cases_of,
    cross_fitted,
    figures_of,
    operating_point,
    reason_not_served,
    source_control,
    subgroups_of,
)
from vision.evaluation.films import LabelledFilms, adult_films, fold_of, folds_of, own_films, paediatric_films
from vision.evaluation.measure import measured
from vision.evaluation.metrics import auroc, auroc_interval, calibration_error, logistic, resampled, share_interval

MODELS = Path(__file__).parents[2] / "vision" / "models"


def cases(count: int = 600, seed: int = 0, *, strength: float = 1.5) -> Cases:
    random = np.random.default_rng(seed)
    patients = np.array([f"p{number // 2}" for number in range(count)])
    outcome = random.integers(0, 2, count)
    table = pd.DataFrame(
        {
            "view": random.choice(["PA", "AP"], count),
            "source": random.choice(["nih_64", "nih_1024"], count),
            "sex": random.choice(["M", "F"], count),
            "age": random.integers(18, 90, count),
            "rsna_class": np.where(outcome == 1, "Lung Opacity", random.choice(["Normal", "Other"], count)),
        }
    )
    logits = strength * (outcome - 0.5) * 2 + random.normal(0, 1.5, count)
    return Cases(outcome, logits, folds_of(patients, 3), patients, table)


class TestMetrics:
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=60))
    def test_auroc_is_that_of_scikit_learn_ties_included(self, rows: list[tuple[bool, int]]) -> None:
        outcome = np.array([int(sick) for sick, _ in rows])
        score = np.array([float(value) for _, value in rows])
        area = auroc(outcome, score, np.ones((1, len(rows))))[0]
        if 0 < outcome.sum() < len(rows):
            assert area == pytest.approx(roc_auc_score(outcome, score))
        else:
            assert np.isnan(area)

    @given(st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_weighted_auroc_is_that_of_repeated_rows(self, seed: int) -> None:
        some = cases(80, seed)
        weights = resampled(some.patients, resamples=3, seed=seed)
        for draw, area in zip(weights, auroc(some.outcome, some.logits, weights), strict=True):
            rows = np.repeat(np.arange(80), draw.astype(int))
            assert area == pytest.approx(roc_auc_score(some.outcome[rows], some.logits[rows]))

    def test_films_of_a_patient_are_drawn_together(self) -> None:
        weights = resampled(np.array(["a", "a", "b", "b", "c"]), resamples=50)
        assert (weights[:, 0] == weights[:, 1]).all()
        assert (weights[:, 2] == weights[:, 3]).all()
        assert (weights[:, 0] != weights[:, 4]).any()

    def test_more_films_of_the_same_patients_do_not_narrow_the_interval(self) -> None:
        some = cases(200, 1)
        once = auroc_interval(some.outcome, some.logits, some.patients)
        five = auroc_interval(np.tile(some.outcome, 5), np.tile(some.logits, 5), np.tile(some.patients, 5))
        assert five["high"] - five["low"] == pytest.approx(once["high"] - once["low"], rel=0.05)

    def test_logistic_regression_is_that_of_scikit_learn(self) -> None:
        some = cases(400, 2)
        slope, intercept = logistic(some.outcome, some.logits, np.ones((1, 400)))[0]
        expected = LogisticRegression(C=1e8).fit(some.logits[:, None], some.outcome)
        assert slope == pytest.approx(expected.coef_[0, 0], abs=1e-3)
        assert intercept == pytest.approx(expected.intercept_[0], abs=1e-3)

    def test_calibration_error_is_zero_when_scores_are_the_shares(self) -> None:
        outcome = np.array([0, 1] * 500)
        assert calibration_error(outcome, np.full(1000, 0.5)) == pytest.approx(0)
        assert calibration_error(outcome, np.full(1000, 0.9)) == pytest.approx(0.4)

    def test_share_lies_in_its_interval(self) -> None:
        share = share_interval(np.array([True] * 30 + [False] * 10), np.arange(40).astype(str))
        assert share["low"] < share["value"] == 0.75 < share["high"]


class TestFigures:
    def test_no_score_is_calibrated_on_its_own_patient(self) -> None:
        some = cases()
        before = cross_fitted(some)
        turned = np.where(some.folds == 0, 1 - some.outcome, some.outcome)
        after = cross_fitted(Cases(turned, some.logits, some.folds, some.patients, some.table))
        assert np.array_equal(before[some.folds == 0], after[some.folds == 0])
        assert not np.array_equal(before[some.folds == 1], after[some.folds == 1])

    def test_scores_out_of_fold_are_calibrated(self) -> None:
        some = cases(3000)
        figures = figures_of(some, cross_fitted(some))
        assert figures["calibration_error"]["value"] < 0.05
        assert figures["calibration_slope"]["low"] < 1 < figures["calibration_slope"]["high"]

    def test_a_network_that_ranks_wrongly_is_not_turned_around(self) -> None:
        assert calibration_of(cases(strength=-1.5))[0] == 0.05

    def test_balanced_cut_off_has_equal_sensitivity_and_specificity(self) -> None:
        some = cases(2000)
        scores = cross_fitted(some)
        rates = at_cut_off(some, scores, balanced_cut_off(some.outcome, scores))
        assert rates["sensitivity"]["value"] == pytest.approx(rates["specificity"]["value"], abs=0.01)
        assert rates["accuracy"]["value"] == pytest.approx(rates["sensitivity"]["value"], abs=0.01)

    def test_operating_point_is_measured_by_the_cut_off_of_other_folds(self) -> None:
        some = cases()
        point = operating_point(some, cross_fitted(some), specific=False)
        assert point["sensitivity"]["low"] <= point["sensitivity"]["value"] <= point["sensitivity"]["high"]
        assert "out of fold" in point["operating_point"]

    def test_specific_cut_off_calls_a_tenth_of_the_negatives(self) -> None:
        some = cases(2000)
        point = operating_point(some, cross_fitted(some), specific=True)
        assert point["specificity"]["value"] == pytest.approx(0.9, abs=0.02)
        assert point["operating_point"].startswith("specificity 0.9")

    def test_subgroup_too_small_to_measure_has_counts_and_no_number(self) -> None:
        some = cases(60)
        some.table["view"] = ["PA"] * 55 + ["AP"] * 5
        figures = subgroups_of(some, cross_fitted(some))
        assert figures["view AP"]["auroc"] is None
        assert figures["view AP"]["films"] == 5
        assert figures["view PA"]["auroc"] is not None

    def test_subgroups_say_how_calibrated_the_score_is_and_how_many_are_missed(self) -> None:
        some = cases(600)
        scores = cross_fitted(some)
        called = (some.table["view"] == "PA").to_numpy(bool)
        figures = subgroups_of(some, scores, called)
        assert figures["view PA"]["false_negative_rate"]["value"] == 0
        assert figures["view AP"]["false_negative_rate"]["value"] == 1
        for group in figures.values():
            assert group["calibration_error"]["low"] <= group["calibration_error"]["value"]
        assert "false_negative_rate" not in subgroups_of(some, scores)["view PA"]

    def test_against_normal_leaves_out_other_negatives(self) -> None:
        some = cases()
        figures = against_normal(some)
        assert figures is not None
        assert figures["films"] == int((some.outcome == 1).sum() + some.table["rsna_class"].eq("Normal").sum())

    def test_source_control_finds_a_score_that_tells_the_source(self) -> None:
        some = cases(2000)
        plain = source_control(some)
        told = source_control(
            Cases(
                some.outcome,
                some.logits + 5 * some.table["source"].eq("nih_1024").to_numpy(float),
                some.folds,
                some.patients,
                some.table,
            )
        )
        assert plain is not None
        assert told is not None
        assert abs(plain["auroc_of_source"]["value"] - 0.5) < 0.05
        assert told["auroc_of_source"]["value"] > 0.9

    @pytest.mark.parametrize(
        ("patients", "low", "reason"),
        [(39, 0.9, "fewer than 40"), (40, 0.6, "reaches 0.6"), (40, 0.61, None)],
    )
    def test_what_may_be_served(self, patients: int, low: float, reason: str | None) -> None:
        said = reason_not_served({"positive_patients": patients, "auroc": {"low": low}})
        assert said is None if reason is None else reason in str(said)


def labelled(seen: bool = True, source: str = "nih_64") -> tuple[LabelledFilms, NDArray[np.float32]]:
    some = cases(500)
    targets = np.stack([some.outcome, np.where(np.arange(500) % 5 == 0, 0.6, some.outcome)], 1).astype(np.float32)
    logits = np.stack([some.logits, some.logits], 1).astype(np.float32)
    table = some.table.assign(source=source)
    return LabelledFilms(
        ("abnormal", "lung_opacity"), targets, np.ones_like(targets), some.patients, table, seen
    ), logits


class TestMeasured:
    def test_weak_labels_are_never_measured_with(self) -> None:
        films, logits = labelled()
        assert len(cases_of(films, logits, "lung_opacity", 3).outcome) == 400

    def test_labels_shared_by_sources_are_measured_on_nih(self) -> None:
        films, logits = labelled(source="shenzhen")
        assert len(cases_of(films, logits, "abnormal", 3).outcome) == 0

    def test_untrusted_label_is_not_served_however_good(self) -> None:
        films, logits = labelled()
        numbers = measured(films, logits, 3, untrusted={"abnormal": "because"}, without_cut_off=(), specific=())
        assert numbers.tried == {"abnormal": "because"}
        assert numbers.served == ("lung_opacity",)
        assert set(numbers.calibration) == {"abnormal", "lung_opacity"}

    def test_label_without_cut_off_is_served_as_a_score(self) -> None:
        films, logits = labelled()
        numbers = measured(films, logits, 3, untrusted={}, without_cut_off=("lung_opacity",), specific=())
        assert "lung_opacity" in numbers.served
        assert "lung_opacity" not in numbers.thresholds


def own_folder(folder: Path, columns: dict[str, list[object]]) -> Path:
    (folder / "images").mkdir()
    count = len(next(iter(columns.values())))
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 255, (80, 70), np.uint8)
        cv2.imwrite(str(folder / "images" / f"{number}.png"), noise)
    table = pd.DataFrame({"file": [f"{number}.png" for number in range(count)], **columns})
    table.to_csv(folder / "labels.csv", index=False)
    return folder


class TestEvaluate:
    def test_folder_without_films_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(NoFilmsError):
            evaluate(tmp_path)

    def test_folder_without_a_finding_of_the_model_is_refused(self, tmp_path: Path) -> None:
        own_folder(tmp_path, {"patient": ["a", "b"], "haircut": [1, 0]})
        with pytest.raises(NoFilmsError):
            evaluate(tmp_path, model=MODELS / "adult")

    def test_hospitals_own_folder_is_measured_by_the_whole_ensemble(self, tmp_path: Path) -> None:
        sick = [1, 0] * 8
        own_folder(tmp_path, {"patient": list("aabbccddeeffgghh"), "lung_opacity": sick, "view": ["PA", "AP"] * 8})
        figures = evaluate(tmp_path, model=MODELS / "adult")
        assert figures["adult"]["out_of_fold"] is False
        found = figures["adult"]["findings"]["lung_opacity"]
        assert (found["films"], found["patients"], found["positive_films"]) == (16, 8, 8)
        assert set(figures["adult"]["findings"]) == {"lung_opacity"}
        assert picture(figures).startswith(b"\x89PNG")

    def test_missing_image_is_named(self, tmp_path: Path) -> None:
        own_folder(tmp_path, {"patient": ["a", "b"], "lung_opacity": [1, 0]})
        (tmp_path / "images" / "1.png").unlink()
        with pytest.raises(FileNotFoundError):
            evaluate(tmp_path, model=MODELS / "adult")


class TestFilms:
    def test_fold_of_a_patient_is_the_same_everywhere(self) -> None:
        assert [fold_of(name, 3) for name in ("nih:1", "nih:2", "paed:IM-0115")] == [
            fold_of(name, 3) for name in ("nih:1", "nih:2", "paed:IM-0115")
        ]
        assert set(folds_of([f"p{number}" for number in range(50)], 3)) == {0, 1, 2}

    def test_labels_without_a_column_stay_unknown(self, tmp_path: Path) -> None:
        own_folder(tmp_path, {"patient": ["a", "b"], "atelectasis": [1, None]})
        films = own_films(tmp_path, ("atelectasis", "pneumothorax"))
        assert films.targets[0, 0] == 1
        assert np.isnan(films.targets[1, 0])
        assert np.isnan(films.targets[:, 1]).all()

    @pytest.mark.shared_data
    def test_adult_set_has_no_child_and_no_patient_in_two_folds(self, shared_data: Path) -> None:
        films = adult_films(shared_data)
        assert not (films.table["age"] < 18).any()
        folds = folds_of(films.groups, 3)
        assert pd.Series(folds).groupby(films.groups).nunique().max() == 1

    @pytest.mark.shared_data
    def test_opacity_is_measured_by_radiologists_only(self, shared_data: Path) -> None:
        films = adult_films(shared_data)
        known = cases_of(films, np.zeros_like(films.targets), "lung_opacity", 3)
        classed = known.table["rsna_class"]
        assert (known.outcome[classed.eq("Lung Opacity")] == 1).all()
        assert (known.outcome[classed.eq("Normal")] == 0).all()
        assert len(known.outcome) < 500

    @pytest.mark.shared_data
    def test_children_have_both_outcomes(self, shared_data: Path) -> None:
        assert set(np.unique(paediatric_films(shared_data).targets)) == {0.0, 1.0}
