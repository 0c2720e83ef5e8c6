"""The table of the severity cohort: what the film model and the report extractor say, beside the record, film by film.

The only place where films and notes meet the fusion package for this risk; fusion sees the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from cds.errors import ConfigurationError
from cds.models import Models
from fusion.risks.severity_features import row_of
from nlp import ReportContext
from nlp.result import StructuredReport
from vision import Technique, UnreadableImageError, read_radiograph
from vision.result import ImagingResult

_NOTES = "notes_without_outcome_sentences"
_ALL_NOTES = "notes"
_RECORD = {
    "age": "age",
    "temperature": "temperature_c",
    "pO2_saturation": "spo2_percent",
    "leukocyte_count": "leukocytes_10e9_l",
    "neutrophil_count": "neutrophils_10e9_l",
    "lymphocyte_count": "lymphocytes_10e9_l",
}


def severity_table(cohort: pd.DataFrame, images: Path, models: Models) -> pd.DataFrame:
    """Return the cohort with its features: of the film, of the note without its outcome sentences, of the record.

    A film that is missing, unreadable or refused, or an empty note, leaves its modality out of that row.
    Raises ConfigurationError when the cohort has no column `file`.
    """
    if "file" not in cohort.columns:
        raise ConfigurationError("cohort: column 'file' is missing")
    rows = [_row(entry, images, models) for entry in cohort.to_dict("records")]
    return pd.concat([cohort.reset_index(drop=True), pd.DataFrame(rows)], axis=1)


def _row(entry: Mapping[Any, Any], images: Path, models: Models) -> dict[str, Any]:
    age = _number(entry.get("age"))
    sex = {"M": "male", "F": "female"}.get(str(entry.get("sex")))
    record = {name: _number(entry.get(column)) for column, name in _RECORD.items()}
    record["male"] = None if sex is None else float(sex == "male")
    note = _extracted(entry.get(_NOTES), age, sex, models)
    whole = _extracted(entry.get(_ALL_NOTES), age, sex, models)
    devices = whole is not None and whole.labels.get("support_device") == 1
    return row_of(_analysed(images / str(entry["file"]), age, sex, models), note, record) | {"devices": devices}


def _analysed(file: Path, age: float | None, sex: str | None, models: Models) -> ImagingResult | None:
    try:
        film = read_radiograph(file)
    except (UnreadableImageError, OSError):
        return None
    technique = Technique(age_years=age, sex=sex, body_part="CHEST", assume_adult=age is None)
    return models.analyzer.analyze(film, technique, at=datetime.now(UTC))


def _extracted(text: Any, age: float | None, sex: str | None, models: Models) -> StructuredReport | None:
    if not isinstance(text, str) or not text.strip():
        return None
    return models.extractor.extract(text, ReportContext(age=age, sex=sex))


def _number(value: Any) -> float | None:
    number = pd.to_numeric(value, errors="coerce")
    return None if pd.isna(number) else float(number)
