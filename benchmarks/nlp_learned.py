"""Whether a learned part beside the rules pays: rules, the fine-tuned sentence encoder, and both.

    python benchmarks/nlp_learned.py --data DIR [--folds 3] [--epochs 3] [--keep DIR] [--validation]

DIR holds `reports.csv` of Open-i. Cross-validation on the development side, grouped by text: each
report is scored by a model that has not seen it. How sure the model must be to overrule the rules is
chosen there too; `--validation` then trains on the whole development side and scores the other once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from nlp import Extractor
from nlp.evaluation import CodedReport, read_openi
from nlp.training.encoder import LEXICON, SentenceClassifier, export, fit
from nlp.training.sentence_labels import (
    LABELS,
    LabelledReport,
    distinct_sentences,
    label_reports,
    packaged_extractor,
)
from nlp.training.splits import part_of, text_key

CUTS = np.arange(0.2, 0.85, 0.05)
SURE = [(high, low) for high in (0.8, 0.9, 0.95, 0.98) for low in (0.02, 0.05, 0.1, 0.2)]
Verdicts = NDArray[np.bool_]


def trained(reports: Sequence[LabelledReport], epochs: int, folder: Path) -> SentenceClassifier:
    """A model of these reports alone, exported and loaded as it would serve."""
    texts, targets = distinct_sentences(reports)
    network, tokenizer = fit(texts, targets, epochs=epochs, progress=_told)
    export(network, tokenizer, folder, {"reports": len(reports), "sentences": len(texts), "epochs": epochs})
    return SentenceClassifier(folder)


def _told(step: int, steps: int, loss: float) -> None:
    if step % 50 == 0 or step == steps:
        print(f"{step}/{steps} loss {loss:.4f}", file=sys.stderr)


def scores_of(model: SentenceClassifier, reports: Sequence[LabelledReport]) -> NDArray[np.float64]:
    """(reports, classes): the greatest probability of a report's sentences, 0 for a report without words."""
    rows = model.probabilities([text for report in reports for text in report.sentences])
    scores = np.zeros((len(reports), len(LABELS)))
    position = 0
    for number, report in enumerate(reports):
        if report.sentences:
            scores[number] = rows[position : position + len(report.sentences)].max(axis=0)
        position += len(report.sentences)
    return scores


def rule_verdicts(extractor: Extractor, coded: Sequence[CodedReport]) -> Verdicts:
    """(reports, classes) of what the rules say."""
    read = [extractor.extract(report.text) for report in coded]
    return np.array([[*(one.labels.get(key) == 1 for key in LABELS[:-1]), not one.normal] for one in read], dtype=bool)


def combined(rules: Verdicts, scores: NDArray[np.float64], sure: tuple[float, float]) -> Verdicts:
    """The rules, but where the model is sure of the contrary."""
    high, low = sure
    return np.where(scores > high, True, np.where(scores < low, False, rules)).astype(bool)


def f1(gold: Verdicts, said: Verdicts) -> float:
    return float(2 * (gold & said).sum() / max(1, gold.sum() + said.sum()))


def figures(gold: Verdicts, said: Verdicts) -> dict[str, float]:
    findings = slice(0, len(LABELS) - 1)
    return {
        "micro_f1": round(f1(gold[:, findings], said[:, findings]), 4),
        "normal_f1": round(f1(~gold[:, -1], ~said[:, -1]), 4),
        "abnormal_f1": round(f1(gold[:, -1], said[:, -1]), 4),
    }


def chosen(gold: Verdicts, rules: Verdicts, scores: NDArray[np.float64]) -> dict[str, Any]:
    """One cut for the model alone, and how sure it must be beside the rules: the best micro-F1 on these reports."""
    findings = slice(0, len(LABELS) - 1)
    cut = max(CUTS, key=lambda value: f1(gold[:, findings], scores[:, findings] > value))
    sure = max(SURE, key=lambda pair: f1(gold[:, findings], combined(rules, scores, pair)[:, findings]))
    return {"cut": round(float(cut), 2), "sure": sure}


def ways(gold: Verdicts, rules: Verdicts, scores: NDArray[np.float64], choice: dict[str, Any]) -> dict[str, Any]:
    """The table: rules, model, combination."""
    return {
        "rules": figures(gold, rules),
        "model": figures(gold, scores > choice["cut"]),
        "rules unless the model is sure": figures(gold, combined(rules, scores, choice["sure"])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with reports.csv of Open-i")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where to keep the model trained for --validation")
    parser.add_argument("--validation", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(2)
    extractor = packaged_extractor(LEXICON)
    coded = [report for report in read_openi(options.data) if report.text]
    development = [report for report in coded if part_of(report.text) == "development"]
    labelled = label_reports(extractor, development)
    gold, rules = np.array([report.gold for report in labelled]), rule_verdicts(extractor, development)
    scores = np.zeros(gold.shape)
    groups = [text_key(report.text) for report in development]
    started = time.monotonic()
    for learn, test in GroupKFold(options.folds).split(scores, groups=groups):
        with tempfile.TemporaryDirectory() as folder:
            model = trained([labelled[index] for index in learn], options.epochs, Path(folder))
            scores[test] = scores_of(model, [labelled[index] for index in test])
    choice = chosen(gold, rules, scores)
    table = ways(gold, rules, scores, choice)
    result: dict[str, Any] = {"development": {"reports": len(development), **choice, **table}}
    print(json.dumps(result), file=sys.stderr)
    if options.validation:
        with tempfile.TemporaryDirectory() as folder:
            model = trained(labelled, options.epochs, options.keep or Path(folder))
            held = [report for report in coded if part_of(report.text) == "validation"]
            unseen = label_reports(extractor, held)
            unseen_gold = np.array([report.gold for report in unseen])
            unseen_scores = scores_of(model, unseen)
        table = ways(unseen_gold, rule_verdicts(extractor, held), unseen_scores, choice)
        result["validation"] = {"reports": len(held), **table}
    result["minutes"] = round((time.monotonic() - started) / 60, 1)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
