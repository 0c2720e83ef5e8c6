"""FHIR under /fhir: valid R4, of the right patient only, never final, with paging and conditional reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.operationoutcome import OperationOutcome
from httpx import Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from cds.api import create_app
from cds.fhir.capability import PUBLISHED
from cds.fhir.searching import SearchError, read_search
from cds.service import Service
from cds.store.tables import AssessmentRow, FilmRow, FollowUpRow, ReportRow
from fusion import RiskResult
from tests.cds.hooks.builders import (
    NOW,
    NUMBER,
    SYSTEM,
    Json,
    call,
    patient,
    plant_film,
    plant_report,
)
from tests.cds.hooks.conftest import MakeService, Post
from vision.result import Finding, ModelRef, Rejection

ME = {"patient:identifier": f"{SYSTEM}|{NUMBER}"}
EHR = "https://ehr.example/fhir"
RISK = RiskResult(
    name="death",
    title="Death in hospital",
    status="ok",
    probability=0.12,
    outcome="death in hospital",
    population="adults",
    model="deterioration",
    model_version="1",
    sha256="0" * 64,
)


@pytest.fixture
def filled(service: Service, post: Post) -> Service:
    """A service with a film, a report, and the assessment of their patient, who is p1 at the EHR."""
    plant_film(service, accession="A1")
    plant_report(service)
    answer = post("chest-imaging-risk", call(fhirServer=EHR, prefetch={"patient": patient()}))
    assert answer.status_code == 200
    with service.database.writing() as session:
        row = session.query(AssessmentRow).one()
        row.assessment = {**row.assessment, "risks": [RISK.model_dump(mode="json")]}
    return service


def _found(client: TestClient, kind: str, **query: Any) -> list[Json]:
    answer = client.get(f"/fhir/{kind}", params=query or ME)
    assert answer.status_code == 200, answer.text
    Bundle.model_validate(answer.json())
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def _refused(answer: Response, status: int) -> Json:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    OperationOutcome.model_validate(answer.json())
    issue: Json = answer.json()["issue"][0]
    return issue


def test_the_capability_statement_is_valid_and_needs_no_key(make_service: MakeService) -> None:
    client = TestClient(create_app(make_service(api_keys={"ward": "a-key-of-the-ward"})))
    answer = client.get("/fhir/metadata")
    statement = CapabilityStatement.model_validate(answer.json())
    assert {resource.type for resource in statement.rest[0].resource} == set(PUBLISHED)
    assert client.get("/fhir/Task", params=ME).status_code == 401


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_type_is_found_by_identifier_by_reference_and_by_id(
    filled: Service, client: TestClient, kind: str
) -> None:
    found = _found(client, kind)
    assert found
    for reference in (f"{EHR}/Patient/p1", "Patient/p1", "p1"):
        assert {r["id"] for r in _found(client, kind, patient=reference)} >= {r["id"] for r in found}
    for resource in found:
        assert client.get(f"/fhir/{kind}/{resource['id']}").json() == resource
        assert resource in _found(client, kind, _id=resource["id"])


def test_what_a_model_made_is_never_final(filled: Service, client: TestClient) -> None:
    reports = _found(client, "DiagnosticReport")
    assert sorted(r["status"] for r in reports) == ["final", "preliminary"]
    (of_film,) = [r for r in reports if r["status"] == "preliminary"]
    (of_radiologist,) = [r for r in reports if r["status"] == "final"]
    assert {o["status"] for o in of_radiologist["contained"]} == {"preliminary"}
    assert "no person has looked" in of_film["conclusion"]
    results = {r["reference"] for r in of_film["result"]}
    observations = [o for o in _found(client, "Observation") if f"Observation/{o['id']}" in results]
    assert [(o["status"], o["valueQuantity"]["value"]) for o in observations] == [("preliminary", 0.83)]


def test_a_follow_up_is_an_open_task_until_it_is_closed(filled: Service, client: TestClient) -> None:
    (task,) = _found(client, "Task")
    assert task["status"] == "requested"
    assert task["for"]["identifier"] == {"system": SYSTEM, "value": NUMBER}
    assert task["for"]["reference"] == f"{EHR}/Patient/p1"
    with filled.database.writing() as session:
        row = session.get_one(FollowUpRow, task["id"])
        row.state, row.closed_reason = "closed", "done"
    assert _found(client, "Task") == []
    assert client.get(f"/fhir/Task/{task['id']}").json()["status"] == "completed"


def test_a_study_has_its_films_and_is_found_by_uid_and_accession(filled: Service, client: TestClient) -> None:
    plant_film(filled)
    (study,) = _found(client, "ImagingStudy")
    assert study["numberOfInstances"] == 2
    for identifier in ("urn:dicom:uid|urn:oid:2.25.1", "A1"):
        assert [s["id"] for s in _found(client, "ImagingStudy", identifier=identifier)] == [study["id"]]
    assert _found(client, "ImagingStudy", identifier="urn:dicom:uid|urn:oid:2.25.999") == []
    assert _found(client, "ImagingStudy", **ME, identifier="A2") == []


def test_a_rejected_film_has_a_report_without_a_number(service: Service, client: TestClient) -> None:
    plant_film(service, findings=(), rejection=Rejection(code="not_chest", reason="not a chest film"))
    (report,) = _found(client, "DiagnosticReport")
    assert "not_chest" in report["conclusion"]
    assert "result" not in report
    assert _found(client, "Observation") == []


def test_a_finding_that_waits_for_a_person_is_not_published(make_service: MakeService) -> None:
    service = make_service(finding_gates={"lung_mass": "review_first"})
    client = TestClient(create_app(service))
    plant_film(service)
    assert _found(client, "Observation") == []


@pytest.mark.parametrize(
    "change", [{"birth_date": date(1999, 1, 1)}, {"sex": "male"}, {"identifier_system": "urn:other"}]
)
def test_what_contradicts_the_record_is_not_the_patients(filled: Service, client: TestClient, change: Json) -> None:
    with filled.database.writing() as session:
        for name, value in change.items():
            setattr(session.query(FilmRow).one(), name, value)
    assert _found(client, "ImagingStudy") == []
    assert [r["status"] for r in _found(client, "DiagnosticReport")] == ["final"]


def test_another_patient_has_nothing(filled: Service, client: TestClient) -> None:
    for kind in PUBLISHED:
        assert _found(client, kind, **{"patient:identifier": f"{SYSTEM}|other"}) == []
        assert _found(client, kind, patient="https://elsewhere.example/Patient/p1") == []


def test_an_id_that_two_servers_have_needs_the_absolute_reference(
    filled: Service, client: TestClient, post: Post
) -> None:
    other = patient(identifier=[{"system": SYSTEM, "value": "other"}])
    post("chest-imaging-risk", call(fhirServer="https://two.example", prefetch={"patient": other}))
    assert _refused(client.get("/fhir/Task?patient=p1"), 400)["code"] == "multiple-matches"
    assert len(_found(client, "Task", patient=f"{EHR}/Patient/p1")) == 1


def test_what_was_superseded_or_taken_back_is_gone(filled: Service, client: TestClient) -> None:
    ids = {r["status"]: r["id"] for r in _found(client, "DiagnosticReport")}
    with filled.database.writing() as session:
        newer = FilmRow(**{c.name: getattr(session.query(FilmRow).one(), c.name) for c in FilmRow.__table__.columns})
        newer.id, newer.sha256, newer.sop_instance_uid = "newer", "f" * 64, "2.25.77"
        session.add(newer)
        session.flush()
        session.get_one(FilmRow, ids["preliminary"]).superseded_by = "newer"
        session.query(ReportRow).one().status = "entered-in-error"
    for identifier in ids.values():
        assert _refused(client.get(f"/fhir/DiagnosticReport/{identifier}"), 410)["code"] == "deleted"
    assert _found(client, "DiagnosticReport") == []


def test_an_unchanged_resource_is_not_sent_again(filled: Service, client: TestClient) -> None:
    (study,) = _found(client, "ImagingStudy")
    path = f"/fhir/ImagingStudy/{study['id']}"
    first = client.get(path)
    tag = first.headers["etag"]
    assert tag == f'W/"{study["meta"]["versionId"]}"'
    assert first.headers["last-modified"] == format_datetime(NOW - timedelta(hours=2), usegmt=True)
    for headers in ({"If-None-Match": tag}, {"If-None-Match": f'"x", {tag}'}, {"If-None-Match": "*"}):
        again = client.get(path, headers=headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(path, headers={"If-Modified-Since": first.headers["last-modified"]}).status_code == 304
    assert client.get(path, headers={"If-Modified-Since": "yesterday"}).status_code == 200


def _many(service: Service, count: int) -> None:
    model = ModelRef(id="adult", version="1", sha256="0" * 64)
    keys = ("lung_mass", "lung_opacity", "atelectasis", "cardiomegaly", "consolidation", "pneumothorax", "fracture")
    plant_film(service, findings=tuple(Finding(key=k, score=0.1, label=False, model=model) for k in keys[:count]))


def test_pages_follow_each_other_without_loss_or_repeat(service: Service, client: TestClient) -> None:
    _many(service, 7)
    address: str | None = "/fhir/Observation?" + f"patient:identifier={SYSTEM}|{NUMBER}&_count=3"
    pages: list[list[str]] = []
    while address is not None:
        page = client.get(address).json()
        Bundle.model_validate(page)
        assert page["total"] == 7
        pages.append([entry["resource"]["id"] for entry in page["entry"]])
        links = {link["relation"]: link["url"] for link in page["link"]}
        address = links["next"].removeprefix("https://cds.example") if "next" in links else None
    assert [len(page) for page in pages] == [3, 3, 1]
    assert len({one for page in pages for one in page}) == 7


def test_a_count_of_nothing_gives_the_total_alone(service: Service, client: TestClient) -> None:
    _many(service, 2)
    page = client.get("/fhir/Observation", params={**ME, "_count": "0"}).json()
    assert page["total"] == 2
    assert "entry" not in page


@pytest.mark.parametrize(
    ("asked", "is_there"),
    [("gt2000", True), ("lt2000", False), ("ge{day}", True), ("le{day}", True), ("{day}", True), ("ne{day}", False),
     ("sa{day}", False), ("eb{day}", False), ("{month}", True), ("gt2999-12-31T23:59:59.5+02:00", False)],
)  # fmt: skip
def test_what_changed_in_a_period_is_found(service: Service, client: TestClient, asked: str, is_there: bool) -> None:
    plant_film(service)
    received = NOW - timedelta(hours=2)
    text = asked.format(day=f"{received:%Y-%m-%d}", month=f"{received:%Y-%m}")
    assert bool(_found(client, "ImagingStudy", **ME, _lastUpdated=text)) == is_there


def test_a_search_by_form_is_a_search(filled: Service, client: TestClient) -> None:
    assert client.post("/fhir/Task/_search", data=ME).json()["total"] == 1
    _refused(client.post("/fhir/Task/_search", json=ME), 415)


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("Task", 400),
        ("Task?patient=", 400),
        ("Task?patient=p1&patient=p2", 400),
        ("Task?patient=p1&status=requested", 400),
        ("Task?patient=Group/1", 400),
        ("Task?patient:identifier=4711", 400),
        ("Task?patient=p1&_count=-1", 400),
        ("Task?patient=p1&_lastUpdated=yesterday", 400),
        ("Task?patient=p1&_lastUpdated=2026-02-31", 400),
        ("Task?patient=p1&_cursor=%FF", 400),
        ("Task?_id=a_b", 400),
        ("Observation?patient=p1&identifier=x", 400),
        ("Task?patient=p1&_format=xml", 406),
        ("Task/none", 404),
        ("ImagingStudy/none", 404),
        ("Observation/none.lung-mass", 404),
        ("Patient?_id=p1", 404),
        ("Patient/p1", 404),
        ("a/b/c", 404),
    ],
)
def test_what_cannot_be_answered_is_an_operation_outcome(client: TestClient, address: str, status: int) -> None:
    _refused(client.get(f"/fhir/{address}"), status)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(client: TestClient, method: str) -> None:
    assert client.request(method, "/fhir/Task/1").status_code == 405


def test_a_store_in_trouble_is_an_operation_outcome(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[None]:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(service.database, "reading", broken)
    _refused(client.get("/fhir/Task", params=ME), 503)


NAMES = st.sampled_from(
    [
        "patient",
        "patient:identifier",
        "subject",
        "identifier",
        "_id",
        "_lastUpdated",
        "_count",
        "_cursor",
        "x",
        "_format",
    ]
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["Patient/p1", "a|b", "|", ",", "ge2026", "2026-13", "0001", "9999-12-31", "9999", "5", "MXwy"]),
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_parameters_are_understood_or_refused_by_name(parameters: list[tuple[str, str]]) -> None:
    try:
        page = read_search(parameters, with_identifier=True).page("Task", [], "https://cds.example/fhir")
    except SearchError:
        return
    Bundle.model_validate({name: part for name, part in page.items() if part != []})
