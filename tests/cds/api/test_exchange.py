"""REST that may be repeated, read page by page, and subscribed to: what other systems can rely on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy.exc import OperationalError

from cds.api import create_app
from cds.jobs.queue import DELIVERY, Job, claim, given_up, job_state
from cds.jobs.worker import Worker
from cds.outputs.webhooks import signed_headers
from cds.service import Service
from cds.settings import Settings
from cds.store.exchange_tables import IdempotencyRow
from cds.store.repeats import KEPT
from cds.store.subscriptions import announce, events_after
from cds.store.tables import FilmRow

KEYS = {"ward": "the-key-of-the-ward", "lab": "the-key-of-the-lab"}
NOW = datetime.now(UTC)
Json = dict[str, Any]


class Receiver:
    """A subscriber on loopback that keeps what it got and answers as told."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Service]:
    made = Service(
        Settings(
            data_dir=tmp_path_factory.mktemp("exchange") / "data",
            api_keys=KEYS,
            public_url="https://cds.example",
            webhook_hosts=(receiver.host, "inside.example"),
            webhook_private_addresses=True,
        )
    )
    made.database.migrate()
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def app(service: Service) -> Any:
    return create_app(service)


@pytest.fixture
def client(service: Service, app: Any, receiver: Receiver) -> TestClient:
    with service.database.writing() as session:
        for table in reversed(FilmRow.metadata.sorted_tables):
            session.execute(table.delete())
    receiver.got, receiver.status = [], 204
    return TestClient(app, raise_server_exceptions=False, headers=_as("ward"))


