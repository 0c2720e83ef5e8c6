"""Whatever a hook or a feedback carries: never a 5xx, and no word of it in an error.

A sample runs with the others; `make soak` runs 40,000 cases.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules
from tests.cds.hooks.builders import RULES, bundle, call, kidney_failure, patient, plant_film, plant_report

PLANTED = "PLANTED-4711"
SAMPLE, SOAK = 40, 40_000
_UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.generate]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    made = Service(Settings(data_dir=tmp_path_factory.mktemp("fuzz") / "data"))
    made.rules = compile_rules({"tests.yaml": RULES})
    made.database.migrate()
    plant_film(made)
    plant_report(made)
    yield made
    made.database.close()


@pytest.fixture(scope="module")
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), raise_server_exceptions=False, follow_redirects=False)


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from([PLANTED, "", "\x00", "2026-02-30", "9" * 400, "Patient/..", "http://127.0.0.1/", "\u202e"]),
    st.lists(st.none(), max_size=2),
    st.dictionaries(st.sampled_from(["resourceType", "entry", "coding", "value"]), st.text(max_size=5), max_size=2),
)


@st.composite
def hook_requests(draw: st.DrawFn) -> tuple[str, Any]:
    """Return a service and a request that was right until one to four of its parts were changed or removed."""
    hook, service_id = draw(
        st.sampled_from(
            [
                ("order-sign", "imaging-order-advisor"),
                ("order-select", "imaging-order-advisor"),
                ("patient-view", "chest-imaging-risk"),
                ("order-sign", "chest-imaging-risk"),
                ("encounter-discharge", "follow-up-tracker"),
            ]
        )
    )
    request = copy.deepcopy(call(hook, prefetch={"patient": patient(), "laboratory": bundle(kidney_failure())}))
    for _ in range(draw(st.integers(1, 4))):
        _change(request, draw)
    return service_id, request


def _change(request: Any, draw: st.DrawFn) -> None:
    at = request
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if isinstance(at[key], dict | list) and at[key] and draw(st.integers(0, 4)):
            at = at[key]
            continue
        if draw(st.booleans()) and isinstance(at, dict):
            del at[key]
        else:
            at[key] = draw(ODD)
        return


def _call(client: TestClient, case: tuple[str, Any]) -> None:
    service_id, request = case
    answer = client.post(f"/cds-services/{service_id}", json=request)
    assert answer.status_code in (200, 400, 412, 422), answer.text
    if answer.status_code != 200:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert PLANTED not in answer.text


@given(case=hook_requests())
@settings(max_examples=SAMPLE, **_UNHURRIED)
def test_no_hook_request_ends_in_an_error_of_ours(client: TestClient, case: tuple[str, Any]) -> None:
    _call(client, case)


@pytest.mark.soak
@given(case=hook_requests())
@settings(max_examples=SOAK, **_UNHURRIED)
def test_no_hook_request_ends_in_an_error_of_ours_in_the_long_run(client: TestClient, case: tuple[str, Any]) -> None:
    _call(client, case)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"hook": 1}', b"0" * 4096])
def test_no_body_ends_in_an_error_of_ours(client: TestClient, body: bytes) -> None:
    for path in ("/cds-services/chest-imaging-risk", "/cds-services/chest-imaging-risk/feedback", "/api/v1/risk"):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500


def test_feedback_of_any_content_is_kept_or_refused(client: TestClient) -> None:
    item = {"card": str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": "2026-03-01T12:00:00Z"}
    for odd in (None, "", 1, [], {}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59"):
        for field in item:
            body = {"feedback": [{**item, field: odd}]}
            answer = client.post("/cds-services/chest-imaging-risk/feedback", json=body)
            assert answer.status_code in (200, 400), answer.text


BINARY = {("post", "/api/v1/studies"), ("post", "/dicom-web/studies"), ("post", "/dicom-web/studies/{study}")}
"""Bodies that schemathesis cannot write; tests of the arrivals fuzz them."""


def _fuzz_operations(service: Service, client: TestClient, examples: int) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", client.app)
    operations = [found.ok() for found in described.get_all_operations()]
    for operation in operations:
        if (operation.method, operation.path) in BINARY:
            continue

        @given(case=operation.as_strategy())
        @settings(max_examples=examples, **_UNHURRIED)
        def no_error_of_ours(case: Any) -> None:
            prepared = case.as_transport_kwargs(base_url="http://testserver")
            answer = client.request(**{name: part for name, part in prepared.items() if name != "cookies"})
            assert answer.status_code < 500, f"{case.method} {case.path}: {answer.status_code}"

        no_error_of_ours()


def test_no_request_by_the_description_ends_in_an_error_of_ours(service: Service, client: TestClient) -> None:
    _fuzz_operations(service, client, 2)


@pytest.mark.soak
def test_no_request_by_the_description_ends_in_an_error_of_ours_in_the_long_run(
    service: Service, client: TestClient
) -> None:
    _fuzz_operations(service, client, 1300)
