"""How well recommendations are read, against sentences annotated by hand.

The annotation holds report numbers, offsets and labels (docs/nlp-recommendation-guideline.md); the
texts come from the Open-i folder.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp.errors import EvaluationDataError
from nlp.evaluation import CodedReport
from nlp.extractor import Extractor
from nlp.result import Recommendation


@dataclass(frozen=True, slots=True)
class AnnotatedStep:
    """One row: a recommendation in a sentence, or (without modality) a sentence or report without."""

    uid: str
    start: int | None
    end: int | None
    modality: str
    body_part: str | None
    interval: tuple[int, int] | None
    conditional: bool


def read_annotations(file: Path) -> list[AnnotatedStep]:
    """The rows of the annotation; raises EvaluationDataError when the file is missing."""
    if not file.is_file():
        raise EvaluationDataError(f"{file.name} is not there")
    with file.open(encoding="utf-8", newline="") as lines:
        return [_step(row) for row in csv.DictReader(lines)]


def evaluate_recommendations(
    extractor: Extractor, reports: Sequence[CodedReport], steps: Sequence[AnnotatedStep]
) -> dict[str, Any]:
    """Precision, recall and F1 of recommendations; shares of right modality, interval, condition, body part."""
    texts = {report.uid: report.text for report in reports}
    rows = [step for step in steps if step.uid in texts]
    found = {uid: list(extractor.extract(texts[uid]).recommendations) for uid in dict.fromkeys(row.uid for row in rows)}
    true = missed = right_interval = right_condition = right_part = 0
    for row in rows:
        if not row.modality:
            continue
        match = _take(found[row.uid], row)
        if match is None:
            missed += 1
            continue
        true += 1
        interval = (match.interval_days_min, match.interval_days_max)
        right_interval += interval == (row.interval or (None, None))
        right_condition += match.conditional == row.conditional
        right_part += match.body_part == row.body_part
    false = sum(_is_annotated(item, uid, rows) for uid, items in found.items() for item in items)
    sentences = {(row.uid, row.start) for row in rows if row.start is not None}
    return {
        "reports": len(found),
        "sentences": len(sentences),
        "recommendations": true + missed,
        "precision": _share(true, true + false),
        "recall": _share(true, true + missed),
        "f1": _share(2 * true, 2 * true + false + missed),
        "interval_right": _share(right_interval, true),
        "condition_right": _share(right_condition, true),
        "body_part_right": _share(right_part, true),
    }


def _take(items: list[Recommendation], row: AnnotatedStep) -> Recommendation | None:
    """Removes and returns the first recommendation of the row's modality that begins in its sentence."""
    for item in items:
        if item.modality == row.modality and _inside(item, row):
            items.remove(item)
            return item
    return None


def _is_annotated(item: Recommendation, uid: str, rows: Sequence[AnnotatedStep]) -> bool:
    own = [row for row in rows if row.uid == uid]
    return any(row.start is None or _inside(item, row) for row in own)


def _inside(item: Recommendation, row: AnnotatedStep) -> bool:
    return row.start is not None and row.end is not None and row.start - 1 <= item.start < row.end


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _step(row: Mapping[str, str]) -> AnnotatedStep:
    low, high = row["interval_days_min"], row["interval_days_max"]
    return AnnotatedStep(
        uid=row["uid"],
        start=int(row["start"]) if row["start"] else None,
        end=int(row["end"]) if row["end"] else None,
        modality=row["modality"],
        body_part=row["body_part"] or None,
        interval=(int(low), int(high)) if low and high else None,
        conditional=row["conditional"] == "1",
    )
