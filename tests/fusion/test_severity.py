"""The risk of severity: any modalities give an answer, calibrated for them; what tells the outcome is left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fusion.errors import EventsError, ModelVerificationError
from fusion.evaluation.severity import cases_of, evaluate_severity, only
from fusion.facts import Condition, Observation, Patient
from fusion.modalities import ImagingInput, ReportInput
from fusion.risks import RiskModels, SeverityModel
from fusion.risks.severity import subset_name
from fusion.risks.severity_features import COLUMNS, EMBEDDED, MODALITIES, SUBSETS, Projection, row_of
from fusion.training.severity import Recipe
from fusion.training.severity_card import train_severity, verdict
from nlp.result import Mention, StructuredReport
from vision.result import Embedding, Finding, ImagingResult, ModelRef, Rejection

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
REF = ModelRef(id="adult", version="1", sha256="0" * 64)
SMALL = Recipe(components=2, rounds=20, boosters=1, repeats=1, folds=3)
PATIENTS = 90


def film(score: float, *, embedding: bool = True) -> ImagingResult:
    return ImagingResult(
        findings=(Finding(key="lung_opacity", score=score, model=REF),),
        embedding=Embedding(model=REF, values=(score,) * EMBEDDED) if embedding else None,
        analysed_at=AT,
    )


def note(**labels: int) -> StructuredReport:
    mention = Mention(
        finding="lung_opacity", assertion="present", laterality="bilateral", section="findings", start=0, end=1
    )
    return StructuredReport(labels=labels, findings=(mention,), extracted_at=AT)  # type: ignore[arg-type]


def cohort(seed: int = 3) -> pd.DataFrame:
    """Patients whose opacity and saturation, each seen with error, decide; a third lack each modality."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for patient in range(PATIENTS):
        severe = random.random() < 0.5
        score = float(np.clip(random.normal(0.65 if severe else 0.35, 0.15), 0.01, 0.99))
        record = {"age": 60.0, "spo2_percent": float(random.normal(86 if severe else 94, 4))}
        row = row_of(
            film(score) if random.random() > 0.3 else None,
            note(lung_opacity=int(random.random() < (0.8 if severe else 0.3))) if random.random() > 0.3 else None,
            record if random.random() > 0.3 else {},
        )
        told = {"intubated": "Y" if severe else "N", "went_icu": "Y" if severe else "N"}
        licence = None if patient % 3 == 0 else "CC BY 4.0"
        rows.append({"file": f"{patient}.png", "patientid": patient, "offset": 0, "license": licence, **told, **row})
    return pd.DataFrame(rows).assign(devices=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "severity"
    train_severity(cohort(), out, recipe=SMALL, resamples=30, say=lambda _: None)
    return out


def test_the_earliest_film_of_a_patient_with_a_stated_course_is_the_case() -> None:
    told = pd.DataFrame(
        [
            ("late", 1, 5, "Y", "Y"), ("early", 1, 0, "", ""), ("mild", 2, "", "N", "N"), ("half", 3, 0, "N", ""),
            ("unknown", 4, 0, "", ""),
        ],
        columns=["file", "patientid", "offset", "intubated", "went_icu"],
    ).assign(license="CC BY")  # fmt: skip
    cases = cases_of(told)
    assert dict(zip(cases["file"], cases["severe"], strict=True)) == {"early": 1, "mild": 0}
    assert set(cases_of(told, any_negative=True)["file"]) == {"early", "mild", "half"}


def test_a_cohort_of_another_layout_is_refused_by_name() -> None:
    with pytest.raises(EventsError, match="'went_icu' is missing"):
        cases_of(cohort().drop(columns="went_icu"))


def test_what_is_absent_is_missing_and_never_normal() -> None:
    row = row_of(None, None, {"age": 50, "spo2_percent": 5.0, "male": None})
    assert row["record.age"] == 50
    assert all(np.isnan(row[name]) for name in COLUMNS if name != "record.age")
    assert row["embedding"] is None


def test_a_refused_film_and_a_refused_text_bring_nothing() -> None:
    refused = ImagingResult(rejection=Rejection(code="not_chest", reason="not a chest film"), analysed_at=AT)
    row = row_of(refused, StructuredReport(refusal="too long", extracted_at=AT), {})
    assert all(np.isnan(row[name]) for name in COLUMNS)


def test_what_was_done_to_the_patient_is_no_feature() -> None:
    assert not [name for name in COLUMNS if any(word in name for word in ("device", "oxygen_flow", "icu", "survival"))]


@pytest.mark.parametrize("subset", SUBSETS)
def test_every_set_of_modalities_gives_an_answer(folder: Path, subset: tuple[str, ...]) -> None:
    whole = pd.DataFrame(
        [{"file": "x.png", **row_of(film(0.9), note(lung_opacity=1), {"age": 70, "spo2_percent": 80})}]
    )
    predicted = SeverityModel.load(folder).predict(only(whole, subset))
    assert predicted["file"].tolist() == ["x.png"]
    assert predicted["probability"].between(0, 1).all()


def test_of_nothing_there_is_no_number(folder: Path) -> None:
    nothing = pd.DataFrame([{"file": "x.png", **row_of(None, None, {})}])
    assert SeverityModel.load(folder).predict(nothing)["probability"].isna().all()


def test_the_card_holds_every_comparison_and_trains_on_licensed_films_only(folder: Path) -> None:
    card = SeverityModel.load(folder).card
    assert set(card.metrics) == {
        "all patients", "any stated N is negative", "without tubes and lines", "films with a stated licence",
        "this model, films without a stated licence",
    }  # fmt: skip
    assert card.metrics["this model, films without a stated licence"]["as given"]["patients"] <= PATIENTS // 3
    figures = card.metrics["all patients"]
    assert set(figures["auroc"]) == {"fused", *(f"{name} only" for name in MODALITIES)}
    assert set(figures["fused_minus"]) == {f"{name} only" for name in MODALITIES}
    assert figures["auroc"]["fused"]["value"] > 0.75
    assert card.development["patients"] == PATIENTS * 2 // 3


def test_every_set_of_modalities_is_judged_by_its_own_calibration_and_the_page_says_so(folder: Path) -> None:
    card = SeverityModel.load(folder).card
    found = card.metrics["all patients"]["calibrated_within_subset"]
    assert set(found) == {subset_name(subset) for subset in SUBSETS}
    for name, figures in found.items():
        assert abs(figures["mean_probability"] - figures["frequency"]) < 0.1, name
        assert 0 <= figures["calibration_error"]["low"] <= figures["calibration_error"]["high"]
    beyond = [n for n, f in found.items() if f["calibration_error"]["value"] > f["calibration_error_by_chance"]["high"]]
    assert len(beyond) <= 1
    page = (folder / "figures.md").read_text("utf-8")
    assert all(f"| {name} |" in page for name in found)
    assert all(f"| {name} ({card.metrics[name]['patients']}) |" in page for name in ("all patients",))


@pytest.mark.parametrize(("low", "enabled"), [(0.01, True), (-0.01, False)])
def test_it_is_switched_off_unless_fusing_helps_beyond_the_interval(low: float, enabled: bool) -> None:
    area = {
        "fused": {"value": 0.8},
        "image only": {"value": 0.7},
        "text only": {"value": 0.6},
        "record only": {"value": 0.5},
    }
    gain = {"image only": {"value": 0.1, "low": low, "high": 0.2}}
    switched_on, reason = verdict({"auroc": area, "fused_minus": gain})
    assert switched_on is enabled
    assert "image only" in reason


def test_evaluation_says_what_it_was_shown(folder: Path) -> None:
    figures = evaluate_severity(cases_of(cohort(9)), model=folder, resamples=20)
    assert {"as given", "image", "image+text+record"} <= set(figures["metrics"])
    assert figures["metrics"]["image"]["patients"] < figures["metrics"]["as given"]["patients"] <= PATIENTS
    assert figures["metrics"]["as given"]["auroc"]["value"] > 0.7


def test_a_higher_opacity_never_lowers_a_fitted_direction() -> None:
    spread = np.random.default_rng(0).normal(size=(30, 1)) * np.ones((1, EMBEDDED))
    projection = Projection.fitted(spread, 3)
    ordered = projection.of(np.sort(spread, axis=0))[:, 0]
    assert all(a <= b for a, b in pairwise(ordered)) or all(a >= b for a, b in pairwise(ordered))


def test_a_changed_projection_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "projection.npz").write_bytes(b"PK")
    with pytest.raises(ModelVerificationError, match="sha256"):
        SeverityModel.load(tmp_path)


