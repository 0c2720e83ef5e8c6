"""`cds serve` over real HTTP: identity that contradicts, input that is wrong, and a power cut at the worst moment."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest

from cds.demo.film import demo_film
from cds.demo.record import (
    ISSUER,
    NAMESAKE_ID,
    PATIENT_ID,
    RECORD_NUMBER,
    namesake_record,
    patient_record,
    report_bundle,
)
from cds.demo.state import DemoState
from tests.end_to_end.cds_processes import Served, served, wait_for

Json = dict[str, Any]


@pytest.fixture(scope="module")
def client(service: Served) -> Iterator[httpx.Client]:
    with service.client() as client:
        yield client


def film_of(state: DemoState, **changes: str) -> bytes:
    """Return the demo film of a state with header values changed."""
    film = pydicom.dcmread(io.BytesIO(demo_film(state, patient_id=RECORD_NUMBER, issuer=ISSUER)))
    for name, value in changes.items():
        setattr(film, name, value)
    out = io.BytesIO()
    film.save_as(out, enforce_file_format=True)
    return out.getvalue()


def send_film(client: httpx.Client, film: bytes) -> str:
    answer = client.post("/api/v1/studies", content=film, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["study_id"])


def result_of(client: httpx.Client, film_id: str) -> Json:
    def done() -> Json | None:
        film = client.get(f"/api/v1/studies/{film_id}").json()
        return film if film["result"] is not None else None

    return wait_for(done, "the film's result")  # type: ignore[no-any-return]


def renumbered(document: Any, number: str) -> Any:
    """Return a document with the record number and every id of the demo patient replaced by those of another."""
    if isinstance(document, dict):
        return {key: renumbered(value, number) for key, value in document.items()}
    if isinstance(document, list):
        return [renumbered(value, number) for value in document]
    return number if document == RECORD_NUMBER else document


def risk(client: httpx.Client, bundle: Json, patient_id: str = PATIENT_ID) -> Json:
    answer = client.post("/api/v1/risk", json={"bundle": bundle, "patient_id": patient_id})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def modalities(assessment: Json) -> dict[str, str]:
    return {modality["name"]: modality["status"] for modality in assessment["modalities"]}


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        ("E2E-1", {"PatientBirthDate": "19330101"}),
        ("E2E-2", {"PatientSex": "M"}),
        ("E2E-3", {"IssuerOfPatientID": "X"}),
    ],
    ids=["birth date", "sex", "unknown issuer"],
)
def test_a_film_that_contradicts_the_record_is_never_joined(
    client: httpx.Client, tmp_path: Path, number: str, changes: dict[str, str]
) -> None:
    state = DemoState.of(tmp_path / "demo")
    film_id = send_film(client, film_of(state, PatientID=number, **changes))
    result_of(client, film_id)
    assessment = risk(client, renumbered(patient_record(state), number))
    assert modalities(assessment)["imaging"] == "identity_unresolved"
    assert all(finding["image_score"] is None for finding in assessment["findings"])
    page = client.get(f"/films/{film_id}").text
    assert "No request has asked for an assessment" in page


def test_a_film_that_matches_is_joined(client: httpx.Client, tmp_path: Path) -> None:
    state = DemoState.of(tmp_path / "demo")
    film_id = send_film(client, film_of(state, PatientID="E2E-4"))
    result_of(client, film_id)
    report = renumbered(report_bundle(state), "E2E-4")
    assert client.post("/api/v1/reports", json=report).status_code == 202
    bundle = renumbered(patient_record(state), "E2E-4")
    wait_for(lambda: modalities(risk(client, bundle))["report"] == "used", "the report's result")
    assert modalities(risk(client, bundle))["imaging"] == "used"
    other = risk(client, namesake_record(state), NAMESAKE_ID)
    assert modalities(other)["imaging"] == "identity_unresolved"


def hook_request(**changes: Any) -> Json:
    return {
        "hook": "patient-view",
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/1", "patientId": PATIENT_ID},
        **changes,
    }


def is_outcome(answer: httpx.Response) -> bool:
    body = answer.json()
    return bool(body["resourceType"] == "OperationOutcome" and body["issue"][0]["diagnostics"])


def test_malformed_json_is_refused_with_the_reason(client: httpx.Client) -> None:
    to_hook = client.post("/cds-services/chest-imaging-risk", content=b'{"hook": "patient-view",')
    assert to_hook.status_code == 400
    assert is_outcome(to_hook)
    to_api = client.post("/api/v1/reports", content=b"{", headers={"Content-Type": "application/json"})
    assert to_api.status_code in (400, 422)
    assert to_api.headers["content-type"] == "application/problem+json"


def test_an_unknown_hook_and_an_unknown_service_are_refused(client: httpx.Client) -> None:
    unknown_hook = client.post("/cds-services/chest-imaging-risk", json=hook_request(hook="patient-sneeze"))
    assert 400 <= unknown_hook.status_code < 500
    assert is_outcome(unknown_hook)
    unknown_service = client.post("/cds-services/fortune-teller", json=hook_request())
    assert unknown_service.status_code == 404
    assert is_outcome(unknown_service)


def test_a_wrong_resource_type_is_refused_or_named(client: httpx.Client) -> None:
    patient = {"resourceType": "Observation", "id": PATIENT_ID}
    no_patient = client.post("/cds-services/chest-imaging-risk", json=hook_request(prefetch={"patient": patient}))
    assert no_patient.status_code == 412
    assert is_outcome(no_patient)
    no_report = client.post("/api/v1/reports", json={"resourceType": "Observation", "id": "1"})
    assert no_report.status_code == 422
    assert no_report.json()["code"] == "not_a_report"
    no_film = client.post("/api/v1/studies", content=b"no film", headers={"Content-Type": "application/dicom"})
    assert no_film.status_code == 422
    assert no_film.json()["code"] == "not_dicom"


def test_a_vital_of_unknown_unit_is_dropped_by_name_and_the_rest_goes_on(client: httpx.Client, tmp_path: Path) -> None:
    bundle = renumbered(patient_record(DemoState.of(tmp_path / "demo")), "E2E-5")
    for entry in bundle["entry"]:
        if entry["resource"]["id"] == "demo-heart-rate":
            entry["resource"]["valueQuantity"].update(unit="furlongs", code="furlongs")
    assessment = risk(client, bundle)
    assert [d["reference"] for d in assessment["dropped"]] == ["Observation/demo-heart-rate"]
    assert "unknown unit" in assessment["dropped"][0]["reason"]
    news2 = next(score for score in assessment["scores"] if score["name"] == "news2")
    assert "heart_rate" in news2["missing"]
    assert "respiratory_rate" in [used["name"] for used in news2["inputs"]]


def test_nothing_of_this_left_a_trace_in_an_answer_or_patient_data_in_the_log(
    service: Served, client: httpx.Client
) -> None:
    refused = client.post("/cds-services/chest-imaging-risk", content=b"\xff\xfe{")
    assert "Traceback" not in refused.text
    log = service.log()
    assert [word for word in ("Musterfrau", "RD-100417", "E2E-", "furlongs", "sneeze") if word in log] == []


@pytest.mark.parametrize("killed", ["worker", "service and worker"])
@pytest.mark.parametrize("after_seconds", [0.0, 0.4])
def test_a_kill_between_acknowledgement_and_result_leaves_exactly_one_result(
    tmp_path: Path, killed: str, after_seconds: float
) -> None:
    film = film_of(DemoState.of(tmp_path / "demo"))
    with served(tmp_path) as running:
        (worker,) = running.children("worker")
        with running.client() as client:
            film_id = send_film(client, film)
        time.sleep(after_seconds)
        if killed == "worker":
            os.kill(worker, signal.SIGKILL)
        else:
            running.kill()
            running.start()
        with running.client() as client:
            result_of(client, film_id)
            assert send_film(client, film) == film_id
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "roentgen.sqlite3")) as store:
        assert store.execute("select count(*) from film").fetchone() == (1,)
        assert store.execute("select count(*) from imaging_result").fetchone() == (1,)
        assert store.execute("select state, count(*) from job group by state").fetchall() == [("done", 1)]


def counted(client: httpx.Client, route: str) -> float:
    """Return how often the service says that a route was asked."""
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith("cds_requests_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'route="{route}"' in line)


def test_processes_that_share_a_port_count_together_and_outlive_each_other_but_not_the_service(tmp_path: Path) -> None:
    with served(tmp_path, api_processes=2, requests_per_second=0.001, requests_burst=30) as running:
        both = running.children("api", 2)
        with running.client() as client:
            before = counted(client, "/api/v1/scores")
        for _ in range(12):
            with running.client() as client:  # a connection of its own: whichever process is free takes it
                assert client.get("/api/v1/scores").is_success
        with running.client() as client:
            assert counted(client, "/api/v1/scores") == before + 12
        statuses = []
        for _ in range(20):
            with running.client() as client:
                statuses.append(client.get("/api/v1/scores").status_code)
        assert statuses == [200] * 18 + [429] * 2
        os.kill(both[0], signal.SIGKILL)
        for _ in range(12):
            wait_for(lambda: httpx.get(f"{running.address}/health/ready").is_success, "the other process")
        again = running.children("api", 2)
        assert both[0] not in again
        assert running.process is not None
        running.process.kill()
        for process in again:
            wait_for(lambda number=process: not Path(f"/proc/{number}").exists(), "the end of the processes")
