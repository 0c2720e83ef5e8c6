"""The assessment: what was used and what was not; missing data never normal; no matter the order of resources."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import Assessment, Freshness, Patient, assess, read_patient
from fusion.assessment import Modality
from tests.fusion import builders as build

LOINC = "http://loinc.org"


def modality(assessment: Assessment, name: str) -> Modality:
    return next(m for m in assessment.modalities if m.name == name)


def test_a_patient_with_no_data_at_all_gets_an_answer_that_says_so() -> None:
    assessment = build.assessed(Patient(id="p1"))
    assert {m.name: m.status for m in assessment.modalities} == {
        "imaging": "missing",
        "report": "missing",
        "record": "missing",
    }
    assert assessment.scores == ()
    assert assessment.findings == ()
    assert assessment.follow_ups == ()
    assert assessment.order_checks == ()


def test_no_data_and_a_draft_is_not_evaluable_rather_than_harmless() -> None:
    assessment = build.assessed(Patient(id="p1"), orders=(build.draft(orderable="ct_chest_with_contrast"),))
    assert assessment.order_checks == ()
    missing = {status.rule_id: status for status in assessment.rules}
    for rule in ("contrast_egfr_below_30", "contrast_reaction_severe", "metformin_egfr_below_30"):
        assert missing[rule].status == "not_evaluable"


@pytest.mark.parametrize(
    ("film", "status"),
    [
        (None, "missing"),
        (build.film({"pneumothorax": True}), "used"),
        (build.film({"pneumothorax": True}, days_ago=30), "used"),
        (build.film({"pneumothorax": True}, days_ago=30.1), "stale"),
        (build.film({"pneumothorax": True}, status="identity_unresolved"), "identity_unresolved"),
        (build.film(rejected="not a frontal chest film"), "rejected"),
    ],
)
def test_a_film_that_may_not_be_used_says_why_and_adds_nothing(film: Any, status: str) -> None:
    assessment = build.assessed(imaging=film)
    assert modality(assessment, "imaging").status == status
    used = status == "used"
    assert bool(assessment.findings) is used
    assert bool(assessment.follow_ups) is used


@pytest.mark.parametrize(
    ("text", "status", "findings"),
    [
        (None, "missing", False),
        (build.report({"lung_mass": {}}), "used", True),
        (build.report({"lung_mass": {}}, status="amended"), "used", True),
        (build.report({"lung_mass": {}}, status="preliminary"), "preliminary", True),
        (build.report({"lung_mass": {}}, days_ago=31), "stale", True),
        (build.report({"lung_mass": {}}, status="identity_unresolved"), "identity_unresolved", False),
        (build.report(refusal="not English"), "rejected", False),
    ],
)
def test_a_report_that_may_not_be_used_says_why_and_adds_nothing(text: Any, status: str, findings: bool) -> None:
    assessment = build.assessed(text=text)
    assert modality(assessment, "report").status == status
    assert bool(assessment.findings) is findings


def test_an_old_report_still_asks_for_its_follow_ups_but_enters_no_score() -> None:
    old = build.assessed(text=build.report({"pneumonia": {}}, days_ago=31))
    new = build.assessed(text=build.report({"pneumonia": {}}, days_ago=29))
    assert [f.rule_id for f in old.follow_ups] == ["pneumonia_film_over_50"]
    assert "curb65" not in {score.name for score in old.scores}
    assert "curb65" in {score.name for score in new.scores}


def test_freshness_is_configurable() -> None:
    assessment = assess(
        build.patient(age=60),
        at=build.AT,
        rules=build.packaged_rules(),
        risks=build.NoRisks(),
        imaging=build.film({"pneumothorax": True}, days_ago=2),
        freshness=Freshness(film=timedelta(days=1)),
    )
    assert modality(assessment, "imaging").status == "stale"


def test_without_a_table_of_orderables_nothing_earlier_is_recognised_and_nothing_crashes() -> None:
    assessment = assess(
        build.patient(age=60, imaging=[{"orderable": "echocardiography", "days_ago": 3}]),
        at=build.AT,
        rules=build.packaged_rules(),
        risks=build.NoRisks(),
        report=build.report({"cardiomegaly": {}}),
        orders=(build.draft(orderable="ct_chest_with_contrast", modality="CT", contrast="with"),),
    )
    statuses = {status.rule_id: status.missing for status in assessment.rules}
    assert statuses["cardiomegaly_without_echo"] == ("on_file_echocardiography",)


def test_what_was_dropped_from_the_record_is_named_in_the_answer() -> None:
    bad = observation("1", "8867-4", 80, "furlongs")
    who = read_patient([PATIENT, bad], at=build.AT)
    assert [d.reference for d in build.assessed(who).dropped] == ["Observation/1"]


def test_an_assessment_survives_json_without_loss() -> None:
    assessment = build.assessed(
        read_patient(RESOURCES, at=build.AT),
        text=build.report({"pneumonia": {}, "lung_nodule": {}}),
        imaging=build.film({"pneumothorax": True}),
        orders=(build.draft(orderable="ct_pulmonary_angiography"),),
    )
    assert Assessment.model_validate(json.loads(assessment.model_dump_json())) == assessment


PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-05-05"}


def observation(number: str, code: str, value: float, unit: str, days_ago: float = 0.1) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": number,
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": (build.AT - timedelta(days=days_ago)).isoformat(),
        "valueQuantity": {"value": value, "code": unit},
    }


RESOURCES: list[dict[str, Any]] = [
    PATIENT,
    observation("1", "8867-4", 112, "/min"),
    observation("2", "9279-1", 31, "/min"),
    observation("3", "8480-6", 88, "mm[Hg]"),
    observation("4", "59408-5", 91, "%"),
    observation("5", "2160-0", 2.1, "mg/dL", 3),
    observation("6", "2160-0", 1.1, "mg/dL", 200),
    observation("7", "33762-6", 2500, "pg/mL", 1),
    {
        "resourceType": "Condition",
        "id": "8",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "44054006"}]},
    },
    {
        "resourceType": "MedicationRequest",
        "id": "9",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "medicationCodeableConcept": {"text": "Metformin 500 mg"},
    },
    {
        "resourceType": "AllergyIntolerance",
        "id": "10",
        "patient": {"reference": "Patient/p1"},
        "code": {"text": "iodinated contrast"},
        "reaction": [{"severity": "moderate"}],
    },
    {
        "resourceType": "ServiceRequest",
        "id": "11",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "authoredOn": (build.AT - timedelta(hours=3)).isoformat(),
        "code": {"coding": [{"system": LOINC, "code": "24628-0"}]},
    },
    {
        "resourceType": "DiagnosticReport",
        "id": "12",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": (build.AT - timedelta(days=50)).isoformat(),
        "code": {"coding": [{"system": LOINC, "code": "36643-5"}]},
    },
]
UNRELATED: list[dict[str, Any]] = [
    {"resourceType": "Immunization", "id": "x", "status": "completed", "patient": {"reference": "Patient/p1"}},
    {"resourceType": "Basic", "id": "x"},
    observation("x", "99999-9", 3, "mg/dL"),
    {"resourceType": "Condition", "id": "x", "subject": {"reference": "Patient/p1"}, "code": {"text": "hay fever"}},
    {
        "resourceType": "Procedure",
        "id": "x",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "performedDateTime": "2026-06-01",
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "80146002"}]},
    },
    {"resourceType": "Coverage", "id": "x", "beneficiary": {"reference": "Patient/p1"}},
]


def answer(resources: list[dict[str, Any]]) -> Assessment:
    return build.assessed(
        read_patient(resources, at=build.AT),
        text=build.report({"pneumonia": {"change": "worse"}, "pleural_effusion": {"laterality": "left"}}),
        imaging=build.film({"cardiomegaly": True}),
        orders=(build.draft(orderable="ct_chest_with_contrast", reason="cough"),),
    )


@settings(max_examples=25, deadline=None)
@given(st.permutations(RESOURCES))
def test_the_order_of_the_resources_changes_nothing(resources: list[dict[str, Any]]) -> None:
    assert answer(resources) == answer(RESOURCES)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(UNRELATED), st.integers(0, len(RESOURCES)))
def test_an_unrelated_resource_changes_nothing(resource: dict[str, Any], place: int) -> None:
    assert answer([*RESOURCES[:place], resource, *RESOURCES[place:]]) == answer(RESOURCES)
