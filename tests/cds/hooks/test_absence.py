"""What was asked for and is empty counts as none recorded; what was not answered stays unknown."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import OperationalError

from cds.api import create_app
from cds.service import Service
from fusion import compile_rules
from tests.cds.hooks.builders import bundle, call, kidney_failure

RULE = "contrast_egfr_below_30"


@pytest.fixture
def client(service: Service) -> TestClient:
    """A client of a service with the packaged rules."""
    service.rules = compile_rules(
        service.configs.texts("rules"), orderables=service.orders.orderables, findings=service.configs.findings()
    )
    return TestClient(create_app(service), raise_server_exceptions=False)


def ask(client: TestClient, **prefetch: Any) -> tuple[bool, bool]:
    """Return whether a card of the rule came, and whether the rule was not evaluable."""
    request = call("order-sign", prefetch={"laboratory": bundle(kidney_failure()), **prefetch})
    answer = client.post("/cds-services/imaging-order-advisor", json=request).json()
    items = answer["extension"].get("org.roentgen-cds.not-evaluable", {}).get("items", [])
    said = [card for card in answer["cards"] if "no dialysis recorded" in card.get("detail", "")]
    return bool(said), RULE in {item["rule"] for item in items}


def test_an_empty_bundle_of_conditions_lets_a_rule_rest_on_absence_and_say_so(client: TestClient) -> None:
    assert ask(client, conditions=bundle()) == (True, False)


@pytest.mark.parametrize(
    "conditions",
    [
        None,
        {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception"}]},
        bundle(next_page="https://ehr.example/fhir/Condition?page=2"),
    ],
)
def test_null_a_failure_or_a_part_is_not_none_recorded(client: TestClient, conditions: Any) -> None:
    assert ask(client, conditions=conditions) == (False, True)


def test_a_search_that_was_not_sent_is_not_none_recorded(client: TestClient) -> None:
    assert ask(client) == (False, True)


@pytest.mark.parametrize(
    ("service_id", "hook"),
    [
        ("imaging-order-advisor", "order-sign"),
        ("chest-imaging-risk", "patient-view"),
        ("chest-imaging-risk", "order-sign"),
        ("follow-up-tracker", "patient-view"),
        ("follow-up-tracker", "encounter-discharge"),
    ],
)
def test_a_patient_with_no_data_at_all_gets_an_answer_without_a_card(
    client: TestClient, service_id: str, hook: str
) -> None:
    nobody = {"resourceType": "Patient", "id": "p1"}
    response = client.post(f"/cds-services/{service_id}", json=call(hook, prefetch={"patient": nobody}))
    assert response.status_code == 200
    assert response.json()["cards"] == []


def test_of_a_patient_with_no_data_the_rules_that_could_not_be_asked_are_named(client: TestClient) -> None:
    nobody = {"resourceType": "Patient", "id": "p1"}
    answer = client.post("/cds-services/imaging-order-advisor", json=call("order-sign", prefetch={"patient": nobody}))
    unasked = {item["rule"] for item in answer.json()["extension"]["org.roentgen-cds.not-evaluable"]["items"]}
    assert {RULE, "contrast_reaction_severe"} <= unasked


def test_values_that_contradict_each_other_leave_the_rule_unasked_and_are_named(client: TestClient) -> None:
    other = {**kidney_failure(), "id": "other", "valueQuantity": {"value": 95, "code": "mL/min/{1.73_m2}"}}
    laboratory = bundle(kidney_failure(), other)
    assert ask(client, laboratory=laboratory, conditions=bundle()) == (False, True)
    request = call("order-sign", prefetch={"laboratory": laboratory})
    answer = client.post("/cds-services/imaging-order-advisor", json=request).json()
    dropped = answer["extension"]["org.roentgen-cds.dropped"]["items"]
    assert {item["reference"] for item in dropped} == {"Observation/egfr", "Observation/other"}


def test_a_store_that_is_busy_is_said_as_such_and_not_taken_for_nothing_recorded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_args: Any, **_named: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("database is locked"))

    monkeypatch.setattr("cds.assessing.assessment.Assessor.assess_now", busy)
    answer = client.post("/cds-services/imaging-order-advisor", json=call("order-sign"))
    assert answer.status_code == 503
    assert answer.json()["issue"][0]["code"] == "transient"
    assert "locked" not in answer.text
