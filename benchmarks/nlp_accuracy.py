"""Accuracy of the extractor: Open-i labels, NegEx, recommendations; by side of the split.

    python benchmarks/nlp_accuracy.py --data DIR

DIR holds `openi/reports.csv` and `negex/annotations.tsv`. The validation side is unseen text: its
reports were never read while writing rules.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from nlp import Extractor, Vocabulary
from nlp.evaluation import evaluate_negex, evaluate_openi, read_negex, read_openi
from nlp.recommendation_evaluation import evaluate_recommendations, read_annotations
from nlp.training.splits import part_of

ROOT = Path(__file__).parents[1]
LEXICON = ROOT / "configs" / "lexicon"
ANNOTATIONS = ROOT / "tests" / "nlp" / "data" / "openi_recommendations.csv"


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
        result[part] = {
            "openi": evaluate_openi(extractor, reports),
            "negex": evaluate_negex(extractor, [item for item in marked if part_of(item.text) == part]),
            "recommendations": evaluate_recommendations(extractor, reports, steps),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
