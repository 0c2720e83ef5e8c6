"""Every way to a patient's data leaves an entry, on disk before the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi.testclient import TestClient
from fhir.resources.R4B.auditevent import AuditEvent
from typer.testing import CliRunner

from cds.api import create_app
from cds.audit import Access
from cds.audit.trail import Entry
from cds.cli.app import app as verbs
from cds.errors import AuditError
from cds.fhir.audit_events import audit_event
from cds.service import Service
from cds.settings import Settings
from tests.cds.hooks.builders import risky_order_call
from tests.cds.hooks.conftest import ehr, make_service  # noqa: F401
from tests.cds.hooks.ehr import Ehr

KEY = {"Authorization": "Bearer ward-key-0123456789"}
PATH = "/cds-services/imaging-order-advisor"


@pytest.fixture
def service(tmp_path: Path) -> Any:
    made = Service(Settings(data_dir=tmp_path / "data", api_keys={"ward": "ward-key-0123456789"}))
    made.database.migrate()
    yield made
    made.database.close()
    made.audit.database.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), headers=KEY, raise_server_exceptions=False)


def entries(service: Service) -> list[Entry]:
    return list(service.audit.entries())


def test_a_film_that_is_sent_and_read_is_in_the_trail_with_client_and_patient(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    sent = client.post("/api/v1/studies", content=make_film(), headers={"Content-Type": "application/dicom"}).json()
    client.get(f"/api/v1/studies/{sent['study_id']}")
    client.get(f"/films/{sent['study_id']}")
    client.get("/")
    said = [(entry.client, entry.action, entry.what, entry.thing, entry.outcome) for entry in entries(service)]
    film = sent["study_id"]
    assert said == [
        ("ward", "create", "POST /api/v1/studies", f"film/{film}", "ok"),
        ("ward", "read", "GET /api/v1/studies/{study_id}", f"film/{film}", "ok"),
        ("ward", "read", "GET /films/{film_id}", film, "ok"),
        ("ward", "read", "GET /", None, "ok"),
    ]
    whose = {entry.patient for entry in entries(service) if "film_id" in entry.what}
    assert whose == {entry.patient for entry in entries(service) if "study_id" in entry.what}


def test_a_refused_request_is_in_the_trail_and_what_stood_in_its_path_is_not(
    client: TestClient, service: Service
) -> None:
    client.get("/api/v1/studies/JANE%20DOE")
    client.get("/api/v1/studies/1", headers={"Authorization": "Bearer wrong-key-0123456789"})
    client.get("/JANE DOE")
    said = [(entry.client, entry.what, entry.thing, entry.outcome) for entry in entries(service)]
    assert said == [
        ("ward", "GET /api/v1/studies/{study_id}", None, "refused"),
        ("anyone", "GET /api/v1/studies/{study_id}", "1", "refused"),
        ("anyone", "GET unmatched", None, "refused"),
    ]


def test_what_holds_no_patient_data_is_not_in_the_trail(client: TestClient, service: Service) -> None:
    for path in ("/health/live", "/metrics", "/static/none", "/api/v1/models", "/cds-services", "/openapi.json"):
        client.get(path)
    assert entries(service) == []


def test_a_call_of_a_hook_names_issuer_user_and_patient(make_service: Any, ehr: Ehr) -> None:  # noqa: F811
    service: Service = make_service(jwt_issuers={ehr.issuer: str(ehr.keys_file)})
    client = TestClient(create_app(service))
    assert client.post(PATH, json=risky_order_call(), headers=ehr.signed(PATH)).is_success
    (entry,) = entries(service)
    assert (entry.client, entry.action, entry.what) == (ehr.issuer, "execute", "POST /cds-services/{service_id}")
    assert entry.user is not None
    assert entry.user.startswith("Practitioner")
    assert entry.patient is not None
    assert entry.thing == "imaging-order-advisor"
    service.audit.database.close()


@pytest.mark.parametrize("path", ["/", "/api/v1/studies", PATH])
def test_nothing_is_answered_that_cannot_be_audited(
    client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fails(_: Access) -> None:
        raise AuditError("no")

    monkeypatch.setattr(service.audit, "record", fails)
    response = client.post(path, json=risky_order_call()) if path == PATH else client.get(path)
    assert response.status_code == 503
    assert "audit trail" in response.text
    assert (response.json().get("resourceType") == "OperationOutcome") == (path == PATH)


def test_the_entry_is_written_before_the_answer_leaves(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    record = service.audit.record
    monkeypatch.setattr(service.audit, "record", lambda access: (record(access), order.append("written")))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        order.append(message["type"])

    scope = {
        "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "root_path": "", "query_string": b"",
        "headers": [], "scheme": "http", "server": ("x", 80), "client": ("x", 1), "http_version": "1.1",
    }  # fmt: skip
    anyio.run(create_app(service), scope, receive, send)
    assert order[0] == "written"
    assert "http.response.start" in order


def test_entries_are_valid_audit_events(service: Service) -> None:
    service.audit.record(Access("ward", "read", "GET /films/{film_id}", role="clinician,radiologist", patient="a|b"))
    service.audit.record(Access("https://ehr", "execute", "cds purge", user="Practitioner/a", outcome="failed"))
    first, second = (audit_event(entry, site="https://cds.example") for entry in entries(service))
    for event in (first, second):
        AuditEvent.model_validate(event)
    assert first["entity"][0]["what"]["type"] == "Patient"
    assert "a|b" not in str(first)
    assert [agent["requestor"] for agent in second["agent"]] == [False, True]
    assert (first["outcome"], second["outcome"], first["action"], second["action"]) == ("0", "8", "R", "E")


def test_an_auditor_reads_events_and_whether_the_chain_is_whole(client: TestClient, service: Service) -> None:
    for subject in ("a|1", "a|2", "a|1"):
        service.audit.record(Access("ward", "read", "GET /films/{film_id}", patient=subject))
    assert [event["id"] for event in client.get("/api/v1/audit/events", params={"limit": 2}).json()] == [
        "entry-1",
        "entry-2",
    ]
    of_one = client.get("/api/v1/audit/events", params={"patient": "a|1", "after": 1}).json()
    assert next(event["id"] for event in of_one) == "entry-3"
    found = client.get("/api/v1/audit/verification").json()
    assert (found["problems"], found["entries"]) == ([], 5)
    assert client.get("/api/v1/audit/events", params={"after": 2**63}).status_code == 422


def test_the_verbs_verify_and_export(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_DATA_DIR", str(service.settings.data_dir))
    service.audit.record(Access("ward", "read", "GET /films/{film_id}", patient="a|1"))
    run = CliRunner()
    verified = run.invoke(verbs, ["audit-trail", "verify", "--json"])
    assert verified.exit_code == 0
    assert '"entries": 1' in verified.output
    exported = run.invoke(verbs, ["audit-trail", "export", "--patient", "a|1"])
    lines = exported.stdout.strip().splitlines()
    assert [AuditEvent.model_validate_json(line).id for line in lines] == ["entry-1", "entry-2"]
    wrong = run.invoke(verbs, ["audit-trail", "verify", "--head", "0" * 63 + "1"])
    assert wrong.exit_code == 1
