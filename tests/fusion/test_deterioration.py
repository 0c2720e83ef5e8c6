"""The risk of in-hospital death: trained on tables, verified when loaded, said only of adults in intensive care."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from fusion import read_patient
from fusion.errors import EventsError, ModelError, ModelVerificationError
from fusion.evaluation import evaluate_deterioration
from fusion.evaluation.deterioration import View
from fusion.evaluation.stays import read_cohorts
from fusion.facts import Encounter, Observation, Patient
from fusion.risks import DeteriorationModel, RiskModels, predict_deterioration
from fusion.risks.boosters import Boosters
from fusion.risks.events import stays_of
from fusion.risks.intensive_care import events_of, in_words, observed
from fusion.training.deterioration import Copies, Recipe, StageRecipe, fit_stage, fit_stages
from fusion.training.deterioration_card import train_deterioration

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
STAYS = 160
SMALL = Recipe(
    stages=(
        StageRecipe(0, {View(6): 1.0}, {"shallow": 25}, taught=0.7),
        StageRecipe(30, {View(48): 1.0}, {"shallow": 25}),
    ),
    folds=2,
    teachers=2,
)


def simulated_set(folder: Path, name: str, seed: int) -> None:
    """Write stays whose lactate decides who dies."""
    random = np.random.default_rng(seed)
    rows, outcomes = [], []
    for record in range(STAYS):
        lactate = random.uniform(0.5, 9)
        outcomes.append((record, int(random.random() < 1 / (1 + np.exp(4 - lactate)))))
        rows += [(record, 0, "Age", random.uniform(20, 90)), (record, 0, "Gender", float(record % 2))]
        for hour in range(0, 48, 6):
            rows += [
                (record, hour * 60 + 3, "Lactate", lactate + random.normal(0, 0.2)),
                (record, hour * 60 + 3, "HR", random.normal(90, 10)),
            ]
    pd.DataFrame(rows, columns=["record", "minute", "parameter", "value"]).to_parquet(folder / f"set_{name}.parquet")
    pd.DataFrame(outcomes, columns=["record", "in_hospital_death"]).to_csv(folder / f"outcomes_{name}.csv", index=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of simulated sets, and the folder that holds the model trained on them."""
    data, models = tmp_path_factory.mktemp("sets"), tmp_path_factory.mktemp("models")
    simulated_set(data, "a", 1)
    simulated_set(data, "b", 2)
    train_deterioration(data, models / "deterioration", recipe=SMALL, resamples=20, say=lambda _: None)
    return data, models


