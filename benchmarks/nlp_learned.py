"""Whether a learned part beside the rules pays: rules, the fine-tuned sentence encoder, and both.

    python benchmarks/nlp_learned.py --data DIR [--folds 3] [--epochs 3] [--work DIR] [--validation]

DIR holds `reports.csv` of Open-i. Cross-validation on the development side, grouped by text: each
report is scored by a model that has not seen it. How sure the model must be to overrule the rules is
chosen there too; `--validation` then trains on the whole development side and scores the other once.
`--work` keeps the model's scores of each fold and the last model: a run that was cut short goes on
where it stopped, and one that ended compares the rules of today with the same scores.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
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
SURE = [(high, low) for high in (0.8, 0.9, 0.95, 0.98) for low in (0.01, 0.02, 0.05, 0.1, 0.2)]
RESAMPLES = 1000
COSTED = 500
Verdicts = NDArray[np.bool_]
Scores = NDArray[np.float64]


def trained(reports: Sequence[LabelledReport], epochs: int, folder: Path, threads: int) -> SentenceClassifier:
    """A model of these reports alone, exported and loaded as it would serve."""
    texts, targets = distinct_sentences(reports)
    network, tokenizer = fit(texts, targets, epochs=epochs, progress=_told)
    export(network, tokenizer, folder, {"reports": len(reports), "sentences": len(texts), "epochs": epochs})
    return SentenceClassifier(folder, threads)


def _told(step: int, steps: int, loss: float) -> None:
    if step % 50 == 0 or step == steps:
        print(f"{step}/{steps} loss {loss:.4f}", file=sys.stderr)


def scores_of(model: SentenceClassifier, reports: Sequence[LabelledReport]) -> Scores:
    """(reports, classes): the greatest probability of a report's sentences, 0 for a report without words."""
    rows = model.probabilities([text for report in reports for text in report.sentences])
    scores = np.zeros((len(reports), len(LABELS)))
    position = 0
    for number, report in enumerate(reports):
        if report.sentences:
            scores[number] = rows[position : position + len(report.sentences)].max(axis=0)
        position += len(report.sentences)
    return scores


def kept(file: Path, reports: Sequence[CodedReport], made: Callable[[], Scores]) -> Scores:
    """The scores that a file keeps of exactly these reports, or else those made now and kept there."""
    names = np.array([report.uid for report in reports])
    if file.is_file():
        with np.load(file) as saved:
            if np.array_equal(saved["reports"], names):
                return np.asarray(saved["scores"], dtype=np.float64)
    scores = made()
    np.savez(file, reports=names, scores=scores)
    return scores


def rule_verdicts(extractor: Extractor, coded: Sequence[CodedReport]) -> tuple[Verdicts, Verdicts]:
    """(reports, classes) of what the rules say, and of where they are in doubt (label -1)."""
    read = [extractor.extract(report.text) for report in coded]
    said = [[*(one.labels.get(key) == 1 for key in LABELS[:-1]), not one.normal] for one in read]
    open_ones = [[*(one.labels.get(key) == -1 for key in LABELS[:-1]), False] for one in read]
    return np.array(said, dtype=bool), np.array(open_ones, dtype=bool)


def combined(rules: Verdicts, scores: Scores, sure: tuple[float, float]) -> Verdicts:
    """The rules, but where the model is sure of the contrary."""
    high, low = sure
    return np.where(scores > high, True, np.where(scores < low, False, rules)).astype(bool)


def f1(gold: Verdicts, said: Verdicts) -> float:
    return float(2 * (gold & said).sum() / max(1, gold.sum() + said.sum()))


def figures(gold: Verdicts, said: Verdicts, rules: Verdicts) -> dict[str, Any]:
    """F1 with 95 % intervals from resampling reports, and the interval of what is won over the rules."""
    findings = slice(0, len(LABELS) - 1)
    draws = np.random.default_rng(0).integers(0, len(gold), (RESAMPLES, len(gold)))
    rows = {
        "micro_f1": lambda g, s: f1(g[:, findings], s[:, findings]),
        "normal_f1": lambda g, s: f1(~g[:, -1], ~s[:, -1]),
        "abnormal_f1": lambda g, s: f1(g[:, -1], s[:, -1]),
    }
    result: dict[str, Any] = {}
    for name, value in rows.items():
        sampled = np.array([value(gold[draw], said[draw]) for draw in draws])
        won = sampled - np.array([value(gold[draw], rules[draw]) for draw in draws])
        result[name] = round(value(gold, said), 4)
        result[f"{name}_interval"] = np.quantile(sampled, [0.025, 0.975]).round(4).tolist()
        result[f"{name}_over_rules_interval"] = np.quantile(won, [0.025, 0.975]).round(4).tolist()
    return result


