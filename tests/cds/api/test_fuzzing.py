"""Whatever a hook or a feedback carries: never a 5xx, and no word of it in an error.

A sample runs with the others, in this process. `make soak` sends 100,000 cases to a service in a process of its own,
which may neither hang nor grow.
"""

from __future__ import annotations

import copy
import gc
import resource
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules
from tests.cds.hooks.builders import RULES, bundle, call, kidney_failure, patient, plant_film, plant_report
from tests.end_to_end.cds_processes import start_bare

PLANTED = "PLANTED-4711"
SAMPLE, RUN, SOAK = 40, 1_000, 100_000
LEAK_MB = 100
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


def _call(client: httpx.Client | TestClient, case: tuple[str, Any]) -> None:
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


def _strategies(schema: Any) -> list[Any]:
    """Return what makes requests of each operation that an OpenAPI description names, by its address."""
    operations = sorted((found.ok() for found in schema.get_all_operations()), key=lambda each: str(each.path))
    return [each.as_strategy() for each in operations if (each.method, each.path) not in BINARY]


def _send(client: httpx.Client | TestClient, case: Any) -> None:
    prepared = case.as_transport_kwargs(base_url=str(client.base_url))
    answer = client.request(**{name: part for name, part in prepared.items() if name != "cookies"})
    assert answer.status_code < 500, f"{case.method} {case.path}: {answer.status_code}"
    if case.path.startswith("/api/v1"):
        described = case.operation.definition.raw["responses"]
        assert str(answer.status_code) in described, f"{case.method} {case.path}: {answer.status_code}"


def test_no_request_by_the_description_ends_in_an_error_of_ours(client: TestClient) -> None:
    for strategy in _strategies(schemathesis.openapi.from_asgi("/openapi.json", client.app)):

        @given(case=strategy)
        @settings(max_examples=2, **_UNHURRIED)
        def no_error_of_ours(case: Any) -> None:
            _send(client, case)

        no_error_of_ours()


class Soak:
    """Sends cases to a service in another process, and watches its memory.

    Cases come in runs of a thousand, each with a seed of its own: what hypothesis remembers goes with the run.
    """

    def __init__(self, client: httpx.Client, process: int) -> None:
        self._client = client
        self._memory = Path(f"/proc/{process}/statm")
        self.sent, self.seed = 0, 0
        self.megabytes: list[int] = []

    def run(self, strategy: Any, check: Callable[[Any, Any], None]) -> None:
        """Send up to a thousand cases."""
        self.seed += 1

        @seed(self.seed)
        @given(case=strategy)
        @settings(max_examples=min(RUN, SOAK - self.sent), database=None, **_UNHURRIED)
        def send(case: Any) -> None:
            self.sent += 1
            check(self._client, case)

        send()
        gc.collect()
        self.megabytes.append(int(self._memory.read_text().split()[1]) * resource.getpagesize() // 2**20)
        sys.stderr.write(f"{self.sent} cases, the service has {self.megabytes[-1]} MB\n")


@pytest.mark.soak
def test_no_case_of_a_long_run_ends_in_an_error_of_ours_nor_does_the_service_hang_or_grow(
    tmp_path: Path, free_port: int
) -> None:
    made = Service(Settings(data_dir=tmp_path / "data"))
    made.database.migrate()
    plant_film(made)
    plant_report(made)
    made.close()
    with start_bare(free_port, data_dir=tmp_path / "data") as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{free_port}", timeout=60) as client:
                soak = Soak(client, process.pid)
                for strategy in _strategies(schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")):
                    soak.run(strategy, _send)
                described = len(soak.megabytes)
                while soak.sent < SOAK:
                    soak.run(hook_requests(), _call)
        finally:
            process.kill()
    of_hooks = soak.megabytes[described:]
    assert max(of_hooks[-5:]) < max(of_hooks[:5]) + LEAK_MB
