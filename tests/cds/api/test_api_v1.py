"""REST under /api/v1: what it answers, what it refuses and how, and that no answer or log carries what was planted."""

from __future__ import annotations

import base64
import errno
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy.exc import OperationalError

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from cds.site.configuration import IdentityTable
from cds.store.films import store_imaging_result
from cds.store.ledger import open_follow_ups
from cds.store.reports import store_report_result
from cds.store.tables import AssessmentRow, FilmRow, ReportRow
from nlp import StructuredReport
from vision import ImagingResult
from vision.result import Rejection

KEY = "the-key-of-the-ward"
PLANTED = "PLANTED^NAME"
NOW = datetime.now(UTC)
Json = dict[str, Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("api")
    site = folder / "site"
    site.mkdir()
    (site / "identity.yaml").write_text(
        "issuers: [{id: north, system: 'urn:oid:2.999.1', dicom_issuer: NORTH, accession_system: 'urn:oid:2.999.1.1'}]"
    )
    made = Service(Settings(data_dir=folder / "data", config_dir=site, api_keys={"ward": KEY, "lab": KEY[::-1]}))
    made.database.migrate()
    yield made
    made.database.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    with service.database.writing() as session:
        for table in reversed(FilmRow.metadata.sorted_tables):
            session.execute(table.delete())
    return TestClient(create_app(service), raise_server_exceptions=False, headers={"Authorization": f"Bearer {KEY}"})


def _send(client: TestClient, data: bytes) -> Response:
    return client.post("/api/v1/studies", content=data, headers={"Content-Type": "application/dicom"})


def _record(**patient: Any) -> Json:
    resource = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"system": "urn:oid:2.999.1", "value": "4711"}],
        "name": [{"family": PLANTED}],
        "birthDate": "1950-01-02",
        "gender": "female",
        **patient,
    }
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}


def _modality(assessment: Json, name: str = "imaging") -> Json:
    return next(m for m in assessment["modalities"] if m["name"] == name)