@pytest.fixture
def models(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the models that a test may spoil."""
    shutil.copytree(trained[1], tmp_path / "models")
    return tmp_path / "models"


def change_card(folder: Path, **fields: object) -> None:
    file = folder / "deterioration" / "model.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text("utf-8")) | fields), "utf-8")


def patient(**changes: object) -> Patient:
    start = AT - timedelta(hours=20)
    course = {
        "heart_rate": (95, 118), "lactate_mmol_l": (3.0, 6.5), "bun_mg_dl": (31.0, 50.4), "glasgow_coma_scale": (14, 9),
        "temperature_c": (37.9, 38.1), "platelets_10e9_l": (1040, 1050),
    }  # fmt: skip
    facts = {
        "id": "p",
        "birth_date": date(1950, 1, 1),
        "sex": "male",
        "encounters": (Encounter("IMP", True, start, None, "Encounter/icu"),),
        "observations": tuple(
            Observation(key, value, start + timedelta(hours=1 + 12 * step), f"Observation/{key}-{step}")
            for key, values in course.items()
            for step, value in enumerate(values)
        ),
    }
    return Patient(**facts | changes)  # type: ignore[arg-type]


def test_what_decides_is_learned_and_the_card_says_what_was_measured(trained: tuple[Path, Path]) -> None:
    data, models = trained
    figures = evaluate_deterioration(data, model=models / "deterioration", names=("b",), resamples=20)
    assert figures["metrics"]["first 48 h"]["auroc"]["value"] > 0.8
    card = DeteriorationModel.load(models / "deterioration").card
    others = card.metrics["trained_on_others_tested_on_last"]["first 48 h"]["auroc"]
    assert others["low"] < others["value"] < others["high"]
    assert set(card.subgroups) >= {"women", "men", "80 and over"}
    assert (models / "deterioration" / "LICENSE").read_text("utf-8").startswith("Weights trained on")


def test_who_teaches_of_a_stay_has_not_seen_it_nor_any_stay_that_is_left_out(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = Copies(read_cohorts(trained[0]))
    outcome, rows = copies.outcome, np.arange(0, len(copies.outcome), 2)
    calls: list[tuple[Any, Any]] = []

    def watched(recipe: Any, copies: Any, target: Any, rows: Any, seed: int) -> Any:
        calls.append((rows, target))
        return fit_stage(recipe, copies, target, rows, seed)

    monkeypatch.setattr("fusion.training.deterioration.fit_stage", watched)
    fit_stages(SMALL, copies, outcome, rows)
    (first, _), (second, _), (_, target), (_, last) = calls
    assert sorted([*first, *second]) == rows.tolist()
    assert np.isnan(target[1::2]).all()
    by_second = Boosters(fit_stage(SMALL.stages[1], copies, outcome, second, SMALL.seed), 1.0, 0.0)
    told = by_second.probability(copies.at(View(48)).iloc[first])
    assert target[first] == pytest.approx(0.7 * told + 0.3 * outcome[first])
    assert last[rows].tolist() == outcome[rows].tolist()


def test_a_stay_is_predicted_the_same_alone_and_among_others(trained: tuple[Path, Path]) -> None:
    data, models = trained
    model = DeteriorationModel.load(models / "deterioration")
    events = pd.read_parquet(data / "set_a.parquet")
    together = model.predict(events).set_index("record")["probability"]
    alone = model.predict(events[events["record"] == 17])["probability"].iloc[0]
    assert alone == pytest.approx(together.loc[17], abs=1e-6)


def test_contributions_add_up_to_the_log_odds(trained: tuple[Path, Path]) -> None:
    data, models = trained
    model = DeteriorationModel.load(models / "deterioration")
    stays = stays_of(pd.read_parquet(data / "set_a.parquet"))
    reasoned = model.reasons(stays)
    odds = np.array([np.log(one.probability / (1 - one.probability)) for one in reasoned])
    weights = pd.DataFrame([one.weights for one in reasoned])
    rest = odds - weights.sum(axis=1).to_numpy()
    assert rest == pytest.approx(np.full(STAYS, rest[0]), abs=1e-4)
    assert weights.abs().mean().idxmax() == "Lactate"
    assert [one.probability for one in reasoned] == pytest.approx(model.probability(stays), abs=1e-5)


def test_weights_that_are_not_those_of_the_card_are_refused_and_the_rest_goes_on(models: Path) -> None:
    weights = models / "deterioration" / "stage0_0.ubj"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelVerificationError, match="sha256"):
        DeteriorationModel.load(models / "deterioration")
    risks = RiskModels.load(models)
    (row,) = risks.status()
    assert (row["id"], row["state"], row["sha256"]) == ("deterioration", "refused", None)
    assert "sha256" in row["reason"]
    (result,) = risks.assess(patient(), None, None, AT)
    assert (result.status, result.probability) == ("not_served", None)


def test_a_model_that_gives_another_golden_output_is_refused(models: Path) -> None:
    golden = yaml.safe_load((models / "deterioration" / "model.yaml").read_text("utf-8"))["golden"]
    change_card(models, golden=[golden[0] | {"output": golden[0]["output"] + 0.1}])
    with pytest.raises(ModelVerificationError, match="golden input 0"):
        DeteriorationModel.load(models / "deterioration")


def test_a_folder_without_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.yaml"):
        DeteriorationModel.load(tmp_path)


def test_a_card_can_switch_its_model_off(models: Path) -> None:
    change_card(models, enabled=False, reason="waits for the site's evaluation")
    risks = RiskModels.load(models)
    (row,) = risks.status()
    assert (row["state"], row["reason"]) == ("off", "waits for the site's evaluation")
    assert len(row["sha256"]) == 64
    (result,) = risks.assess(patient(), None, None, AT)
    assert (result.status, result.reason) == ("not_served", "waits for the site's evaluation")


def test_a_patient_in_intensive_care_gets_a_risk_with_its_reasons(trained: tuple[Path, Path]) -> None:
    risks = RiskModels.load(trained[1])
    assert risks.status()[0]["state"] == "served"
    (result,) = risks.assess(patient(), None, None, AT)
    assert result.status == "ok"
    assert result.probability is not None
    assert 0 < result.probability < 1
    assert "lactate 6.5 mmol/L, rising" in {reason.text for reason in result.contributions}
    used = {item.name: item for item in result.inputs}
    assert used["lactate_mmol_l"].value == 6.5
    assert used["lactate_mmol_l"].evidence is not None
    assert used["lactate_mmol_l"].evidence.reference == "Observation/lactate_mmol_l-1"
    assert "sodium_mmol_l" in result.missing


def test_values_are_told_in_clinical_words(trained: tuple[Path, Path]) -> None:
    rows = [
        (1, 0, "Age", 71.0), (1, 0, "Gender", 0.0), (1, 10, "BUN", 31.0), (1, 700, "BUN", 50.4), (1, 10, "Temp", 37.9),
        (1, 700, "Temp", 38.1), (1, 10, "GCS", 14.0), (1, 700, "GCS", 9.0), (1, 10, "Platelets", 1040.0),
        (1, 10, "FiO2", 0.5), (1, 10, "PaO2", 70.0), (1, 10, "NISysABP", 92.0),
    ]  # fmt: skip
    model = DeteriorationModel.load(trained[1] / "deterioration")
    (one,) = model.reasons(stays_of(pd.DataFrame(rows, columns=["record", "minute", "parameter", "value"])))
    names = (
        "Age",
        "Gender",
        "BUN",
        "Temp",
        "GCS",
        "Platelets",
        "FiO2",
        "PF",
        "SBP",
        "SysABP",
        "Na",
        "MechVent",
        "Stay",
    )
    told = in_words(dict.fromkeys(names, 1.0), one.features, most=20)
    assert {reason.text: reason.weight for reason in told} == {
        "age 71": 1, "female": 1, "urea 18 mmol/L, rising": 1, "temperature 38.1 °C": 1,
        "Glasgow coma scale 9, falling": 1, "platelets 1040 x10⁹/L": 1, "inspired oxygen 50 %": 1,
        "PaO2/FiO2 140 mmHg": 1, "systolic pressure 92 mmHg": 2, "how long and how closely watched": 1,
        "not measured: sodium, mechanical ventilation": 2,
    }  # fmt: skip


def test_what_an_intensive_care_chart_holds_reaches_the_model_from_fhir() -> None:
    charted = [
        ("1963-8", 21, "mmol/L", "HCO3", 21.0),
        ("2601-3", 1, "mmol/L", "Mg", 2.4305),
        ("8478-0", 65, "mm[Hg]", "NIMAP", 65.0),
        ("9187-6", 0.05, "L", "Urine", 50.0),
        ("6768-6", 80, "U/L", "ALP", 80.0),
        ("1742-6", 30, "U/L", "ALT", 30.0),
        ("1920-8", 31, "U/L", "AST", 31.0),
        ("2093-3", 4, "mmol/L", "Cholesterol", 154.68),
        ("20077-4", 8, "cm[H2O]", "MechVent", 1.0),
    ]
    resources = [
        {
            "resourceType": "Observation",
            "id": code,
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "effectiveDateTime": (AT - timedelta(hours=1)).isoformat(),
            "valueQuantity": {"value": number, "code": unit},
        }
        for code, number, unit, _, _ in charted
    ]
    patient = read_patient([{"resourceType": "Patient", "id": "p"}, *resources], at=AT)
    start = AT - timedelta(hours=5)
    events = events_of(patient, start, AT, observed(patient, start, AT))
    found = {row.parameter: (row.minute, row.value) for row in events.itertuples() if row.parameter != "Age"}
    expected: dict[Any, Any] = {name: (240.0, pytest.approx(value)) for _, _, _, name, value in charted}
    assert found == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encounters": ()}, "no intensive care stay"),
        ({"birth_date": None}, "age unknown"),
        ({"birth_date": date(2015, 1, 1)}, "made for adults"),
        ({"observations": ()}, "only 0 parameters"),
    ],
)
def test_outside_its_population_it_is_not_applicable(
    trained: tuple[Path, Path], changes: dict[str, object], reason: str
) -> None:
    (result,) = RiskModels.load(trained[1]).assess(patient(**changes), None, None, AT)
    assert result.status == "not_applicable"
    assert result.probability is None
    assert reason in (result.reason or "")


def test_what_was_measured_after_the_time_of_the_assessment_changes_nothing(trained: tuple[Path, Path]) -> None:
    later = Observation("lactate_mmol_l", 19.0, AT + timedelta(hours=1), "Observation/later")
    known = patient()
    risks = RiskModels.load(trained[1])
    with_later = patient(observations=(*known.observations, later))
    assert risks.assess(with_later, None, None, AT) == risks.assess(known, None, None, AT)


def test_sets_without_outcomes_are_refused_by_name(tmp_path: Path) -> None:
    simulated_set(tmp_path, "a", 1)
    (tmp_path / "outcomes_a.csv").write_text("record,in_hospital_death\n0,1\n", "utf-8")
    with pytest.raises(EventsError, match=r"no outcome for 159 of 160"):
        train_deterioration(tmp_path, tmp_path / "out", recipe=SMALL, resamples=20, say=lambda _: None)


@pytest.mark.shared_data
def test_the_packaged_model_reads_real_stays(shared_data: Path) -> None:
    folder = shared_data / "ehr" / "physionet2012"
    events = pd.read_parquet(folder / "set_b.parquet")
    predicted = predict_deterioration(events).set_index("record")["probability"]
    died = pd.read_csv(folder / "outcomes_b.csv").set_index("record")["in_hospital_death"].loc[predicted.index]
    assert predicted.between(0, 1).all()
    assert predicted[died == 1].median() > 3 * predicted[died == 0].median()
