"""How well the extractor reads reports that people have coded: Open-i and NegEx.

Knows the layout of the two tables, not where they lie. Counts only label 1 as present, as the
coders did. Intervals come from resampling reports.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp.errors import EvaluationDataError
from nlp.extractor import Extractor

OPENI_LABELS: Mapping[str, str] = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Effusion": "pleural_effusion",
    "Infiltration": "infiltration",
    "Mass": "lung_mass",
    "Nodule": "lung_nodule",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Consolidation": "consolidation",
    "Edema": "pulmonary_edema",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Pleural_Thickening": "pleural_thickening",
}
"""Columns of the Open-i table and the finding keys they stand for (Hernia is never coded)."""

_RESAMPLES = 1000
_FEWEST_POSITIVES = 15
_NEGEX_COLUMNS = 5


@dataclass(frozen=True, slots=True)
class CodedReport:
    """One report of Open-i with what its coders wrote down."""

    uid: str
    text: str
    labels: Mapping[str, int]
    normal: bool


@dataclass(frozen=True, slots=True)
class MarkedSentence:
    """One sentence of NegEx with the offsets of its concept and whether it is negated."""

    text: str
    start: int
    end: int
    negated: bool


def read_openi(folder: Path) -> list[CodedReport]:
    """The reports of `reports.csv`; raises EvaluationDataError when it is not there or not whole."""
    file = folder / "reports.csv"
    if not file.is_file():
        raise EvaluationDataError(f"{file.name} is not in the folder")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    missing = {"uid", "findings", "impression", "normal", *OPENI_LABELS} - set(rows[0] if rows else ())
    if missing:
        raise EvaluationDataError(f"{file.name} lacks the columns {', '.join(sorted(missing))}")
    return [
        CodedReport(
            row["uid"],
            report_text(row["findings"], row["impression"]),
            {key: int(row[column]) for column, key in OPENI_LABELS.items()},
            row["normal"] == "1",
        )
        for row in rows
    ]


def evaluate_folder(extractor: Extractor, folder: Path) -> dict[str, Any]:
    """Figures of whatever lies in a folder: Open-i (`reports.csv`) and NegEx (`annotations.tsv`).

    Both are looked for in the folder itself and one level below, as the shared data has them.
    Raises EvaluationDataError when neither is there.
    """
    figures: dict[str, Any] = {}
    openi = _file(folder, "reports.csv")
    if openi is not None:
        figures["openi"] = evaluate_openi(extractor, read_openi(openi.parent))
    negex = _file(folder, "annotations.tsv")
    if negex is not None:
        figures["negex"] = evaluate_negex(extractor, read_negex(negex))
    if not figures:
        raise EvaluationDataError("neither reports.csv nor annotations.tsv is in the folder")
    return figures


def _file(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, *sorted(folder.glob(f"*/{name}"))) if file.is_file()), None)


def report_text(findings: str, impression: str) -> str:
    """Findings and impression as one text with headings."""
    parts = [("FINDINGS", findings.strip()), ("IMPRESSION", impression.strip())]
    return "\n".join(f"{title}: {body}" for title, body in parts if body)


def evaluate_openi(extractor: Extractor, reports: Sequence[CodedReport], *, seed: int = 0) -> dict[str, Any]:
    """Micro and macro F1 with 95 % intervals, figures per class, and F1 of normal reports."""
    results = [extractor.extract(report.text) for report in reports]
    keys = list(OPENI_LABELS.values())
    gold = np.array([[report.labels[key] for key in keys] for report in reports], dtype=bool)
    said = np.array([[result.labels.get(key, 0) == 1 for key in keys] for result in results], dtype=bool)
    gold_normal = np.array([report.normal for report in reports], dtype=bool)
    said_normal = np.array([bool(result.normal) for result in results], dtype=bool)
    return score_labels(keys, gold, said, gold_normal, said_normal, seed=seed)


def score_labels(
    keys: Sequence[str],
    gold: NDArray[np.bool_],
    said: NDArray[np.bool_],
    gold_normal: NDArray[np.bool_],
    said_normal: NDArray[np.bool_],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures from reports x classes arrays; shapes (n, len(keys)) and (n,)."""
    frequent = gold.sum(axis=0) >= _FEWEST_POSITIVES
    draws = np.random.default_rng(seed).integers(0, len(gold), (_RESAMPLES, len(gold)))

    def interval(values: list[float]) -> list[float]:
        low, high = np.quantile(np.array(values), [0.025, 0.975])
        return [round(float(low), 4), round(float(high), 4)]

    def macro(rows: Any) -> float:
        counts = _counts(gold[rows], said[rows], axis=0)
        return float(np.mean(_f1(*counts)[frequent])) if frequent.any() else float("nan")

    per_class = {}
    for index, key in enumerate(keys):
        per_class[key] = _figures(gold[:, index], said[:, index])
    every = slice(None)
    return {
        "reports": len(gold),
        "micro": _figures(gold.ravel(), said.ravel())
        | {"f1_interval": interval([float(_f1(*_counts(gold[rows], said[rows]))) for rows in draws])},
        "macro_f1": round(macro(every), 4),
        "macro_f1_interval": interval([macro(rows) for rows in draws]),
        "macro_classes": [key for key, counted in zip(keys, frequent, strict=True) if counted],
        "normal": _figures(gold_normal, said_normal)
        | {"f1_interval": interval([float(_f1(*_counts(gold_normal[rows], said_normal[rows]))) for rows in draws])},
        "abnormal": _figures(~gold_normal, ~said_normal),
        "classes": per_class,
    }


