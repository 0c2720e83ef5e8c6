"""Accuracy of the extractor: Open-i labels, NegEx, recommendations, false alarms; by side of the split.

    python benchmarks/nlp_accuracy.py --data DIR

DIR holds `openi/reports.csv` and `negex/annotations.tsv`. The validation side is unseen text: its
reports were never read while writing rules.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nlp import Extractor, Vocabulary
from nlp.evaluation import CodedReport, evaluate_negex, evaluate_openi, read_negex, read_openi
from nlp.recommendation_evaluation import evaluate_recommendations, read_annotations
from nlp.training.splits import part_of

ROOT = Path(__file__).parents[1]
LEXICON = ROOT / "configs" / "lexicon"
SIDE = re.compile(r"\b(?:left|right)\b", re.IGNORECASE)
OTHER = {"left": "right", "right": "left"}
ANNOTATIONS = ROOT / "tests" / "nlp" / "data" / "openi_recommendations.csv"


def swapped(text: str) -> str:
    """The text with left and right exchanged."""
    return SIDE.sub(lambda match: OTHER[match.group().lower()], text)


def seeded_sides(extractor: Extractor, reports: Sequence[CodedReport]) -> dict[str, int]:
    """Reports whose impression repeats a finding with its one side, and how many are caught once it is swapped."""
    seeded = caught = 0
    for report in reports:
        findings, heading, impression = report.text.partition("\nIMPRESSION:")
        read = extractor.extract(report.text)
        sides: dict[tuple[str, str], set[str | None]] = {}
        for mention in read.findings:
            if mention.assertion in ("present", "possible"):
                sides.setdefault((mention.finding, mention.section), set()).add(mention.laterality)
        shared = {
            key
            for key, section in sides
            if section == "findings" and sides[key, section] == sides.get((key, "impression")) in ({"left"}, {"right"})
        }
        if not shared or read.inconsistencies:
            continue
        seeded += 1
        found = extractor.extract(findings + heading + swapped(impression)).inconsistencies
        caught += any(item.type == "laterality" for item in found)
    return {"seeded": seeded, "caught": caught}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(LEXICON.glob("*.yaml"))}
    extractor = Extractor(Vocabulary.from_documents(documents))
    coded, marked = read_openi(folder / "openi"), read_negex(folder / "negex" / "annotations.tsv")
    steps = read_annotations(ANNOTATIONS)
    result: dict[str, Any] = {}
    for part in ("development", "validation"):
        reports = [report for report in coded if part_of(report.text) == part]
        alarms = sum(len(extractor.extract(report.text).inconsistencies) for report in reports)
        result[part] = {
            "openi": evaluate_openi(extractor, reports),
            "negex": evaluate_negex(extractor, [item for item in marked if part_of(item.text) == part]),
            "recommendations": evaluate_recommendations(extractor, reports, steps),
            "swapped_sides": seeded_sides(extractor, reports),
            "inconsistencies_per_500_reports": round(500 * alarms / len(reports), 2),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
