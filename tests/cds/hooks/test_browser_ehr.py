"""An EHR in a browser, on an origin of its own: it signs with WebCrypto, takes a suggestion, and tells what it did."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from cds.store.tables import CardRow, FeedbackRow
from tests.cds.hooks.builders import Json, bundle, kidney_failure, order, patient

PAGE = Path(__file__).with_name("browser_ehr.html")
PATIENCE_MS = 60_000


class BrowserEhr:
    """An origin that serves the page of an EHR, a small FHIR server, and the key set that the page publishes."""

    def __init__(self) -> None:
        self.keys: bytes = b'{"keys": []}'
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def keys_address(self) -> str:
        return f"{self.origin}/jwks.json"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        ehr = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                if asked.path == "/":
                    self._answer(PAGE.read_bytes(), "text/html")
                elif asked.path == "/jwks.json":
                    self._answer(ehr.keys)
                elif asked.path == "/draft.json":
                    self._answer(json.dumps(order()).encode())
                elif asked.path.startswith("/fhir/"):
                    self._answer(json.dumps(_record(asked.path, parse_qs(asked.query))).encode())
                else:
                    self._answer(b"", status=404)

            def do_PUT(self) -> None:
                ehr.keys = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(b"")

            def _answer(self, body: bytes, kind: str = "application/json", status: int = 200) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


def _record(path: str, query: dict[str, list[str]]) -> Json:
    """Return what the FHIR server has: a patient with failing kidneys, and nothing else."""
    if path == "/fhir/Patient/p1":
        return patient()
    if path == "/fhir/Encounter/e1":
        subject = {"reference": "Patient/p1"}
        return {"resourceType": "Encounter", "id": "e1", "status": "in-progress", "class": {}, "subject": subject}
    return bundle(*([kidney_failure()] if query.get("category") == ["laboratory"] else []))


@pytest.fixture
def ehr() -> Iterator[BrowserEhr]:
    made = BrowserEhr()
    yield made
    made.close()


@pytest.fixture
def stranger() -> Iterator[BrowserEhr]:
    made = BrowserEhr()
    yield made
    made.close()


@pytest.fixture
def service(
    tmp_path: Path, free_port: int, ehr: BrowserEhr, stranger: BrowserEhr, serve: Callable[[Any, int], None]
) -> Iterator[Service]:
    """Our service on loopback: it knows the keys of both EHRs, and lets pages of the first alone read its answers."""
    made = Service(
        Settings(
            data_dir=tmp_path / "data",
            port=free_port,
            jwt_issuers={each.origin: each.keys_address for each in (ehr, stranger)},
            cors_origins=(ehr.origin,),
        )
    )
    made.database.migrate()
    serve(create_app(made), free_port)
    yield made
    made.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    opened = chromium.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


def open_ehr(page: Page, ehr: BrowserEhr, service: Service) -> None:
    page.goto(f"{ehr.origin}/?cds={service.settings.base_url}&patient=p1")


def stored(service: Service, kind: Any) -> list[Any]:
    with service.database.reading() as session:
        return list(session.scalars(select(kind)))


def test_an_order_is_signed_the_card_taken_and_the_feedback_stored(
    page: Page, ehr: BrowserEhr, service: Service
) -> None:
    assert httpx.get(f"{service.settings.base_url}/cds-services").status_code == 401
    open_ehr(page, ehr, service)
    drafts = page.locator("#drafts li")
    expect(drafts).to_have_attribute("data-codes", "24628-0", timeout=PATIENCE_MS)

    page.get_by_role("button", name="Sign").click()
    card = page.locator("article")
    expect(card).to_have_class("warning", timeout=PATIENCE_MS)
    expect(card.locator("h2")).to_contain_text("eGFR below 30")
    expect(card.locator("cite")).to_contain_text("Radiology")

    card.get_by_role("button", name="CT chest without contrast").click()
    expect(page.locator("#said")).to_contain_text("told of card", timeout=PATIENCE_MS)
    expect(drafts).to_have_attribute("data-codes", "29252-4")
    expect(card).to_have_count(0)
    expect(page.locator("#trouble")).to_be_empty()

    (shown,) = stored(service, CardRow)
    (feedback,) = stored(service, FeedbackRow)
    assert (feedback.card_uuid, feedback.outcome) == (shown.uuid, "accepted")
    (taken,) = feedback.detail["accepted_suggestions"]
    assert page.locator("#said").text_content() == f"told of card {shown.uuid}, suggestion {taken}"

    assert {entry.client for entry in service.audit.entries()} == {ehr.origin}

    with page.expect_response("**/cds-services/imaging-order-advisor") as answer:
        page.get_by_role("button", name="Sign").click()
    assert answer.value.request.method == "POST"
    assert answer.value.json()["cards"] == []


def test_a_page_of_an_origin_that_is_not_allowed_gets_nothing(
    page: Page, stranger: BrowserEhr, service: Service
) -> None:
    open_ehr(page, stranger, service)
    expect(page.locator("#trouble")).to_have_text("TypeError: Failed to fetch", timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Sign")).to_be_disabled()
    assert list(service.audit.entries()) == []
