"""A finding from film and report: fitted on pairs whose truth is known, it beats either alone and stays calibrated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion import FindingView, RiskModels, assess, compile_rules
from fusion.errors import EvaluationError, ModelVerificationError
from fusion.risks.paired_findings import PairedFindings
from fusion.training.findings import read_pairs, train_findings
from tests.fusion import builders as build

NO_RULES = compile_rules({})
PAIRS = 1200


def simulated_pairs(seed: int = 5) -> pd.DataFrame:
    """Film and report that see the same truth with independent errors; the film is the weaker reader."""
    random = np.random.default_rng(seed)
    truth = (random.random(PAIRS) < 0.3).astype(int)
    score = 1 / (1 + np.exp(-random.normal(1.0 * truth - 0.5, 1.0)))
    sure = np.where(random.random(PAIRS) < np.where(truth == 1, 0.8, 0.05), "present", "absent")
    said = np.where(random.random(PAIRS) < 0.15, "possible", sure)
    return pd.DataFrame(
        {
            "finding": "pleural_effusion",
            "image_score": score,
            "report_assertion": said,
            "truth": truth,
            "patient": np.arange(PAIRS) // 2,
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("findings")
    rare = simulated_pairs(6).head(60).assign(finding="pneumothorax")
    train_findings(pd.concat([simulated_pairs(), rare]), out, resamples=100, say=lambda _: None)
    return out


def test_both_together_beat_the_better_alone_beyond_the_interval(folder: Path) -> None:
    figures = PairedFindings.load(folder).card.metrics["pleural_effusion"]
    assert figures["both_minus_report"]["low"] > 0
    assert figures["calibration_error"]["value"] < 0.05


@pytest.mark.parametrize(("image", "report"), [(True, True), (True, False), (False, True)])
def test_an_answer_is_calibrated_with_whichever_is_there(folder: Path, image: bool, report: bool) -> None:
    model = PairedFindings.load(folder)
    unseen = simulated_pairs(77)
    said = [
        model.probability(
            "pleural_effusion", row.image_score if image else None, row.report_assertion if report else None
        )
        for row in unseen.itertuples()
    ]
    assert np.mean(said) == pytest.approx(unseen["truth"].mean(), abs=0.05)
    high = np.array(said) > np.median(said)
    assert np.mean(np.array(said)[high]) == pytest.approx(unseen["truth"][high].mean(), abs=0.08)


def test_a_stronger_score_and_a_firmer_report_never_lower_it(folder: Path) -> None:
    model = PairedFindings.load(folder)
    by_score = [model.probability("pleural_effusion", score, "possible") for score in (0.0, 0.2, 0.5, 0.9, 1.0)]
    assert by_score == sorted(by_score)
    by_report = [model.probability("pleural_effusion", 0.4, said) for said in ("absent", "possible", "present")]
    assert by_report == sorted(by_report)


def test_a_finding_with_few_patients_is_not_fitted_and_the_card_says_so(folder: Path) -> None:
    model = PairedFindings.load(folder)
    assert model.findings == ("pleural_effusion",)
    assert any(limit.startswith("pneumothorax:") and "not fitted" in limit for limit in model.card.limits)
    with pytest.raises(EvaluationError, match="pneumothorax was not fitted"):
        model.probability("pneumothorax", 0.5, "present")


def test_with_neither_film_nor_report_there_is_no_answer(folder: Path) -> None:
    with pytest.raises(EvaluationError, match="neither"):
        PairedFindings.load(folder).probability("pleural_effusion", None, None)


def test_changed_coefficients_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "coefficients.json").write_text("{}", "utf-8")
    with pytest.raises(ModelVerificationError, match="sha256"):
        PairedFindings.load(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (simulated_pairs().drop(columns="truth"), "'truth' is missing"),
        (simulated_pairs().assign(image_score=7.0), "line 2: image_score"),
    ],
)
def test_a_table_of_another_layout_is_refused_by_name(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_pairs(table)


def test_without_enough_patients_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no finding has 40"):
        train_findings(simulated_pairs().head(50), tmp_path / "out", say=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_site_s_model_in_service_joins_film_and_report_in_the_assessment(folder: Path) -> None:
    model = PairedFindings.load(folder)
    risks = RiskModels.load(folder.parent, findings=(folder, model.card.weights_sha256))
    assert risks.status()[-1]["state"] == "served"

    def joined(said: dict[str, str] | None, *, modality: str | None = None) -> FindingView:
        text = None
        if said is not None:
            text = build.report({key: {"assertion": value} for key, value in said.items()}, modality=modality)
        film = build.film({"pleural_effusion": True, "pneumothorax": False})
        assessment = assess(build.patient(age=60), at=build.AT, rules=NO_RULES, risks=risks, imaging=film, report=text)
        views = {view.key: view for view in assessment.findings}
        assert views["pneumothorax"].combined_probability is None
        return views["pleural_effusion"]

    for said, known in (
        ({"pleural_effusion": "absent"}, "absent"),
        ({"fracture": "absent"}, "not mentioned"),
        (None, None),
    ):
        view = joined(said)
        assert view.combined_probability == pytest.approx(model.probability("pleural_effusion", 0.9, known), abs=1e-4)
        assert view.combined_model is not None
    of_ct = joined({"pleural_effusion": "absent"}, modality="CT")
    assert of_ct.combined_probability == joined(None).combined_probability
    assert joined({"pleural_effusion": "absent"}).report_assertion == "absent"


def test_weights_that_were_not_put_into_service_are_refused(folder: Path) -> None:
    risks = RiskModels.load(folder.parent, findings=(folder, "0" * 64))
    assert risks.findings is None
    assert risks.status()[-1]["state"] == "refused"
