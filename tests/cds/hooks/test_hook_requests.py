"""Requests of any shape: an answer or a 4xx with an OperationOutcome, never an error of ours."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules
from tests.cds.hooks.builders import RULES, bundle, call, kidney_failure, observation, order, patient

SERVICES = {
    "imaging-order-advisor": ("order-select", "order-sign"),
    "chest-imaging-risk": ("patient-view", "order-sign"),
    "follow-up-tracker": ("patient-view", "encounter-discharge"),
}
KEYS = [
    "resourceType",
    "id",
    "entry",
    "resource",
    "code",
    "coding",
    "system",
    "subject",
    "reference",
    "status",
    "valueQuantity",
    "value",
    "unit",
    "effectiveDateTime",
    "link",
    "relation",
    "url",
    "identifier",
    "issue",
]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from(
        ["Patient", "Bundle", "p1", "2026-02-30", "2026-01-01T00:00:00Z", "Patient/p1", "1e999", "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@pytest.fixture(scope="module")
def any_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    service = Service(Settings(data_dir=Path(tmp_path_factory.mktemp("data")), public_url="https://cds.example"))
    service.rules = compile_rules({"tests.yaml": RULES})
    service.database.migrate()
    yield TestClient(create_app(service), raise_server_exceptions=False)
    service.database.close()


def full_call(hook: str) -> dict[str, Any]:
    prefetch = {
        "laboratory": bundle(kidney_failure()),
        "vitals": bundle(observation("8867-4", 90, "/min"), observation("8480-6", 130, "mm[Hg]", "o2")),
        "orders": bundle(order(identifier="old", status="active")),
        "conditions": bundle({"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p1"}}),
    }
    return call(hook, prefetch=prefetch, fhirServer="https://ehr.example/r4")


def places_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places_of(item, (*path, key))


def with_place(value: Any, path: tuple[Any, ...], replacement: Any) -> Any:
    if not path:
        return replacement
    changed = copy.deepcopy(value)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = replacement
    return changed


def check(client: TestClient, path: str, body: Any) -> None:
    text = json.dumps(body)
    response = client.post(path, content=text.encode(), headers={"Content-Type": "application/json"})
    assert response.status_code in (200, 400, 404, 412, 413, 422), response.text
    if response.status_code == 200:
        answer = response.json()
        assert all(len(card["summary"]) < 140 for card in answer.get("cards", ()))
    else:
        assert response.json()["resourceType"] == "OperationOutcome"
        assert response.json()["issue"]


QUIET = settings(suppress_health_check=list(HealthCheck), deadline=None)


@QUIET
@given(st.data())
def test_any_change_at_any_place_of_a_request_is_answered(any_client: TestClient, data: st.DataObject) -> None:
    service_id = data.draw(st.sampled_from(sorted(SERVICES)))
    request: Any = full_call(data.draw(st.sampled_from(SERVICES[service_id])))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places_of(request))))
        request = with_place(request, path, data.draw(ODD))
    check(any_client, f"/cds-services/{service_id}", request)


@QUIET
@given(ODD)
def test_any_json_is_answered(any_client: TestClient, body: Any) -> None:
    for path in ("/cds-services/chest-imaging-risk", "/cds-services/chest-imaging-risk/feedback"):
        check(any_client, path, body)


@QUIET
@given(ODD, ODD, ODD, ODD)
def test_any_feedback_is_answered(any_client: TestClient, card: Any, outcome: Any, when: Any, chosen: Any) -> None:
    for one in (outcome, "accepted", "overridden"):
        item = {"card": card, "outcome": one, "outcomeTimestamp": when, "acceptedSuggestions": chosen}
        check(any_client, "/cds-services/chest-imaging-risk/feedback", {"feedback": [item]})


@QUIET
@given(st.lists(ODD, max_size=4))
def test_any_draft_is_answered(any_client: TestClient, drafts: list[Any]) -> None:
    entries = [{"resource": {"resourceType": "ServiceRequest", **d} if isinstance(d, dict) else d} for d in drafts]
    request = call("order-sign", context_changes={"draftOrders": {"resourceType": "Bundle", "entry": entries}})
    check(any_client, "/cds-services/imaging-order-advisor", request)


@QUIET
@given(st.binary(max_size=60))
def test_any_bytes_are_answered(any_client: TestClient, body: bytes) -> None:
    path = "/cds-services/follow-up-tracker"
    response = any_client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["resourceType"] == "OperationOutcome"


def test_two_patients_are_refused_and_the_other_one_is_dropped_by_name(any_client: TestClient) -> None:
    request = call(prefetch={"vitals": bundle(patient("p2"))})
    response = any_client.post("/cds-services/chest-imaging-risk", json=request)
    assert response.status_code == 200
    dropped = response.json()["extension"]["org.roentgen-cds.dropped"]["items"]
    assert [item["reason"] for item in dropped] == ["is not the patient of the context"]


def _examples(shared_data: Path) -> list[Path]:
    return sorted((shared_data / "cds_hooks" / "crd_fixtures").glob("*hook_request.json"))


@pytest.mark.shared_data
def test_requests_of_the_implementation_guides_are_understood(any_client: TestClient, shared_data: Path) -> None:
    seen = set()
    for file in _examples(shared_data):
        request = json.loads(file.read_text(encoding="utf-8"))
        for service_id, hooks in SERVICES.items():
            response = any_client.post(f"/cds-services/{service_id}", json=request)
            if request["hook"] in hooks:
                seen.add(request["hook"])
                assert response.status_code == 412, (file.name, response.text)
                assert response.json()["issue"][0]["expression"] == ["prefetch.patient"]
            else:
                assert response.json()["issue"][0]["expression"] == ["hook"]
    assert {"order-select", "order-sign", "encounter-discharge"} <= seen