def test_an_embedding_of_another_network_is_refused_by_row(folder: Path) -> None:
    table = pd.DataFrame([{"file": "x.png", "embedding": (0.1, 0.2)}])
    with pytest.raises(EventsError, match="embedding of 2 values"):
        SeverityModel.load(folder).predict(table)


def test_what_another_film_model_said_is_left_out(folder: Path) -> None:
    model = SeverityModel.load(folder)
    row = row_of(film(0.9), None, {"age": 70, "spo2_percent": 80})
    other = pd.DataFrame([row | {"image_model": "f" * 64}])
    without = pd.DataFrame([row_of(None, None, {"age": 70, "spo2_percent": 80})])
    assert model.probability(other) == pytest.approx(model.probability(without))
    assert model.probability(pd.DataFrame([row])) != pytest.approx(model.probability(without))


def test_a_patient_with_pneumonia_is_answered_from_what_there_is(folder: Path) -> None:
    card = SeverityModel.load(folder).card
    if not card.enabled:
        (folder / "model.yaml").write_text(
            (folder / "model.yaml").read_text("utf-8").replace("enabled: false", "enabled: true"), "utf-8"
        )
    risks = RiskModels.load(folder.parent)
    (state,) = [row["state"] for row in risks.status() if row["id"] == "severity"]
    assert state == "served"
    patient = Patient(
        id="p",
        birth_date=date(1960, 1, 1),
        conditions=(Condition(frozenset({"pneumonia"}), True, None, "Condition/1"),),
        observations=(Observation("spo2_percent", 82.0, AT - timedelta(hours=3), "Observation/1", "%"),),
    )
    result = risks.assess(patient, ImagingInput(film(0.9), AT), None, AT)[1]
    assert (result.status, result.modalities) == ("ok", ("imaging", "record"))
    assert [item.name for item in result.inputs] == ["spo2_percent"]
    assert "text.lung_opacity" in result.missing
    with_report = risks.assess(patient, ImagingInput(film(0.9), AT), ReportInput(note(lung_opacity=1), AT), AT)[1]
    assert with_report.modalities == ("imaging", "report", "record")
    well = risks.assess(Patient(id="q", birth_date=date(1960, 1, 1)), None, None, AT)[1]
    assert (well.status, well.probability) == ("not_applicable", None)
