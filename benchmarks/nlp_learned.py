"""Whether a learned part beside the rules pays: rules, a model over rule features and words, and both.

    python benchmarks/nlp_learned.py --data DIR

Five-fold cross-validation on the development side of Open-i, grouped by text; one logistic
regression per class over the rules' mentions and verdicts and the words, one to three in a row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from nlp import Extractor, StructuredReport, Vocabulary
from nlp.evaluation import OPENI_LABELS, read_openi
from nlp.training.splits import part_of, text_key

LEXICON = Path(__file__).parents[1] / "configs" / "lexicon"
RULE_NAME, WORD = r"\S+", r"[a-zA-Z]+"
FEWEST_POSITIVES = 5
SURE = (0.9, 0.05)


def rule_features(report: StructuredReport) -> str:
    """What the rules said of a report, as words."""
    said = {f"{mention.finding}={mention.assertion}" for mention in report.findings}
    said |= {str(mention.rule) for mention in report.findings}
    said |= {f"label_{key}={verdict}" for key, verdict in report.labels.items() if verdict}
    return " ".join(sorted(said | {f"normal={report.normal}"}))


def out_of_fold(
    features: object, gold: NDArray[np.bool_], rules: NDArray[np.bool_], groups: list[str]
) -> NDArray[np.float64]:
    """Probabilities of every class, each report scored by models that have not seen its text."""
    scores = np.zeros(gold.shape)
    for fit, test in GroupKFold(5).split(features, groups=groups):
        for column in range(gold.shape[1]):
            if gold[fit, column].sum() < FEWEST_POSITIVES:
                scores[test, column] = rules[test, column]
                continue
            model = LogisticRegression(C=0.1, max_iter=300, solver="liblinear").fit(features[fit], gold[fit, column])
            scores[test, column] = model.predict_proba(features[test])[:, 1]
    return scores


def f1(gold: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return round(float(2 * (gold & said).sum() / (gold.sum() + said.sum())), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with reports.csv of Open-i")
    coded = [report for report in read_openi(parser.parse_args().data) if report.text]
    coded = [report for report in coded if part_of(report.text) == "development"]
    documents = {file.name: yaml.safe_load(file.read_text("utf-8")) for file in sorted(LEXICON.glob("*.yaml"))}
    extractor = Extractor(Vocabulary.from_documents(documents))
    read = [extractor.extract(report.text) for report in coded]
    keys = list(OPENI_LABELS.values())
    gold = np.array([[*(report.labels[key] for key in keys), report.normal] for report in coded], dtype=bool)
    rules = np.array([[*(one.labels[key] == 1 for key in keys), bool(one.normal)] for one in read], dtype=bool)
    by_rules = CountVectorizer(token_pattern=RULE_NAME, binary=True, min_df=3, lowercase=False)
    by_words = CountVectorizer(token_pattern=WORD, binary=True, min_df=3, ngram_range=(1, 3))
    said = by_rules.fit_transform([rule_features(one) for one in read])
    features = hstack([said * 2.0, by_words.fit_transform([report.text for report in coded])]).tocsr()
    scores = out_of_fold(features, gold, rules, [text_key(report.text) for report in coded])
    high, low = SURE
    ways = {
        "rules": rules,
        "learned": scores > 0.5,
        "rules unless the model is sure": np.where(scores > high, True, np.where(scores < low, False, rules)),
    }
    figures = {
        name: {"micro_f1": f1(gold[:, :-1], way[:, :-1]), "normal_f1": f1(gold[:, -1], way[:, -1])}
        for name, way in ways.items()
    }
    print(json.dumps({"reports": len(coded), **figures}, indent=2))


if __name__ == "__main__":
    main()
