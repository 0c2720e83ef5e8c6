"""The real service on a data folder of its own, with the rules of `builders.RULES` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules
from tests.cds.hooks.builders import RULES, Json
from tests.cds.hooks.ehr import Ehr
from tests.cds.hooks.fake_fhir import FakeFhir

MakeService = Callable[..., Service]
Post = Callable[..., Response]


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    made: list[Service] = []

    def make(**settings: Any) -> Service:
        service = Service(Settings(**{"data_dir": tmp_path / "data", "public_url": "https://cds.example", **settings}))
        service.rules = compile_rules({"tests.yaml": RULES})
        service.database.migrate()
        made.append(service)
        return service

    yield make
    for service in made:
        service.database.close()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    return make_service()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), raise_server_exceptions=False)


@pytest.fixture
def post(client: TestClient) -> Post:
    """Call a service and return its response."""

    def send(service_id: str, request: Json, **options: Any) -> Response:
        return client.post(f"/cds-services/{service_id}", json=request, **options)

    return send


@pytest.fixture
def fhir() -> Iterator[FakeFhir]:
    server = FakeFhir()
    yield server
    server.close()


@pytest.fixture
def fetching_client(make_service: MakeService, fhir: FakeFhir) -> TestClient:
    """A client of a service that may fetch from the FHIR server of the test."""
    service = make_service(fhir_hosts=(fhir.host,), fhir_private_addresses=True, fhir_budget_ms=2000)
    return TestClient(create_app(service), raise_server_exceptions=False)


@pytest.fixture
def ehr(tmp_path: Path) -> Ehr:
    """An EHR that signs, whose public keys lie in a file."""
    return Ehr(tmp_path / "keys.json")


@pytest.fixture
def signed_client(make_service: MakeService, ehr: Ehr) -> TestClient:
    """A client of a service that knows the EHR of the test."""
    service = make_service(jwt_issuers={ehr.issuer: str(ehr.keys_file)})
    return TestClient(create_app(service), raise_server_exceptions=False)
