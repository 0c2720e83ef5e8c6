"""SMART launch against an authorization server that checks what an EHR checks, and may be told to misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cds.api import create_app
from cds.service import Service
from tests.cds.hooks.builders import call, plant_film, plant_report, risky_order_call
from tests.cds.hooks.conftest import MakeService

KEY = "a-key-of-the-ward"
CODE = "the-code"


class FakeAuthorization:
    """An EHR's authorization server: gives one code, and a token for it only to who holds the verifier."""

    def __init__(self) -> None:
        self.methods = ["S256"]
        self.token: dict[str, Any] = {"access_token": "t", "token_type": "Bearer", "patient": "p1"}
        self.status = 200
        self.challenge = ""
        self.form: dict[str, str] = {}
        ehr = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoints = {f"{name}_endpoint": f"{ehr.issuer}/{name}" for name in ("authorization", "token")}
                self._answer(200, {**endpoints, "code_challenge_methods_supported": ehr.methods})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                ehr.form = dict(parse_qsl(body))
                digest = hashlib.sha256(ehr.form["code_verifier"].encode()).digest()
                proven = base64.urlsafe_b64encode(digest).decode().rstrip("=") == ehr.challenge
                self._answer(ehr.status if proven and ehr.form["code"] == CODE else 400, ehr.token)

            def _answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}/fhir"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def authorized(self, launched: Response) -> str:
        """Return the state of a launch that came back, as the EHR sends it on."""
        assert launched.status_code == 302, launched.text
        query = {name: values[0] for name, values in parse_qs(urlsplit(launched.headers["location"]).query).items()}
        self.challenge = query["code_challenge"]
        assert query["aud"] == self.issuer
        assert query["launch"] == "L1"
        assert query["redirect_uri"] == "https://cds.example/smart/callback"
        return query["state"]


@pytest.fixture
def authorization() -> Iterator[FakeAuthorization]:
    server = FakeAuthorization()
    yield server
    server.close()


@pytest.fixture
def service(make_service: MakeService, authorization: FakeAuthorization) -> Service:
    return make_service(
        api_keys={"ward": KEY},
        smart_clients={authorization.issuer: "roentgen"},
        fhir_private_addresses=True,
        frame_ancestors=("https://ehr.example",),
    )


@pytest.fixture
def browser(service: Service) -> TestClient:
    """A browser without a key, on https."""
    return TestClient(create_app(service), base_url="https://cds.example", follow_redirects=False)


@pytest.fixture
def case(service: Service, browser: TestClient, authorization: FakeAuthorization) -> str:
    """The case of p1, and its id as the card's link carries it."""
    plant_film(service)
    plant_report(service)
    answer = browser.post("/cds-services/chest-imaging-risk", json=call(fhirServer=authorization.issuer))
    (smart, absolute) = answer.json()["cards"][0]["links"]
    assert (smart["type"], smart["url"]) == ("smart", "https://cds.example/smart/launch")
    assert absolute["type"] == "absolute"
    assert absolute["url"].endswith(smart["appContext"])
    return str(smart["appContext"])


def _launch(browser: TestClient, authorization: FakeAuthorization, **changes: str) -> Response:
    return browser.get("/smart/launch", params={"iss": authorization.issuer, "launch": "L1", **changes})


def _back(browser: TestClient, state: str, code: str = CODE) -> Response:
    return browser.get("/smart/callback", params={"state": state, "code": code})


def test_a_launch_opens_the_case_of_the_card_and_nothing_else(
    browser: TestClient, authorization: FakeAuthorization, service: Service, case: str
) -> None:
    assert browser.get(f"/cases/{case}").status_code == 401
    authorization.token["appContext"] = case
    opened = _back(browser, authorization.authorized(_launch(browser, authorization)))
    assert (opened.status_code, opened.headers["location"]) == (303, f"/cases/{case}")
    assert authorization.form["client_id"] == "roentgen"
    page = browser.get(f"/cases/{case}")
    assert page.status_code == 200
    assert "frame-ancestors https://ehr.example" in page.headers["content-security-policy"]
    with service.database.reading() as session:
        film_id = session.connection().exec_driver_sql("SELECT id FROM film").scalar_one()
    assert browser.get(f"/api/v1/studies/{film_id}").status_code == 200
    other = plant_film(service, number="other")
    for refused in ("/", f"/films/{other}", f"/api/v1/studies/{other}", "/api/v1/studies", "/cases/none", "/fhir/Task"):
        assert browser.get(refused).status_code == 401, refused
    said = browser.post(f"/api/v1/studies/{film_id}/verdicts", json={"finding": "lung_mass", "verdict": "agree"})
    assert said.status_code == 401


