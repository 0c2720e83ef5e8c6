"""Sentence-level labels from report-level codes: which sentence of a coded report says what its coder wrote down.

A class that was not coded is said by no sentence. A class that was coded is said by the sentences in
which the rules read it, whatever the doubt; where they read it nowhere, every sentence that says
anything might say it, and is left open (NaN). Equal sentences of several reports share the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from nlp.evaluation import OPENI_LABELS, CodedReport
from nlp.extractor import Extractor
from nlp.result import Mention
from nlp.training.splits import normalised_text
from nlp.vocabulary import Vocabulary

ABNORMAL = "abnormal"
LABELS: tuple[str, ...] = (*OPENI_LABELS.values(), ABNORMAL)
_SAID = ("present", "possible", "historical")
_IMPLIED = {
    "lung_nodule": ("calcified_nodule", "nodular_opacity"),
    "pleural_effusion": ("hydropneumothorax", "costophrenic_blunting"),
    "pneumothorax": ("tension_pneumothorax", "hydropneumothorax"),
    "cardiomegaly": ("enlarged_cardiac_silhouette", "borderline_heart_size"),
}


@dataclass(frozen=True, slots=True)
class LabelledReport:
    """A report in sentences; `labels` is (sentences, classes) of 0, 1 or NaN, `gold` the coder's (classes,)."""

    sentences: tuple[str, ...]
    labels: NDArray[np.float64]
    gold: NDArray[np.bool_]


def packaged_extractor(lexicon: Path) -> Extractor:
    """The extractor with the lexicon of a folder."""
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(lexicon.glob("*.yaml"))}
    return Extractor(Vocabulary.from_documents(documents))


def label_reports(extractor: Extractor, reports: Sequence[CodedReport]) -> list[LabelledReport]:
    """The sentences of each report with their labels; reports without words have none."""
    return [_labelled(extractor, report) for report in reports]


def distinct_sentences(reports: Sequence[LabelledReport]) -> tuple[list[str], NDArray[np.float64]]:
    """Every sentence once, with the mean of its known labels per class (NaN where none is known)."""
    numbers: dict[str, int] = {}
    texts: list[str] = []
    rows: list[list[NDArray[np.float64]]] = []
    for report in reports:
        for text, labels in zip(report.sentences, report.labels, strict=True):
            key = normalised_text(text)
            if key not in numbers:
                numbers[key] = len(texts)
                texts.append(text)
                rows.append([])
            rows[numbers[key]].append(labels)
    means = np.full((len(texts), len(LABELS)), np.nan)
    for number, found in enumerate(rows):
        known = np.array(found)
        counts = (~np.isnan(known)).sum(axis=0)
        means[number] = np.where(counts > 0, np.nansum(known, axis=0) / np.maximum(counts, 1), np.nan)
    return texts, means


def _labelled(extractor: Extractor, report: CodedReport) -> LabelledReport:
    spans = [(start, end) for _, start, end in extractor.sentences(report.text)]
    mentions = extractor.extract(report.text).findings
    said = [
        [mention for mention in mentions if start <= mention.start < end and mention.assertion in _SAID]
        for start, end in spans
    ]
    gold = np.array([*(report.labels[key] for key in LABELS[:-1]), not report.normal], dtype=bool)
    labels = np.zeros((len(spans), len(LABELS)))
    for column in np.flatnonzero(gold):
        saying = [_says(found, LABELS[column]) for found in said]
        labels[:, column] = saying if any(saying) else [np.nan if found else 0.0 for found in said]
    return LabelledReport(tuple(report.text[start:end] for start, end in spans), labels, gold)


def _says(mentions: Sequence[Mention], label: str) -> bool:
    if label == ABNORMAL:
        return bool(mentions)
    return any(mention.finding in (label, *_IMPLIED.get(label, ())) for mention in mentions)
