"""The OpenAPI document tells a client everything: what each operation is, how it is asked, and how it may fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from cds.api import create_app
from cds.service import Service
from cds.settings import Settings

Json = dict[str, Any]
SHORT = 90


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    service = Service(Settings(data_dir=tmp_path_factory.mktemp("description") / "data"))
    service.database.migrate()
    yield TestClient(create_app(service))
    service.close()


@pytest.fixture(scope="module")
def document(client: TestClient) -> Json:
    return client.get("/openapi.json").json()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def operations(document: Json) -> dict[str, Json]:
    found = {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        if path.startswith("/api/v1")
        for method, operation in item.items()
    }
    assert len(found) >= 36
    return found


def faults(document: Json, schema: Json, value: Any) -> list[str]:
    whole = {**schema, "components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def examples_of(content: Json) -> list[Any]:
    shown = [one["value"] for one in content.get("examples", {}).values()]
    return [*shown, content["example"]] if "example" in content else shown


def test_every_operation_has_a_summary_of_its_own(operations: dict[str, Json]) -> None:
    summaries = [operation["summary"] for operation in operations.values()]
    assert all(0 < len(summary) <= SHORT for summary in summaries)
    assert len(set(summaries)) == len(summaries)
    assert all(operation["description"] and operation["tags"] for operation in operations.values())


def test_every_operation_shows_what_is_sent_and_it_is_as_described(document: Json, operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            shown = examples_of(content) or content["schema"].get("examples", [])
            assert shown, f"{name} {media_type}"
            for value in shown:
                assert faults(document, content["schema"], value) == [], name


def test_every_operation_shows_what_is_answered_and_it_is_as_described(
    document: Json, operations: dict[str, Json]
) -> None:
    for name, operation in operations.items():
        (done,) = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        if "204" in operation["responses"]:
            assert "content" not in done
            continue
        for media_type, content in done["content"].items():
            (value,) = examples_of(content)
            assert faults(document, content["schema"], value) == [], f"{name} {media_type}"


def test_every_operation_says_how_it_may_fail(document: Json, operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        failures = {int(status): answer for status, answer in operation["responses"].items() if int(status) >= 400}
        expected = {401, 403, 429, 503}
        if "{" in name:
            expected.add(404)
        if operation.get("parameters") or "requestBody" in operation:
            expected.add(422)
        if "requestBody" in operation:
            expected |= {400, 413, 507}
        assert expected <= set(failures), name
        assert failures[401].get("content") is None, name
        assert "Retry-After" in failures[429]["headers"]
        for status, answer in failures.items():
            assert answer["description"], name
            if status != 401:
                content = answer["content"]["application/problem+json"]
                assert content["example"]["status"] == status
                assert faults(document, content["schema"], content["example"]) == []


def test_a_problem_is_as_described(client: TestClient, document: Json) -> None:
    schema = {"$ref": "#/components/schemas/Problem"}
    for answer in (
        client.get("/api/v1/studies/none"),
        client.get("/api/v1/studies?limit=0"),
        client.post("/api/v1/studies", content=b"x", headers={"Content-Type": "application/dicom"}),
        client.post("/api/v1/studies", content=b"x", headers={"Content-Type": "text/plain"}),
        client.post("/api/v1/risk", content="[" * 100, headers={"Content-Type": "application/json"}),
        client.post("/api/v1/risk", content="{", headers={"Content-Type": "application/json"}),
    ):
        assert answer.headers["content-type"] == "application/problem+json"
        assert faults(document, schema, answer.json()) == []
        path = answer.request.url.path.replace("none", "{study_id}")
        described = document["paths"][path][answer.request.method.lower()]["responses"]
        assert str(answer.status_code) in described, (path, answer.status_code)


def test_no_example_is_of_an_operation_that_is_none(operations: dict[str, Json]) -> None:
    file = Path(__file__).parents[3] / "cds" / "api" / "examples.json"
    assert set(json.loads(file.read_text(encoding="utf-8"))) <= set(operations)


def test_no_reference_leads_nowhere(document: Json) -> None:
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"], name
