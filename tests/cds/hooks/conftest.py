"""The real service on a data folder of its own, with the rules of `builders.RULES` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import RULES, Json
from fastapi.testclient import TestClient
from httpx import Response

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from fusion import compile_rules

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