# access


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer wrong",
        KEY,
        f"Token {KEY}",
        "Basic !!!",
        "Basic " + base64.b64encode(f"lab:{KEY}".encode()).decode(),
        "Basic " + base64.b64encode(KEY.encode()).decode(),
    ],
)
def test_without_a_key_the_answer_is_a_bare_401(client: TestClient, authorization: str) -> None:
    answer = client.get("/api/v1/studies", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.content == b""
    assert "Basic" in answer.headers["www-authenticate"]


def test_a_key_comes_as_bearer_or_with_the_name_of_its_client(client: TestClient) -> None:
    basic = "Basic " + base64.b64encode(f"ward:{KEY}".encode()).decode()
    for authorization in (f"Bearer {KEY}", f"bearer {KEY}", basic):
        assert client.get("/api/v1/studies", headers={"Authorization": authorization}).status_code == 200


def test_health_needs_no_key_and_names_every_model(client: TestClient) -> None:
    assert client.get("/health/live", headers={"Authorization": ""}).json() == {"status": "pass"}
    ready = client.get("/health/ready", headers={"Authorization": ""})
    assert ready.status_code == 200
    names = " ".join(row["id"] for row in ready.json()["models"])
    assert [kind for kind in ("gate", "adult", "paediatric", "deterioration") if kind not in names] == []
    assert ready.json()["degraded"] == [row["id"] for row in ready.json()["models"] if row["state"] == "refused"]


def test_a_service_whose_database_cannot_be_opened_is_not_ready(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bool:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(service.database, "is_current", broken)
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "fail")


# films


def test_a_film_is_accepted_and_found(client: TestClient, make_film: Callable[..., bytes], service: Service) -> None:
    accepted = _send(client, make_film())
    assert accepted.status_code == 202
    film_id = accepted.json()["study_id"]
    state = client.get(f"/api/v1/studies/{film_id}").json()
    assert (state["status"], state["result"]) == ("received", None)
    assert [film["id"] for film in client.get("/api/v1/studies").json()] == [film_id]
    rejection = Rejection(code="not_frontal", reason="a lateral film")
    with service.database.writing() as session:
        store_imaging_result(session, film_id, ImagingResult(rejection=rejection, analysed_at=NOW), at=NOW)
    state = client.get(f"/api/v1/studies/{film_id}").json()
    assert (state["status"], state["result"]["rejection"]["code"]) == ("rejected", "not_frontal")
    assert _send(client, make_film()).json() == {**accepted.json(), "new": False}


def test_a_film_is_shown_as_a_picture(client: TestClient, make_film: Callable[..., bytes]) -> None:
    film_id = _send(client, make_film(Rows=64, Columns=64, PixelData=bytes(range(256)) * 32)).json()["study_id"]
    picture = client.get(f"/api/v1/studies/{film_id}/film.png?max_side=64")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert client.get(f"/api/v1/studies/{film_id}/film.png?enhancement=magic").status_code == 422
    assert client.get(f"/api/v1/studies/{film_id}/heatmaps/lung_mass.png").status_code == 404


def test_a_listing_goes_on_before_a_time(client: TestClient, make_film: Callable[..., bytes]) -> None:
    for number in range(3):
        _send(client, make_film(SOPInstanceUID=f"2.25.{number + 1}"))
    first = client.get("/api/v1/studies?limit=2").json()
    rest = client.get("/api/v1/studies", params={"before": first[-1]["received_at"]}).json()
    assert len(first) == 2
    assert len({film["id"] for film in first + rest}) == 3
    assert client.get("/api/v1/studies?before=2026-01-01T00:00:00").status_code == 422


def _problem(answer: Response, status: int) -> Json:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body: Json = answer.json()
    assert body["status"] == status
    assert "Traceback" not in answer.text
    assert PLANTED not in answer.text
    return body


def test_what_is_no_film_is_refused(client: TestClient, make_film: Callable[..., bytes]) -> None:
    assert _problem(_send(client, b"\x89PNG"), 422)["code"] == "not_dicom"
    assert _problem(_send(client, b""), 422)["code"] == "not_dicom"
    assert _problem(_send(client, make_film(StudyInstanceUID=None)), 422)["code"] == "missing_uid"
    _problem(client.post("/api/v1/studies", content=make_film(), headers={"Content-Type": "image/png"}), 415)
    _problem(client.get("/api/v1/studies/none"), 404)
    _problem(client.get("/api/v1/nowhere"), 404)


def test_a_body_that_is_too_large_is_refused_unread(service: Service, client: TestClient) -> None:
    too_large = service.settings.max_body_mb * 1024 * 1024 + 1
    answer = client.post("/api/v1/studies", content=bytes(too_large), headers={"Content-Type": "application/dicom"})
    _problem(answer, 413)


# reports and extraction


def test_a_report_is_accepted_and_found(client: TestClient, make_report: Callable[..., Json], service: Service) -> None:
    accepted = client.post("/api/v1/reports", json=make_report())
    assert accepted.status_code == 202
    report_id = accepted.json()["report_id"]
    state = client.get(f"/api/v1/reports/{report_id}").json()
    assert (state["status"], state["extraction"], state["superseded"], state["result"]) == (
        "final",
        "queued",
        False,
        None,
    )
    with service.database.writing() as session:
        store_report_result(session, report_id, StructuredReport(extracted_at=NOW), at=NOW)
    assert client.get(f"/api/v1/reports/{report_id}").json()["result"]["refusal"] is None
    client.post("/api/v1/reports", json=make_report("Other words.", status="amended"))
    assert client.get(f"/api/v1/reports/{report_id}").json()["superseded"]
    _problem(client.get("/api/v1/reports/none"), 404)


def test_reports_of_two_clients_do_not_supersede_each_other(
    client: TestClient, make_report: Callable[..., Json], service: Service
) -> None:
    client.post("/api/v1/reports", json=make_report(identifier=None, id="1"))
    lab = {"Authorization": f"Bearer {KEY[::-1]}"}
    client.post("/api/v1/reports", json=make_report("B.", identifier=None, id="1", status="amended"), headers=lab)
    with service.database.reading() as session:
        assert {(row.source, row.superseded_by) for row in session.query(ReportRow)} == {
            ("fhir:ward", None),
            ("fhir:lab", None),
        }


@pytest.mark.parametrize("kinds", [["Patient"], ["DiagnosticReport"] * 2, ["DiagnosticReport", "Patient", "Patient"]])
def test_a_bundle_must_hold_one_report_of_one_patient(
    client: TestClient, make_report: Callable[..., Json], kinds: list[str]
) -> None:
    resources = [make_report() if kind == "DiagnosticReport" else {"resourceType": kind} for kind in kinds]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}
    assert _problem(client.post("/api/v1/reports", json=bundle), 422)["code"] in ("not_a_report", "two_patients")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/reports", "{"),
        ("/api/v1/reports", "[]"),
        ("/api/v1/reports", '{"resourceType": "Observation"}'),
        ("/api/v1/reports:extract", "{}"),
        ("/api/v1/reports:extract", '{"text": "x", "context": {"age": -1}}'),
        ("/api/v1/reports:extract", '{"text": "x", "context": {"name": "PLANTED^NAME"}}'),
        ("/api/v1/risk", '{"bundle": {}}'),
        ("/api/v1/risk", '{"bundle": {"resourceType": "Bundle"}, "at": "2026-01-01T00:00:00"}'),
        ("/api/v1/risk", '{"bundle": {"resourceType": "Bundle"}, "patient_id": "PLANTED^NAME"}'),
        ("/api/v1/scores/curb65", '{"age": "PLANTED^NAME"}'),
        ("/api/v1/scores/curb65", '{"age": NaN}'),
        ("/api/v1/scores/curb65", '{"age": 1e400}'),
        ("/api/v1/scores/curb65", '{"agee": 1}'),
    ],
)
def test_a_request_that_is_not_as_described_is_refused(client: TestClient, path: str, body: str) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    _problem(answer, 422 if answer.status_code != 400 else 400)


