"""Reading FHIR: tolerant of shapes, strict about units, times and whose a resource is; what is not used is named."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fusion import NoPatientError, Patient, TwoPatientsError, read_patient, resources_of, searched_types
from fusion.assessment import Assessment
from fusion.record.codes import LOINC
from tests.fusion import builders as build

PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1950-05-05"}
SNOMED = "http://snomed.info/sct"


def observation(code: str = "8867-4", value: Any = 80, unit: str | None = "/min", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": LOINC, "code": code}]},
        "effectiveDateTime": "2026-06-15T08:00:00+02:00",
        "valueQuantity": {"value": value, **({} if unit is None else {"unit": unit})},
        **more,
    }


def coded(kind: str, code: str, **more: Any) -> dict[str, Any]:
    concept = {"coding": [{"system": SNOMED, "code": code}]}
    return {"resourceType": kind, "id": "c1", "subject": {"reference": "Patient/p1"}, "code": concept, **more}


def read(*resources: Any) -> Patient:
    return read_patient([PATIENT, *resources], at=build.AT)


def value(patient: Patient, key: str) -> Any:
    found = patient.latest(key, at=build.AT)
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("code", "given_value", "unit", "key", "expected"),
    [
        ("14682-9", 88.4, "umol/L", "creatinine_mg_dl", 1.0),
        ("8310-5", 98.6, "[degF]", "temperature_c", 37.0),
        ("2345-7", 10, "mmol/L", "glucose_mg_dl", 180.16),
        ("2703-7", 10, "kPa", "pao2_mmhg", 75.006),
        ("1988-5", 5, "mg/dL", "crp_mg_l", 50.0),
        ("48065-7", 0.5, "ug/mL", "d_dimer_ng_ml_feu", 500.0),
        ("3094-0", 19.6, "mg/dL", "urea_mmol_l", 6.9972),
    ],
)
def test_values_come_in_the_unit_of_their_key(
    code: str, given_value: float, unit: str, key: str, expected: float
) -> None:
    assert value(read(observation(code, given_value, unit)), key) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (observation(unit="furlongs"), "unknown unit"),
        (observation(unit=None), "no unit"),
        (observation(value=4000), "not plausible"),
        (observation(value="80"), "not a number"),
        (observation(value=True), "not a number"),
        (observation(value=float("nan")), "not a number"),
        (observation(effectiveDateTime="2027-01-01"), "after the time"),
        (observation(effectiveDateTime="yesterday"), "no time"),
        (observation(status="entered-in-error"), "is not used"),
        (observation(dataAbsentReason={"text": "unknown"}), "absent"),
        (observation(subject={"reference": "Patient/p2"}), "another patient"),
        (observation(subject={"reference": "Group/p1"}), "not about a patient"),
        (observation(subject={"reference": "#inside"}), "contained"),
    ],
)
def test_what_cannot_be_used_is_dropped_by_name_and_the_rest_goes_on(resource: dict[str, Any], reason: str) -> None:
    patient = read(resource, observation("9279-1", 20, "/min", id="o2"))
    (dropped,) = patient.dropped
    assert dropped.reference == "Observation/o1"
    assert reason in dropped.reason
    assert value(patient, "heart_rate") is None
    assert value(patient, "respiratory_rate") == 20


@pytest.mark.parametrize(
    "reference", ["Patient/p1", "https://ehr.example/fhir/Patient/p1", "urn:uuid:p1", "Patient/p1/_history/3"]
)
def test_a_subject_is_recognised_in_every_form_of_reference(reference: str) -> None:
    assert value(read(observation(subject={"reference": reference})), "heart_rate") == 80


def test_a_subject_by_identifier_must_not_contradict() -> None:
    known = {**PATIENT, "identifier": [{"system": "urn:mrn", "value": "7"}]}
    for number, expected in (("7", 80), ("8", None)):
        about = {"identifier": {"system": "urn:mrn", "value": number}}
        patient = read_patient([known, observation(subject=about)], at=build.AT)
        assert value(patient, "heart_rate") == expected


def test_a_resource_that_comes_twice_counts_once() -> None:
    patient = read(observation(), observation(value=90))
    assert len(patient.series("heart_rate")) == 1
    assert patient.dropped[0].reason == "came twice; the first is used"


def creatinine(number: str, told: float, unit: str = "mg/dL", at: str = "2026-06-15T08:00:00Z") -> dict[str, Any]:
    return observation("2160-0", told, unit, id=number, effectiveDateTime=at)


def test_values_that_contradict_each_other_at_one_moment_are_not_used_nor_what_is_older() -> None:
    both = [creatinine("a", 1.0), creatinine("b", 3.1, at="2026-06-15T10:00:00+02:00")]
    older = creatinine("c", 1.1, at="2026-06-01T08:00:00Z")
    for resources in ([*both, older], [older, *reversed(both)]):
        patient = read(*resources)
        assert value(patient, "creatinine_mg_dl") is None
        assert [dropped.reference for dropped in patient.dropped] == ["Observation/a", "Observation/b"]
        assert all("contradicts another value" in dropped.reason for dropped in patient.dropped)


def test_a_value_measured_after_a_contradiction_is_used() -> None:
    patient = read(creatinine("a", 1.0), creatinine("b", 3.1), creatinine("d", 1.2, at="2026-06-15T09:00:00Z"))
    assert value(patient, "creatinine_mg_dl") == 1.2
    assert len(patient.series("creatinine_mg_dl")) == 1


def test_a_contradiction_makes_the_order_check_not_evaluable_rather_than_harmless() -> None:
    def assessed(*resources: Any) -> Assessment:
        patient = read_patient([PATIENT, *resources], at=build.AT, searched={"Condition"})
        return build.assessed(patient, orders=(build.draft(orderable="ct_chest_with_contrast"),))

    sure = assessed(creatinine("b", 3.1))
    unsure = assessed(creatinine("a", 0.8), creatinine("b", 3.1))
    assert "contrast_egfr_below_30" in {check.rule_id for check in sure.order_checks}
    missing = {status.rule_id: status.missing for status in unsure.rules}
    assert "egfr" in missing["contrast_egfr_below_30"]


def test_what_one_moment_tells_twice_counts_once() -> None:
    patient = read(creatinine("a", 1.0), creatinine("b", 88.4, "umol/L"))
    (found,) = patient.series("creatinine_mg_dl")
    assert found.reference == "Observation/a"
    assert [(d.reference, d.reason) for d in patient.dropped] == [
        ("Observation/b", "creatinine_mg_dl: told by Observation/a, too; one is used")
    ]


def test_a_clock_ahead_makes_no_contradiction() -> None:
    patient = read(creatinine("a", 1.0, at="2026-06-15T12:02:00Z"), creatinine("b", 3.1, at="2026-06-15T12:05:00Z"))
    assert [item.at for item in patient.series("creatinine_mg_dl")] == [build.AT, build.AT]
    assert patient.dropped == ()


def test_contradictory_smoking_is_unknown() -> None:
    def smoker(number: str, code: str) -> dict[str, Any]:
        concept = {"coding": [{"system": SNOMED, "code": code}]}
        return observation("72166-2", id=number, valueQuantity=None, valueCodeableConcept=concept)

    assert read(smoker("a", "449868002")).smoking.status == "current"
    assert read(smoker("a", "449868002"), smoker("b", "266919005")).smoking.status is None


def test_two_patients_are_refused() -> None:
    for other in ({**PATIENT, "id": "p2"}, {"resourceType": "Patient", "gender": "male"}):
        with pytest.raises(TwoPatientsError):
            read_patient([PATIENT, other], at=build.AT)


def test_two_patients_without_an_id_are_refused() -> None:
    nameless = {"resourceType": "Patient", "gender": "male"}
    with pytest.raises(TwoPatientsError):
        read_patient([nameless, {**nameless, "gender": "female"}], at=build.AT)


def test_the_same_patient_twice_is_one_patient() -> None:
    assert read_patient([PATIENT, PATIENT], at=build.AT).id == "p1"


def test_no_patient_or_another_one_than_asked_for_is_refused() -> None:
    with pytest.raises(NoPatientError):
        read_patient([observation()], at=build.AT)
    with pytest.raises(NoPatientError):
        read_patient([PATIENT], patient_id="p2", at=build.AT)


def test_a_transaction_without_ids_is_joined_by_its_full_urls() -> None:
    person = {k: v for k, v in PATIENT.items() if k != "id"}
    measured = {k: v for k, v in observation(subject={"reference": "urn:uuid:aa"}).items() if k != "id"}
    bundle = {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": "urn:uuid:aa", "resource": person}, {"fullUrl": "urn:uuid:bb", "resource": measured}],
    }
    patient = read_patient(resources_of(bundle), at=build.AT)
    assert (patient.id, value(patient, "heart_rate")) == ("aa", 80)


def test_a_prefetch_map_of_bundles_resources_and_nulls_is_read() -> None:
    prefetch = {
        "patient": PATIENT,
        "vitals": {"resourceType": "Bundle", "entry": [{"resource": observation()}]},
        "x": None,
    }
    assert value(read_patient(resources_of(prefetch), at=build.AT), "heart_rate") == 80


def test_a_problem_is_active_unless_the_record_says_otherwise() -> None:
    resolved = {"coding": [{"code": "resolved"}]}
    refuted = {"coding": [{"code": "refuted"}]}
    for more, active in (
        ({}, True),
        ({"clinicalStatus": resolved}, False),
        ({"abatementString": "last year"}, False),
        ({"verificationStatus": refuted}, False),
        ({"onsetDateTime": "2030-01-01"}, False),
    ):
        assert (read(coded("Condition", "44054006", **more)).condition("diabetes") is not None) is active


def test_medications_are_read_from_the_element_and_through_references() -> None:
    concept = {"text": "metformin 500 MG Oral Tablet"}
    base = {"resourceType": "MedicationRequest", "id": "m", "status": "active", "subject": {"reference": "Patient/p1"}}
    medication = {"resourceType": "Medication", "id": "d1", "code": concept}
    for resources in (
        [{**base, "medicationCodeableConcept": concept}],
        [{**base, "medicationReference": {"reference": "Medication/d1"}}, medication],
        [{**base, "medicationReference": {"reference": "#d1"}, "contained": [medication]}],
        [{**base, "medicationReference": {"reference": "Medication/elsewhere", "display": "Metformin"}}],
    ):
        assert read(*resources).medication("metformin", on=build.AT.date()) is not None
    refused = {**base, "medicationCodeableConcept": concept, "doNotPerform": True}
    assert read(refused).medication("metformin", on=build.AT.date()) is None


def test_the_worst_reaction_counts_and_a_refuted_allergy_does_not() -> None:
    allergy = coded("AllergyIntolerance", "293637006", reaction=[{"severity": "mild"}, {"severity": "severe"}])
    found = read(allergy).allergy("iodinated_contrast")
    assert found is not None
    assert found.severity == "severe"
    assert (
        read({**allergy, "verificationStatus": {"coding": [{"code": "refuted"}]}}).allergy("iodinated_contrast") is None
    )


@pytest.mark.parametrize(
    ("link", "searched"),
    [
        ([{"relation": "self", "url": "https://ehr.example/fhir/AllergyIntolerance?patient=p1&_count=50"}], True),
        ([{"relation": "self", "url": "AllergyIntolerance?patient=p1&clinical-status=active"}], True),
        ([{"relation": "self", "url": "AllergyIntolerance?patient=p1&code=1"}], False),
        ([{"relation": "self", "url": "AllergyIntolerance?patient=p1&_lastUpdated=gt2026"}], False),
        ([{"relation": "self", "url": "AllergyIntolerance?_count=50"}], False),
        ([{"relation": "self", "url": "https://[broken"}], False),
        (
            [
                {"relation": "self", "url": "AllergyIntolerance?patient=p1"},
                {"relation": "next", "url": "AllergyIntolerance?patient=p1&page=2"},
            ],
            False,
        ),
        ([], False),
        (None, False),
    ],
)
def test_an_empty_search_of_all_of_a_type_says_that_none_is_recorded(link: Any, searched: bool) -> None:
    page = {"resourceType": "Bundle", "type": "searchset", "total": 0, "link": link}
    for document in (
        page,
        {"patient": PATIENT, "allergies": page},
        {**page, "link": [], "entry": [{"resource": page}]},
    ):
        assert searched_types(document) == ({"AllergyIntolerance"} if searched else set())
    found = read_patient([PATIENT], at=build.AT, searched=searched_types(page))
    assert ("AllergyIntolerance" in found.kinds) is searched


def test_what_came_with_the_record_is_remembered_by_type() -> None:
    assert read(observation()).kinds == {"Observation"}
    assert read(observation(subject={"reference": "Patient/p2"})).kinds == frozenset()


def test_an_imaging_study_is_read_by_modality_and_description() -> None:
    study = {
        "resourceType": "ImagingStudy", "id": "i1", "status": "available", "subject": {"reference": "Patient/p1"},
        "started": "2026-06-01", "modality": [{"code": "CT"}], "description": "CT THORAX",
    }  # fmt: skip
    (imaging,) = read(study).imaging
    assert (imaging.modality, imaging.text, imaging.status) == ("CT", "CT THORAX", "done")


@pytest.mark.parametrize(("told", "reason"), [("2030-01-01", "after the time"), ("1700-01-01", "not plausible")])
def test_an_impossible_birth_date_is_dropped(told: str, reason: str) -> None:
    patient = read_patient([{**PATIENT, "birthDate": told}], at=build.AT)
    assert patient.age_at(build.AT) is None
    (dropped,) = patient.dropped
    assert dropped.reference == "Patient.birthDate"
    assert reason in dropped.reason


def test_ages_are_completed_years() -> None:
    patient = read_patient([{**PATIENT, "birthDate": "2000-06-15"}], at=build.AT)
    assert patient.age_at(build.AT) == 26
    assert patient.age_at(build.AT - timedelta(days=1)) == 25


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["Patient/p1", "#x", "2026-06-01", "2026-06-01T25:00:00Z", "0001-01-01T00:00:00+14:00", "final", LOINC]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KINDS = (
    "Observation", "Condition", "MedicationRequest", "MedicationStatement", "Medication", "AllergyIntolerance",
    "Encounter", "ServiceRequest", "ImagingStudy", "DiagnosticReport", "Procedure", "Bundle", "Nonsense",
)  # fmt: skip
ELEMENTS = (
    "id", "status", "subject", "patient", "code", "effectiveDateTime", "effectivePeriod", "valueQuantity", "component",
    "valueCodeableConcept", "valueInteger", "dataAbsentReason", "clinicalStatus", "verificationStatus", "reaction",
    "medicationCodeableConcept", "medicationReference", "contained", "class", "location", "type", "period", "series",
    "modality", "procedureCode", "description", "started", "performedPeriod", "authoredOn", "entry", "onsetDateTime",
)  # fmt: skip
RESOURCE = st.builds(
    lambda kind, elements: {"resourceType": kind, **elements},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(ELEMENTS), JSON, max_size=8),
)
CODED_OBSERVATION = st.builds(
    lambda base, elements: {**base, **elements},
    st.sampled_from(
        [observation(), observation("2160-0", 1.0, "mg/dL"), observation("80288-4"), observation("82810-3")]
    ),
    st.dictionaries(st.sampled_from(ELEMENTS), JSON, max_size=4),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(RESOURCE | CODED_OBSERVATION | JSON, max_size=6))
def test_no_shape_of_a_resource_crashes_the_reading(resources: list[Any]) -> None:
    patient = read_patient([PATIENT, *resources], at=build.AT)
    build.assessed(patient, orders=(build.draft(orderable="ct_chest_with_contrast"),))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_document_gives_a_list_of_resources(document: Any) -> None:
    assert all(isinstance(resource["resourceType"], str) for resource in resources_of(document))


def _documents(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.glob("*.json")):
        yield path.name, json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(folder.glob("*.json.gz")):
        yield path.name, json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.shared_data
@pytest.mark.parametrize("folder", ["us_core", "r4_examples", "synthea"])
def test_every_public_example_is_read_or_refused_for_its_patients(folder: str, shared_data: Path) -> None:
    count = 0
    for name, document in _documents(shared_data / "fhir" / folder):
        resources = resources_of(document)
        people = {str(r.get("id")) for r in resources if r["resourceType"] == "Patient"}
        count += 1
        if len(people) > 1:
            with pytest.raises(TwoPatientsError):
                read_patient(resources, at=build.AT)
            continue
        given_patient = [] if people else [PATIENT]
        patient = read_patient([*given_patient, *resources], at=build.AT)
        assert build.assessed(patient).modalities, name
    assert count > 0


@pytest.mark.shared_data
def test_two_patients_of_the_examples_in_one_bundle_are_refused(shared_data: Path) -> None:
    first, second = [resources_of(document) for _, document in _documents(shared_data / "fhir" / "synthea")][:2]
    with pytest.raises(TwoPatientsError):
        read_patient([*first, *second], at=build.AT)
