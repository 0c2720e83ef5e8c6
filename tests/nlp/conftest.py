"""Fixtures of the nlp tests: the packaged vocabulary and one extractor for all of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from nlp import Extractor, Vocabulary

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="session")
def documents() -> dict[str, Any]:
    return {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted((CONFIGS / "lexicon").glob("*.yaml"))}


@pytest.fixture(scope="session")
def finding_keys() -> list[str]:
    with (CONFIGS / "findings.csv").open(encoding="utf-8", newline="") as lines:
        return [row["key"] for row in csv.DictReader(lines)]


@pytest.fixture(scope="session")
def vocabulary(documents: dict[str, Any], finding_keys: list[str]) -> Vocabulary:
    return Vocabulary.from_documents(documents, known=finding_keys)


@pytest.fixture(scope="session")
def extractor(vocabulary: Vocabulary) -> Extractor:
    return Extractor(vocabulary)


@pytest.fixture(scope="session")
def reports(shared_data: Path) -> Path:
    """The folder of coded reports in the shared data; skips where it is absent."""
    return shared_data / "reports"