def test_json_nested_too_deep_is_refused(client: TestClient) -> None:
    deep = b'{"a":' * 2000 + b"1" + b"}" * 2000
    _problem(client.post("/api/v1/reports", content=deep, headers={"Content-Type": "application/json"}), 400)


def test_a_text_is_extracted_and_not_stored(client: TestClient, service: Service) -> None:
    body = {"text": "IMPRESSION: Small right pneumothorax.", "context": {"age": 40, "sex": "male"}}
    report = client.post("/api/v1/reports:extract", json=body).json()
    assert ("pneumothorax", "present", "right") in [
        (m["finding"], m["assertion"], m["laterality"]) for m in report["findings"]
    ]
    with service.database.reading() as session:
        assert session.query(ReportRow).count() == 0


# scores, models, risk


def test_scores_are_listed_and_calculated_with_bounds(client: TestClient) -> None:
    assert "curb65" in [row["name"] for row in client.get("/api/v1/scores").json()]
    result = client.post("/api/v1/scores/curb65", json={"age": 80, "confusion": True}).json()
    assert (result["minimum"], result["maximum"]) == (2, 5)
    assert "respiratory_rate" in result["missing"]
    _problem(client.post("/api/v1/scores/none", json={}), 404)


def test_models_are_listed_with_their_state(client: TestClient) -> None:
    for row in client.get("/api/v1/models").json():
        assert row["state"] in ("served", "off", "refused"), row
        assert row["state"] == "served" or row["reason"]


def _arrived(client: TestClient, service: Service, film: bytes) -> str:
    film_id: str = _send(client, film).json()["study_id"]
    with service.database.writing() as session:
        store_imaging_result(session, film_id, ImagingResult(analysed_at=NOW), at=NOW)
    return film_id


