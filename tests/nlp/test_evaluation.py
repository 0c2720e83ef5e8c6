"""The figures of `cds evaluate nlp`: how they are counted, and that the extractor reaches its aims."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlp import EvaluationDataError, Extractor
from nlp.evaluation import evaluate_negex, evaluate_openi, read_negex, read_openi, report_text, score_labels
from nlp.recommendation_evaluation import evaluate_recommendations, read_annotations
from nlp.training.splits import normalised_text, part_of, text_key


def test_counts_make_precision_recall_and_f1() -> None:
    gold = np.array([[1, 0], [1, 1], [0, 0], [0, 1]], dtype=bool)
    said = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)
    normal = np.array([1, 0, 1, 0], dtype=bool)
    figures = score_labels(["a", "b"], gold, said, normal, normal)
    assert figures["classes"]["a"] == {
        "positives": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5, "false_positives": 1, "missed": 1,
    }  # fmt: skip
    assert figures["micro"]["f1"] == 0.75
    assert figures["normal"]["f1"] == 1.0


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationDataError, match=r"reports\.csv"):
        read_openi(tmp_path)
    with pytest.raises(EvaluationDataError, match=r"annotations\.tsv"):
        read_negex(tmp_path / "annotations.tsv")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "reports.csv").write_text("uid,findings\n1,clear\n", encoding="utf-8")
    with pytest.raises(EvaluationDataError, match="Atelectasis"):
        read_openi(tmp_path)


def test_texts_that_repeat_fall_on_one_side() -> None:
    assert text_key("No effusion.") == text_key("no  EFFUSION")
    assert part_of("No effusion.") == part_of("no effusion")
    assert normalised_text("A, b.\nC") == "a b c"


def test_empty_parts_get_no_heading() -> None:
    assert report_text("", "Normal.") == "IMPRESSION: Normal."


@pytest.mark.shared_data
def test_open_i_validation_reports_reach_the_aim(extractor: Extractor, reports: Path) -> None:
    coded = [report for report in read_openi(reports / "openi") if part_of(report.text) == "validation"]
    figures = evaluate_openi(extractor, coded)
    assert figures["micro"]["f1"] >= 0.91
    assert figures["macro_f1"] >= 0.88
    assert figures["normal"]["f1"] >= 0.93


@pytest.mark.shared_data
def test_negated_sentences_reach_the_aim(extractor: Extractor, reports: Path) -> None:
    marked = [item for item in read_negex(reports / "negex" / "annotations.tsv") if part_of(item.text) == "validation"]
    assert evaluate_negex(extractor, marked)["negated"]["f1"] >= 0.95


@pytest.mark.shared_data
def test_recommendations_of_unseen_reports_reach_the_aim(extractor: Extractor, reports: Path) -> None:
    coded = [report for report in read_openi(reports / "openi") if part_of(report.text) == "validation"]
    steps = read_annotations(Path(__file__).parent / "data" / "openi_recommendations.csv")
    figures = evaluate_recommendations(extractor, coded, steps)
    assert figures["f1"] >= 0.90
    assert figures["interval_right"] >= 0.90


@pytest.mark.shared_data
def test_real_reports_raise_few_inconsistencies(extractor: Extractor, reports: Path) -> None:
    coded = read_openi(reports / "openi")[:1000]
    alarms = sum(len(extractor.extract(report.text).inconsistencies) for report in coded)
    assert alarms <= 6
