"""Features of the multimodal risk of severity: what the film, the note and the record of one visit say.

Every feature is NaN where it is not known, and a modality that is absent is NaN throughout; nothing is imputed as
normal. Names are `modality.key`. Supplemental oxygen, outcome words and devices on the film are never features: they
tell what was done. Knows no pixels, no text and no outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import EventsError
from fusion.risks.events import Array
from nlp.result import StructuredReport
from vision.result import ImagingResult

IMAGE, TEXT, RECORD = "image", "text", "record"
MODALITIES = (IMAGE, TEXT, RECORD)
EMBEDDING = "embedding"
IMAGE_MODEL = "image_model"
EMBEDDED = 1280

FINDINGS = (
    "lung_opacity",
    "consolidation",
    "pulmonary_edema",
    "pleural_effusion",
    "atelectasis",
    "cardiomegaly",
    "pneumothorax",
    "infiltration",
)
"""Finding keys whose score (image) or verdict (text) is a feature, where it was given."""

WORDS = ("bilateral", "worse", "severe")
"""Attributes of the note's present findings that are features."""

LIMITS: Mapping[str, tuple[float, float]] = {
    "age": (18, 120),
    "male": (0, 1),
    "temperature_c": (30, 44),
    "spo2_percent": (30, 100),
    "leukocytes_10e9_l": (0.05, 500),
    "neutrophils_10e9_l": (0.01, 400),
    "lymphocytes_10e9_l": (0.01, 400),
}
"""Features of the record, with the range in which a value is believed."""

COLUMNS: tuple[str, ...] = (
    *(f"{IMAGE}.{key}" for key in FINDINGS),
    *(f"{TEXT}.{key}" for key in (*FINDINGS, *WORDS)),
    *(f"{RECORD}.{key}" for key in LIMITS),
)
SUBSETS: tuple[tuple[str, ...], ...] = tuple(
    subset for size in range(1, len(MODALITIES) + 1) for subset in combinations(MODALITIES, size)
)
"""Every set of modalities that an answer can rest on."""


def row_of(
    image: ImagingResult | None, report: StructuredReport | None, record: Mapping[str, float | None]
) -> dict[str, Any]:
    """Return the features of one visit by name; under `embedding` and `image_model` the film's embedding and the hash
    of the film model it is of (None without a film).

    record  values by the names of `LIMITS`; what is not believed is left out
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan)
    row |= {EMBEDDING: None, IMAGE_MODEL: None}
    if image is not None and image.rejection is None:
        row |= {f"{IMAGE}.{finding.key}": finding.score for finding in image.findings if finding.key in FINDINGS}
        if image.embedding is not None:
            row |= {EMBEDDING: image.embedding.values, IMAGE_MODEL: image.embedding.model.sha256}
    if report is not None and report.refusal is None:
        row |= {f"{TEXT}.{key}": _verdict(report.labels.get(key, 0)) for key in FINDINGS}
        row |= {f"{TEXT}.{word}": float(value) for word, value in _words(report).items()}
    for name, (low, high) in LIMITS.items():
        value = record.get(name)
        if value is not None and low <= value <= high:
            row[f"{RECORD}.{name}"] = float(value)
    return row


def embeddings_of(table: pd.DataFrame) -> Array:
    """Return the embeddings of a table as (rows, 1280), NaN where there is none.

    Raises EventsError when one has another length: it is of another network.
    """
    out = np.full((len(table), EMBEDDED), np.nan)
    if EMBEDDING not in table.columns:
        return out
    for number, values in enumerate(table[EMBEDDING]):
        if values is None or (isinstance(values, float) and np.isnan(values)):
            continue
        if len(values) != EMBEDDED:
            raise EventsError(f"row {number + 1}: an embedding of {len(values)} values; expected {EMBEDDED}")
        out[number] = values
    return out


@dataclass(frozen=True)
class Projection:
    """The directions in which embeddings of development differ most.

    mean  (1280,); axes  (components, 1280), orthonormal; scale  (components,), their spread in development
    """

    mean: Array
    axes: Array
    scale: Array

    @classmethod
    def fitted(cls, embeddings: Array, components: int) -> Projection:
        """Return the principal axes of those rows that are known."""
        known = embeddings[np.isfinite(embeddings).all(axis=1)]
        count = min(components, len(known) - 1)
        if count < 1:
            return cls(np.zeros(EMBEDDED), np.zeros((0, EMBEDDED)), np.ones(0))
        mean = known.mean(axis=0)
        _, spread, axes = np.linalg.svd(known - mean, full_matrices=False)
        return cls(mean, axes[:count], np.maximum(spread[:count] / np.sqrt(len(known)), 1e-6))

    def of(self, embeddings: Array) -> Array:
        """Return (rows, components), NaN where an embedding is not known."""
        return np.asarray((embeddings - self.mean) @ self.axes.T / self.scale, dtype=np.float64)


def matrix_of(table: pd.DataFrame, projection: Projection) -> pd.DataFrame:
    """Return the features of a table in their order; a column that is not there is NaN."""
    matrix = table.reindex(columns=list(COLUMNS)).astype(np.float64)
    components = projection.of(embeddings_of(table))
    names = [f"{IMAGE}.component{number}" for number in range(components.shape[1])]
    return pd.concat([matrix, pd.DataFrame(components, columns=names, index=matrix.index)], axis=1)


def with_only(matrix: pd.DataFrame, modalities: Iterable[str]) -> pd.DataFrame:
    """Return features as they are when only these modalities were there."""
    kept = set(modalities)
    out = matrix.copy()
    out[[name for name in matrix.columns if name.split(".")[0] not in kept]] = np.nan
    return out


def present(matrix: pd.DataFrame) -> list[tuple[str, ...]]:
    """Return for each row the modalities of which anything is known."""
    known = {modality: matrix.filter(regex=rf"^{modality}\.").notna().any(axis=1).to_numpy() for modality in MODALITIES}
    return [tuple(name for name in MODALITIES if known[name][row]) for row in range(len(matrix))]


def _verdict(label: int) -> float:
    return 0.5 if label < 0 else float(label)


def _words(report: StructuredReport) -> dict[str, bool]:
    said = [mention for mention in report.findings if mention.assertion == "present"]
    return {
        "bilateral": any(mention.laterality == "bilateral" for mention in said),
        "worse": any(mention.change in ("worse", "new") for mention in said),
        "severe": any("severe" in (mention.severity or "") for mention in said),
    }
