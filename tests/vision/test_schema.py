"""The published JSON Schema of an imaging result is that of the code, and results keep to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from jsonschema import Draft202012Validator

from vision import ImagingResult
from vision.result import Mask, Measurement, ModelRef

PUBLISHED = Path(__file__).parents[2] / "docs" / "imaging-result.schema.json"
REF = ModelRef(id="vision-anatomy", version="1", sha256="0" * 64)


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == ImagingResult.model_json_schema(mode="serialization")


def test_results_keep_to_the_published_schema_and_survive_json() -> None:
    result = ImagingResult(
        masks=(Mask(structure="heart", polygons=(((0.1, 0.2), (0.3, 0.2), (0.2, 0.5)),), model=REF),),
        measurements=(
            Measurement(name="cardiothoracic_ratio", value=None, unit="1", reason="not assessable: AP film"),
        ),
        analysed_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    Draft202012Validator(json.loads(PUBLISHED.read_text("utf-8"))).validate(json.loads(result.model_dump_json()))
    assert ImagingResult.model_validate_json(result.model_dump_json()) == result