def chosen(gold: Verdicts, rules: Verdicts, scores: Scores) -> dict[str, Any]:
    """One cut for the model alone, and how sure it must be beside the rules: the best micro-F1 on these reports."""
    findings = slice(0, len(LABELS) - 1)
    cut = max(CUTS, key=lambda value: f1(gold[:, findings], scores[:, findings] > value))
    sure = max(SURE, key=lambda pair: f1(gold[:, findings], combined(rules, scores, pair)[:, findings]))
    return {"cut": round(float(cut), 2), "sure": sure}


def ways(
    gold: Verdicts, rules: tuple[Verdicts, Verdicts], scores: Scores, choice: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """The table: rules, model, and two ways to join them."""
    said, in_doubt = rules
    model = scores > choice["cut"]
    return {
        "rules": figures(gold, said, said),
        "model": figures(gold, model, said),
        "rules unless the model is sure": figures(gold, combined(said, scores, choice["sure"]), said),
        "rules, the model where they are in doubt": figures(gold, np.where(in_doubt, model, said), said),
    }


def cost(folder: Path, reports: Sequence[LabelledReport], threads: int) -> dict[str, Any]:
    """Size of the exported model, and reports per processor second of it alone, each equal sentence read once."""
    model = SentenceClassifier(folder, threads)
    sample = reports[:COSTED]
    scores_of(model, sample[:20])
    started = time.process_time()
    scores_of(model, sample)
    seconds = time.process_time() - started
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {"mib": round(size / 2**20, 1), "reports_per_second": round(len(sample) / seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with reports.csv of Open-i")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, help="where the scores of each fold and the last model are kept")
    parser.add_argument("--validation", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        print(json.dumps(comparison(options, work), indent=2))


def comparison(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """The tables of both sides, with the scores in the folder `work` or made now."""
    torch.set_num_threads(options.threads)
    extractor = packaged_extractor(LEXICON)
    coded = [report for report in read_openi(options.data) if report.text]
    development = [report for report in coded if part_of(report.text) == "development"]
    labelled = label_reports(extractor, development)
    gold, rules = np.array([report.gold for report in labelled]), rule_verdicts(extractor, development)
    scores = np.zeros(gold.shape)
    groups = [text_key(report.text) for report in development]
    started = time.monotonic()

    def learnt(learn: Sequence[LabelledReport], test: Sequence[LabelledReport], model: str) -> Scores:
        return scores_of(trained(learn, options.epochs, work / model, options.threads), test)

    for fold, (learn, test) in enumerate(GroupKFold(options.folds).split(scores, groups=groups)):
        parts = [[labelled[index] for index in side] for side in (learn, test)]
        file = work / f"fold-{fold}-of-{options.folds}-epochs-{options.epochs}.npz"
        tested = [development[index] for index in test]
        scores[test] = kept(file, tested, lambda parts=parts: learnt(*parts, "model"))
    choice = chosen(gold, rules[0], scores)
    result: dict[str, Any] = {
        "development": {"reports": len(development), **choice, **ways(gold, rules, scores, choice)}
    }
    if options.validation:
        held = [report for report in coded if part_of(report.text) == "validation"]
        unseen = label_reports(extractor, held)
        unseen_gold = np.array([report.gold for report in unseen])
        file = work / f"validation-epochs-{options.epochs}.npz"
        unseen_scores = kept(file, held, lambda: learnt(labelled, unseen, "model"))
        table = ways(unseen_gold, rule_verdicts(extractor, held), unseen_scores, choice)
        result["validation"] = {"reports": len(held), **table}
        if (work / "model").is_dir():
            result["cost"] = cost(work / "model", unseen, options.threads)
    return result | {"minutes": round((time.monotonic() - started) / 60, 1)}


if __name__ == "__main__":
    main()