def _as(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


def _film(client: TestClient, data: bytes, **headers: str) -> Response:
    return client.post("/api/v1/studies", content=data, headers={"Content-Type": "application/dicom", **headers})


# repeating


def test_the_same_request_with_the_same_key_gets_the_same_answer(
    client: TestClient, make_film: Callable[..., bytes]
) -> None:
    first = _film(client, make_film(), **{"Idempotency-Key": "k1"})
    again = _film(client, make_film(), **{"Idempotency-Key": "k1"})
    assert first.json()["new"] is True
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert _film(client, make_film()).json()["new"] is False


def test_another_request_with_the_same_key_is_refused_and_does_nothing(
    client: TestClient, make_film: Callable[..., bytes]
) -> None:
    _film(client, make_film(), **{"Idempotency-Key": "k1"})
    other = _film(client, make_film(SOPInstanceUID="2.25.99"), **{"Idempotency-Key": "k1"})
    assert other.status_code == 422
    assert "Idempotency-Key" in other.json()["detail"]
    assert len(client.get("/api/v1/studies").json()) == 1


@pytest.mark.parametrize("path", ["/api/v1/reports", "/api/v1/risk", "/api/v1/subscriptions"])
def test_reports_risks_and_subscriptions_take_a_key_too(
    client: TestClient, receiver: Receiver, make_report: Callable[..., Json], path: str
) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "p1"}}]}
    bodies = {
        "reports": make_report(),
        "risk": {"bundle": bundle},
        "subscriptions": {"url": f"http://{receiver.host}/"},
    }
    body = bodies[path.rpartition("/")[2]]
    first, again = (client.post(path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.is_success, first.text
    assert again.content == first.content
    assert client.post(path, json={**body, "x": 1}, headers={"Idempotency-Key": "k"}).status_code == 422


def test_a_key_is_its_clients_own_and_is_forgotten_after_a_day(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    _film(client, make_film(), **{"Idempotency-Key": "k1"})
    assert _film(client, make_film(PatientID="9"), **{"Idempotency-Key": "k1", **_as("lab")}).status_code == 202
    with service.database.writing() as session:
        for row in session.query(IdempotencyRow):
            row.stored_at = NOW - KEPT - timedelta(minutes=1)
    assert "idempotent-replayed" not in _film(client, make_film(), **{"Idempotency-Key": "k1"}).headers


def test_a_kept_answer_needs_a_key_to_the_service(client: TestClient, make_film: Callable[..., bytes]) -> None:
    _film(client, make_film(), **{"Idempotency-Key": "k1"})
    assert _film(client, make_film(), **{"Idempotency-Key": "k1", "Authorization": ""}).status_code == 401


def test_while_the_first_is_in_work_the_second_is_told_to_wait(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    _film(client, make_film(), **{"Idempotency-Key": "k1"})
    with service.database.writing() as session:
        session.query(IdempotencyRow).one().status = 0
    assert _film(client, make_film(), **{"Idempotency-Key": "k1"}).status_code == 409


def test_a_request_that_failed_can_be_sent_again(
    client: TestClient, service: Service, make_film: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    with monkeypatch.context() as patched:
        patched.setattr(service.film_arrivals, "receive", busy)
        assert _film(client, make_film(), **{"Idempotency-Key": "k1"}).status_code == 503
    assert _film(client, make_film(), **{"Idempotency-Key": "k1"}).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "a b"])
def test_a_malformed_key_is_refused(client: TestClient, make_film: Callable[..., bytes], key: str) -> None:
    assert _film(client, make_film(), **{"Idempotency-Key": key}).status_code == 400


# reading


def test_what_is_unchanged_is_not_sent_again(client: TestClient, make_film: Callable[..., bytes]) -> None:
    study = _film(client, make_film()).json()["study_id"]
    first = client.get(f"/api/v1/studies/{study}")
    again = client.get(f"/api/v1/studies/{study}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    changed = client.get("/api/v1/models", headers={"If-None-Match": '"other"'})
    assert changed.status_code == 200


def test_pages_of_films_lose_and_repeat_nothing_though_they_came_at_the_same_time(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    for number in range(5):
        service.film_arrivals.receive(make_film(SOPInstanceUID=f"2.25.{number + 1}"), source="upload", at=NOW)
    seen: list[str] = []
    address: str | None = "/api/v1/studies?limit=2"
    while address is not None:
        page = client.get(address)
        seen += [film["id"] for film in page.json()]
        address = page.links["next"]["url"] if "next" in page.links else None
    assert len(seen) == len(set(seen)) == 5


@pytest.mark.parametrize("path", ["/api/v1/studies", "/api/v1/verdicts", "/api/v1/events"])
def test_a_cursor_that_is_none_is_a_problem(client: TestClient, path: str) -> None:
    for cursor in ("x", "/w", base64.urlsafe_b64encode(b"2026|x|").decode()):
        answer = client.get(path, params={"cursor": cursor})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_models_and_scores_are_read_one_by_one_with_their_cards(client: TestClient) -> None:
    for row in client.get("/api/v1/models").json():
        model = client.get(f"/api/v1/models/{row['id']}").json()
        assert model["state"] == "refused" or model["card"]["id"] == row["id"]
    assert client.get("/api/v1/scores/curb65").json()["citation"]
    assert client.get("/api/v1/models/none").status_code == client.get("/api/v1/scores/none").status_code == 404


def test_a_patient_is_assessed_by_record_number_from_what_is_stored(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    _film(client, make_film())
    with service.database.writing() as session:
        session.query(FilmRow).one().identifier_system = "urn:oid:2.999.1"
    answer = client.post("/api/v1/risk", json={"patient": "urn:oid:2.999.1|4711"})
    assert answer.status_code == 200, answer.text
    (imaging,) = [m for m in answer.json()["modalities"] if m["name"] == "imaging"]
    assert "waits to be worked on" in imaging["detail"]
    for unknown in ("urn:oid:2.999.1|1", "4711", "https://ehr.example/fhir/Patient/1"):
        assert client.post("/api/v1/risk", json={"patient": unknown}).status_code == 404
    for wrong in ({}, {"patient": "a|b", "bundle": {}}):
        assert client.post("/api/v1/risk", json=wrong).status_code == 422


# being told


def _subscribe(client: TestClient, receiver: Receiver, **body: Any) -> Json:
    answer = client.post("/api/v1/subscriptions", json={"url": f"http://{receiver.host}/told", **body})
    assert answer.status_code == 201, answer.text
    subscription: Json = answer.json()
    return subscription


def _worker(service: Service) -> Worker:
    return Worker(
        service.database,
        service.blobs,
        service.models,
        deliveries={"notify": service.webhooks.deliver},
        told=[announce],
    )


def _store_result(service: Service, film_id: str, status: str = "analysed") -> None:
    with service.database.writing() as session:
        session.get_one(FilmRow, film_id).status = status
        announce(session, Job("j", "analyse_film", film_id, 1), NOW)


def _signature(secret: str, headers: dict[str, str], body: bytes) -> str:
    """Return the signature as the convention's own text says it is made."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_a_subscriber_is_told_of_a_result_signed_and_without_patient_data(
    client: TestClient, service: Service, receiver: Receiver, make_film: Callable[..., bytes]
) -> None:
    subscription = _subscribe(client, receiver)
    study = _film(client, make_film(PixelData=None)).json()["study_id"]
    worker = _worker(service)
    assert worker.run_one()
    assert worker.deliver_one()
    ((headers, body),) = receiver.got
    message = json.loads(body)
    assert message["type"] == "film.rejected"
    assert message["data"] == {"study_id": study, "url": f"https://cds.example/api/v1/studies/{study}"}
    assert headers["webhook-signature"] == _signature(subscription["secret"], headers, body)
    assert abs(int(headers["webhook-timestamp"]) - NOW.timestamp()) < 600
    assert client.get("/api/v1/events").json()[0]["id"] == headers["webhook-id"]


def test_the_signature_is_that_of_the_conventions_own_example() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        at=1614265330,
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_message_that_did_not_arrive_is_sent_again_under_the_same_id(
    client: TestClient, service: Service, receiver: Receiver, make_film: Callable[..., bytes]
) -> None:
    subscription = _subscribe(client, receiver)
    _store_result(service, _film(client, make_film()).json()["study_id"])
    worker = _worker(service)
    for status in (500, 302, 204):
        receiver.status = status
        with service.database.writing() as session:
            session.connection().exec_driver_sql("UPDATE job SET due_at = '2020-01-01 00:00:00.000000'")
        assert worker.deliver_one()
    assert len(receiver.got) == 3
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    with service.database.reading() as session:
        (event,) = events_after(session, None, limit=10)
        assert job_state(session, "notify", event.id, destination=subscription["id"]) == "done"


def test_a_subscriber_that_is_gone_is_given_up(
    client: TestClient, service: Service, receiver: Receiver, make_film: Callable[..., bytes]
) -> None:
    _subscribe(client, receiver)
    _store_result(service, _film(client, make_film()).json()["study_id"])
    receiver.status = 410
    _worker(service).deliver_one()
    with service.database.reading() as session:
        assert [entry.reason for entry in given_up(session)] == ["answered 410"]


def test_a_subscriber_is_told_of_what_it_asked_for_from_then_on(
    client: TestClient, service: Service, receiver: Receiver, make_film: Callable[..., bytes]
) -> None:
    study = _film(client, make_film()).json()["study_id"]
    _store_result(service, study)
    _subscribe(client, receiver, events=["report.extracted"])
    _store_result(service, study)
    with service.database.writing() as session:
        assert claim(session, "w", DELIVERY, at=NOW + timedelta(minutes=1)) is None


def test_a_subscription_is_its_clients_own_and_what_waits_for_an_ended_one_is_not_sent(
    client: TestClient, service: Service, receiver: Receiver, make_film: Callable[..., bytes]
) -> None:
    made = _subscribe(client, receiver)
    (listed,) = client.get("/api/v1/subscriptions").json()
    assert "secret" not in listed
    assert client.get("/api/v1/subscriptions", headers=_as("lab")).json() == []
    assert client.delete(f"/api/v1/subscriptions/{made['id']}", headers=_as("lab")).status_code == 404
    _store_result(service, _film(client, make_film()).json()["study_id"])
    assert client.delete(f"/api/v1/subscriptions/{made['id']}").status_code == 204
    _worker(service).deliver_one()
    assert receiver.got == []


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/",
        "http://inside.example/",
        "ftp://inside.example/",
        "https://user:pass@inside.example/",
        "https://169.254.169.254/",
        "nowhere",
        "",
    ],
)
def test_only_allowed_hosts_are_told(client: TestClient, url: str) -> None:
    answer = client.post("/api/v1/subscriptions", json={"url": url})
    assert answer.status_code == 422
    assert "url" in answer.json()["detail"]


def test_a_private_address_is_refused_unless_configured(
    client: TestClient, service: Service, receiver: Receiver
) -> None:
    _subscribe(client, receiver)
    strict = Service(service.settings.model_copy(update={"webhook_private_addresses": False}))
    answer = TestClient(create_app(strict), headers=_as("ward")).post(
        "/api/v1/subscriptions", json={"url": f"http://{receiver.host}/"}
    )
    assert answer.status_code == 422
    strict.database.close()


def test_events_are_read_in_the_order_they_came(
    client: TestClient, service: Service, make_film: Callable[..., bytes]
) -> None:
    study = _film(client, make_film()).json()["study_id"]
    for _ in range(3):
        _store_result(service, study)
    page = client.get("/api/v1/events", params={"limit": 2})
    rest = client.get(page.links["next"]["url"]).json()
    assert len({event["id"] for event in [*page.json(), *rest]}) == 3
