"""The published JSON Schema of a structured report is that of the code, and results keep to it."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

from nlp import Extractor, StructuredReport

PUBLISHED = Path(__file__).parents[2] / "docs" / "structured-report.schema.json"
TEXTS = [
    "FINDINGS: 5 mm nodule in the left lung. ETT tip 3 cm above the carina.\nIMPRESSION: Recommend CT in 3 months.",
    "No effusion.",
    "",
]


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == StructuredReport.model_json_schema(mode="serialization")


def test_results_keep_to_the_published_schema(extractor: Extractor) -> None:
    validator = Draft202012Validator(json.loads(PUBLISHED.read_text("utf-8")))
    for text in TEXTS:
        validator.validate(json.loads(extractor.extract(text).model_dump_json()))


def test_results_survive_json_without_loss(extractor: Extractor) -> None:
    for text in TEXTS:
        report = extractor.extract(text)
        assert StructuredReport.model_validate_json(report.model_dump_json()) == report
