"""A service with a patient of many kinds of findings, and a reader of its pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings
from tests.cds.pages.planted import KEY, Planted, plant


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Settings(data_dir=tmp_path / "data", api_keys={"reader": KEY}))
    made.database.migrate()
    yield made
    made.database.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(create_app(service), headers={"Authorization": f"Bearer {KEY}"})


@pytest.fixture
def planted(service: Service, client: TestClient, tmp_path: Path) -> Planted:
    return plant(service, client, tmp_path)
