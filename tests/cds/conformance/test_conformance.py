"""The kit finds nothing wrong with a right server, finds each fault of a faulty one, and nothing wrong with ours."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import uvicorn
from joserfc.jwk import ECKey
from starlette.testclient import TestClient

from cds.api import create_app
from cds.conformance import Credentials, Result, as_junit, as_text, run
from cds.conformance.model import CHECKS
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules
from tests.cds.conformance.faulty import CARD_FAULTS, ISSUER, OTHER_FAULTS, TOKEN_FAULTS, Faulty
from tests.cds.hooks.builders import RULES, risky_order_call

URL = "https://testserver"


@pytest.fixture(scope="module")
def key() -> ECKey:
    return ECKey.generate_key("P-384", {"kid": "kit"})


def results_of(fault: str | None, key: ECKey | None = None) -> list[Result]:
    public = ECKey.import_key(key.as_dict(private=False)) if key else None
    credentials = Credentials(ISSUER, dict(key.as_dict(private=True))) if key else None
    with TestClient(Faulty(fault, public).app(), URL, raise_server_exceptions=False) as client:
        return run(URL, client=client, credentials=credentials)


def failed(results: list[Result]) -> set[int]:
    return {result.item for result in results if result.status == "failed"}


def test_there_is_a_check_for_every_item_of_the_checklist() -> None:
    assert {check.item for check in CHECKS} == set(range(1, 44))


def test_a_right_server_passes(key: ECKey) -> None:
    results = results_of(None, key)
    assert [(r.item, r.title, r.detail) for r in results if r.status in ("failed", "warned")] == []
    assert {r.item for r in results if r.status == "skipped"} == {14, 15}


@pytest.mark.parametrize("fault", sorted(CARD_FAULTS))
def test_a_fault_of_a_card_is_found(fault: str) -> None:
    assert CARD_FAULTS[fault][0] in failed(results_of(fault))


@pytest.mark.parametrize("fault", sorted(OTHER_FAULTS))
def test_a_fault_of_a_server_is_found(fault: str) -> None:
    assert OTHER_FAULTS[fault] in failed(results_of(fault))


@pytest.mark.parametrize("fault", sorted(TOKEN_FAULTS))
def test_a_fault_with_tokens_is_found(fault: str, key: ECKey) -> None:
    assert TOKEN_FAULTS[fault] in failed(results_of(fault, key))


def test_without_credentials_the_items_of_tokens_are_skipped() -> None:
    skipped = {result.item for result in results_of(None) if result.status == "skipped"}
    assert {35, 36, 37, 38, 39, 40} <= skipped


def test_the_report_names_items_and_what_was_seen() -> None:
    results = results_of("a summary of 140 characters")
    text = as_text(results)
    assert "FAIL  19  a summary has fewer than 140 characters: greeter on patient-view: 140 characters" in text
    assert text.endswith("items broken: 19")


def test_the_junit_file_is_what_a_build_server_reads() -> None:
    suite = ElementTree.fromstring(as_junit(results_of("a summary of 140 characters"), URL))  # noqa: S314
    failures = [case for case in suite.iter("testcase") if case.find("failure") is not None]
    assert suite.get("failures") == "1"
    assert [case.get("classname") for case in failures] == ["cds-hooks.item-19"]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def our_server(tmp_path: Path, key: ECKey) -> Iterator[tuple[str, int]]:
    """Our service on loopback, as a site would run it: its URL and the port of the FHIR server it may call."""
    port, fhir_port = free_port(), free_port()
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    settings: dict[str, Any] = {
        "data_dir": tmp_path / "data",
        "public_url": f"http://127.0.0.1:{port}",
        "jwt_issuers": {ISSUER: str(tmp_path / "keys.json")},
        "fhir_hosts": (f"127.0.0.1:{fhir_port}",),
        "fhir_private_addresses": True,
        "fhir_budget_ms": 5000,
    }
    service = Service(Settings(**settings))
    service.rules = compile_rules({"tests.yaml": RULES})
    service.database.migrate()
    config = uvicorn.Config(create_app(service), port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}", fhir_port
    server.should_exit = True
    thread.join()
    service.database.close()


def test_our_server_passes_every_item_over_real_http(our_server: tuple[str, int], key: ECKey) -> None:
    url, fhir_port = our_server
    credentials = Credentials(ISSUER, dict(key.as_dict(private=True)))
    results = run(url, credentials=credentials, fhir_port=fhir_port, examples=[risky_order_call()])
    assert [(r.item, r.title, r.detail) for r in results if r.status != "passed" and r.item != 17] == []
    assert {r.item for r in results} == set(range(1, 44))