def test_the_risk_of_a_patient_rests_on_their_film(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    film_id = _arrived(client, service, make_film(ContentDate=f"{NOW:%Y%m%d}", ContentTime="000000"))
    assessment = client.post("/api/v1/risk", json={"bundle": _record()}).json()
    assert _modality(assessment)["status"] == "used"
    assert _modality(assessment, "report")["status"] == "missing"
    with service.database.reading() as session:
        assert session.query(AssessmentRow).one().film_id == film_id
    assert PLANTED not in json.dumps(assessment)


@pytest.mark.parametrize(
    "patient",
    [
        {"birthDate": "1950-02-01"},
        {"gender": "male"},
    ],
)
def test_a_contradicted_film_is_identity_unresolved_in_the_answer(
    client: TestClient, service: Service, make_film: Callable[..., bytes], patient: Json
) -> None:
    _arrived(client, service, make_film())
    assessment = client.post("/api/v1/risk", json={"bundle": _record(**patient)}).json()
    assert _modality(assessment)["status"] == "identity_unresolved"
    assert assessment["findings"] == []
    with service.database.reading() as session:
        assert session.query(AssessmentRow).one().film_id is None


def test_a_film_that_waits_is_said_to_wait(client: TestClient, make_film: Callable[..., bytes]) -> None:
    _send(client, make_film(ContentDate=f"{NOW:%Y%m%d}", ContentTime="000000"))
    imaging = _modality(client.post("/api/v1/risk", json={"bundle": _record()}).json())
    assert imaging["status"] == "missing"
    assert "waits" in imaging["detail"]


def test_a_value_with_an_unknown_unit_is_dropped_by_name_and_the_rest_goes_on(client: TestClient) -> None:
    def vital(identity: str, code: str, value: float, unit: str) -> Json:
        return {
            "resource": {
                "resourceType": "Observation",
                "id": identity,
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "subject": {"reference": "Patient/p1"},
                "effectiveDateTime": NOW.isoformat(),
                "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit},
            }
        }

    record = _record()
    record["entry"] += [vital("bad", "9279-1", 22, "furlong"), vital("good", "8867-4", 80, "/min")]
    answer = client.post("/api/v1/risk", json={"bundle": record})
    assert answer.status_code == 200
    assert [dropped["reference"] for dropped in answer.json()["dropped"]] == ["Observation/bad"]


def test_two_patients_in_one_bundle_are_refused(client: TestClient) -> None:
    record = _record()
    record["entry"] += _record(id="p2")["entry"]
    _problem(client.post("/api/v1/risk", json={"bundle": record}), 422)
    _problem(client.post("/api/v1/risk", json={"bundle": record, "patient_id": "p1"}), 422)


def test_nothing_is_kept_of_a_question_about_another_time_or_of_a_patient_nobody_numbers(
    client: TestClient, service: Service
) -> None:
    client.post("/api/v1/risk", json={"bundle": _record(), "at": "2026-01-01T00:00:00Z"})
    client.post("/api/v1/risk", json={"bundle": _record(identifier=[])})
    with service.database.reading() as session:
        assert session.query(AssessmentRow).count() == 0
        assert open_follow_ups(session, "local|Patient/p1") == ()


def test_a_busy_store_costs_the_link_and_not_the_answer(client: TestClient, service: Service) -> None:
    with service.database.writing():
        answer = client.post("/api/v1/risk", json={"bundle": _record()})
    assert answer.status_code == 200
    with service.database.reading() as session:
        assert session.query(AssessmentRow).count() == 0


def test_an_arrival_that_a_busy_store_cannot_keep_is_not_acknowledged(
    client: TestClient, service: Service, make_film: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = service.database.writing
    monkeypatch.setattr(service.database, "writing", lambda: patient(patience_ms=20))
    with patient():
        refused = _send(client, make_film())
    _problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0
    assert client.get("/api/v1/studies").json() == []


def test_an_arrival_that_finds_no_room_is_not_acknowledged(
    client: TestClient, service: Service, make_film: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("cds.store.blobs.os.fsync", full)
        _problem(_send(client, make_film()), 507)
    assert client.get("/api/v1/studies").json() == []
    assert _send(client, make_film()).status_code == 202


# what nobody may see


def test_an_unexpected_error_shows_nothing_of_itself(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(PLANTED)

    monkeypatch.setattr(service.film_arrivals, "receive", broken)
    _problem(_send(client, b"x"), 500)
    captured = capsys.readouterr()
    assert PLANTED not in captured.out + captured.err
    assert 'cds_requests_total{route="/api/v1/studies",status="500"}' in client.get("/metrics").text


def test_metrics_are_labelled_by_route_and_never_by_what_was_sent(client: TestClient) -> None:
    client.get(f"/api/v1/studies/{PLANTED}")
    client.get(f"/nowhere/{PLANTED}")
    metrics = client.get("/metrics").text
    assert PLANTED not in metrics
    assert KEY not in metrics
    assert 'route="/api/v1/studies/{study_id}",status="404"' in metrics


def test_the_openapi_page_describes_every_route(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    api = {path: operations for path, operations in paths.items() if path.startswith("/api/v1")}
    assert {"/api/v1/studies", "/api/v1/reports", "/api/v1/reports:extract", "/api/v1/risk"} <= set(api)
    for path, operations in api.items():
        for operation in operations.values():
            assert operation["description"], path


def test_the_page_of_the_api_names_every_route(client: TestClient) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
    for path in client.get("/openapi.json").json()["paths"]:
        if path.startswith("/api/v1"):
            assert f"`{path}`" in text, path


def test_answers_tell_browsers_to_keep_to_themselves(client: TestClient) -> None:
    headers = client.get("/api/v1/scores").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_the_identity_table_of_the_site_is_in_force(service: Service) -> None:
    table: IdentityTable = service.configs.identity()
    assert table.for_dicom("NORTH", None) is not None