def read_negex(file: Path) -> list[MarkedSentence]:
    """The sentences of NegEx (number, concept, sentence, negation, temporality, experiencer).

    Raises EvaluationDataError when the file is missing; sentences without their concept are left out.
    """
    if not file.is_file():
        raise EvaluationDataError(f"{file.name} is not in the folder")
    sentences = []
    with file.open(encoding="utf-8", errors="replace", newline="") as lines:
        for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            if len(row) < _NEGEX_COLUMNS:
                continue
            concept, text, verdict = row[2], row[3], row[4]
            start = text.casefold().find(concept.casefold().strip())
            upper = text.find(concept.upper().strip())
            if upper >= 0 or start >= 0:
                start = upper if upper >= 0 else start
                sentences.append(MarkedSentence(text, start, start + len(concept.strip()), verdict == "Negated"))
    return sentences


def evaluate_negex(extractor: Extractor, sentences: Sequence[MarkedSentence], *, seed: int = 0) -> dict[str, Any]:
    """Figures of `negated` with the 95 % interval of its F1."""
    gold = np.array([sentence.negated for sentence in sentences], dtype=bool)
    said = np.array(
        [extractor.assertion_of(item.text, item.start, item.end) == "absent" for item in sentences], dtype=bool
    )
    draws = np.random.default_rng(seed).integers(0, len(gold), (_RESAMPLES, len(gold)))
    scores = [float(_f1(*_counts(gold[rows], said[rows]))) for rows in draws]
    low, high = np.quantile(np.array(scores), [0.025, 0.975])
    figures = {"f1_interval": [round(float(low), 4), round(float(high), 4)]}
    return {"sentences": len(gold), "negated": _figures(gold, said) | figures}


def _counts(gold: NDArray[np.bool_], said: NDArray[np.bool_], axis: int | None = None) -> tuple[Any, Any, Any]:
    return (gold & said).sum(axis=axis), (~gold & said).sum(axis=axis), (gold & ~said).sum(axis=axis)


def _f1(true: Any, false: Any, missed: Any) -> Any:
    total = 2 * true + false + missed
    return np.divide(2 * true, total, out=np.zeros_like(total, dtype=float), where=np.asarray(total) > 0)


def _figures(gold: NDArray[np.bool_], said: NDArray[np.bool_]) -> dict[str, Any]:
    true, false, missed = (int(count) for count in _counts(gold, said))
    return {
        "positives": true + missed,
        "precision": round(true / (true + false), 4) if true + false else None,
        "recall": round(true / (true + missed), 4) if true + missed else None,
        "f1": round(float(_f1(np.array(true), np.array(false), np.array(missed))), 4),
        "false_positives": false,
        "missed": missed,
    }