def test_without_app_context_the_case_of_the_patient_in_context_is_opened(
    browser: TestClient, authorization: FakeAuthorization, case: str
) -> None:
    opened = _back(browser, authorization.authorized(_launch(browser, authorization)))
    assert opened.headers["location"] == f"/cases/{case}"


def test_cookies_are_for_frames_over_tls_and_out_of_reach_of_scripts(
    browser: TestClient, authorization: FakeAuthorization, case: str
) -> None:
    launched = _launch(browser, authorization)
    opened = _back(browser, authorization.authorized(launched))
    cookies = [launched.headers["set-cookie"], opened.headers.get_list("set-cookie")[0]]
    for cookie in cookies:
        assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=none", "Partitioned")), cookie


def test_a_state_is_good_once_and_for_the_browser_that_began(
    browser: TestClient, service: Service, authorization: FakeAuthorization, case: str
) -> None:
    state = authorization.authorized(_launch(browser, authorization))
    thief = TestClient(create_app(service), base_url="https://cds.example", follow_redirects=False)
    assert "another browser" in _back(thief, state).json()["detail"]
    assert _back(browser, state).status_code == 403
    state = authorization.authorized(_launch(browser, authorization))
    assert _back(browser, state).status_code == 303
    assert _back(browser, state).status_code == 403


@pytest.mark.parametrize("issuer", ["https://elsewhere.example/fhir", "http://127.0.0.1:9/fhir", "file:///etc/passwd"])
def test_an_unknown_ehr_launches_nothing(browser: TestClient, authorization: FakeAuthorization, issuer: str) -> None:
    refused = _launch(browser, authorization, iss=issuer)
    assert refused.status_code == 403
    assert "location" not in refused.headers
    assert issuer not in refused.text


def test_an_ehr_without_pkce_is_refused(browser: TestClient, authorization: FakeAuthorization) -> None:
    authorization.methods = ["plain"]
    assert "PKCE" in _launch(browser, authorization).json()["detail"]


@pytest.mark.parametrize(
    "change",
    [{"patient": "another"}, {"patient": None}, {"appContext": "another-case"}, {"appContext": {"case": "x"}}],
)
def test_a_case_that_is_not_of_the_patient_in_context_stays_closed(
    browser: TestClient, authorization: FakeAuthorization, case: str, change: dict[str, Any]
) -> None:
    authorization.token |= change
    assert _back(browser, authorization.authorized(_launch(browser, authorization))).status_code == 403
    assert browser.get(f"/cases/{case}").status_code == 401


def test_a_code_that_the_ehr_refuses_opens_nothing(
    browser: TestClient, authorization: FakeAuthorization, case: str
) -> None:
    state = authorization.authorized(_launch(browser, authorization))
    assert _back(browser, state, code="another").status_code == 403
    state = authorization.authorized(_launch(browser, authorization))
    refused = browser.get("/smart/callback", params={"state": state, "error": "access_denied"})
    assert refused.status_code == 403


def test_a_session_ends_after_an_hour(
    browser: TestClient, service: Service, authorization: FakeAuthorization, case: str
) -> None:
    _back(browser, authorization.authorized(_launch(browser, authorization)))
    with service.database.writing() as session:
        session.connection().exec_driver_sql("UPDATE browser_session SET ends_at = '2020-01-01 00:00:00.000000'")
    assert browser.get(f"/cases/{case}").status_code == 401


def test_an_ehr_that_cannot_launch_gets_the_absolute_link_alone(browser: TestClient, case: str) -> None:
    answer = browser.post(
        "/cds-services/imaging-order-advisor", json=risky_order_call(fhirServer="https://other.example")
    )
    assert [link["type"] for card in answer.json()["cards"] for link in card["links"]] == ["absolute"]
