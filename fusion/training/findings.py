"""Fits the model that combines film and report per finding, on a site's paired table, and measures what combining adds.

Per finding and case a logistic regression with a weak penalty; a finding with too few patients of a class is not
fitted, and the card says so. Every figure is cross-validated by patient.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from fusion.errors import EvaluationError
from fusion.evaluation.metrics import RESAMPLES, Ints, auroc, calibration_error, difference, measure
from fusion.evaluation.operating_points import FEWEST
from fusion.risks.card import Golden, ModelCard, hashes, write_card
from fusion.risks.events import Array
from fusion.risks.paired_findings import (
    BOTH,
    COEFFICIENTS,
    IMAGE_ONLY,
    NAME,
    NOT_MENTIONED,
    REPORT_ONLY,
    PairedFindings,
    terms_of,
)

Say = Callable[[str], None]

VERSION = "1.0.0"
FOLDS = 5
_CASES: dict[str, tuple[bool, bool]] = {BOTH: (True, True), IMAGE_ONLY: (True, False), REPORT_ONLY: (False, True)}
_NEEDED = ("finding", "image_score", "report_assertion", "truth")
_PENALTY = 10.0


def read_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return a checked paired table: finding, image_score, report_assertion, truth, patient.

    report_assertion  present, possible, absent; anything else or nothing means not mentioned
    patient           each row its own where the column is missing

    Raises EvaluationError naming the column or the line that is wrong.
    """
    absent = [name for name in _NEEDED if name not in table.columns]
    if absent:
        raise EvaluationError(f"column {absent[0]!r} is missing; expected {', '.join(_NEEDED)}")
    score = pd.to_numeric(table["image_score"], errors="coerce")
    truth = pd.to_numeric(table["truth"], errors="coerce")
    bad = (~score.between(0, 1) | ~truth.isin((0, 1))).to_numpy(bool)
    if bad.any():
        raise EvaluationError(f"line {int(np.argmax(bad)) + 2}: image_score must be 0 to 1, and truth 0 or 1")
    return pd.DataFrame(
        {
            "finding": table["finding"].astype(str),
            "image_score": score.astype(float),
            "report_assertion": table["report_assertion"].fillna(NOT_MENTIONED).astype(str),
            "truth": truth.astype(np.int64),
            "patient": table["patient"] if "patient" in table.columns else np.arange(len(table)),
        }
    )


def train_findings(table: pd.DataFrame, out: Path, *, resamples: int = RESAMPLES, say: Say = print) -> ModelCard:
    """Fit every finding of a paired table (`read_pairs`), write the model folder, and return its card.

    Raises EvaluationError when the table is of another layout, or no finding has enough patients.
    """
    pairs = read_pairs(table)
    coefficients: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    tried: list[str] = []
    for finding, rows in pairs.groupby("finding", sort=True):
        counts = rows.groupby("truth")["patient"].nunique()
        positives, negatives = int(counts.get(1, 0)), int(counts.get(0, 0))
        if min(positives, negatives) < FEWEST:
            tried.append(f"{finding}: {positives} positive and {negatives} negative patients, not fitted")
            continue
        coefficients[str(finding)] = {case: _fitted(rows, *parts) for case, parts in _CASES.items()}
        metrics[str(finding)] = _measured(rows, resamples)
        say(f"{finding}: fitted on {len(rows)} pairs")
    if not coefficients:
        raise EvaluationError(f"no finding has {FEWEST} positive and {FEWEST} negative patients")
    return _written(out, pairs, coefficients, metrics, tried)


def _design(rows: pd.DataFrame, image: bool, report: bool) -> pd.DataFrame:
    scores = rows["image_score"] if image else [None] * len(rows)
    assertions = rows["report_assertion"] if report else [None] * len(rows)
    return pd.DataFrame([terms_of(score, said) for score, said in zip(scores, assertions, strict=True)])


def _fitted(rows: pd.DataFrame, image: bool, report: bool) -> dict[str, float]:
    design = _design(rows, image, report).drop(columns="intercept")
    model = LogisticRegression(C=_PENALTY, max_iter=500).fit(design, rows["truth"])
    return {
        "intercept": float(model.intercept_[0]),
        **dict(zip(design.columns, map(float, model.coef_[0]), strict=True)),
    }


def _measured(rows: pd.DataFrame, resamples: int) -> dict[str, Any]:
    """Return AUROC of film, report and both, the gain over the better one, and calibration, out of fold."""
    truth: Ints = rows["truth"].to_numpy(np.int64)
    patients = rows["patient"].to_numpy()
    odds: dict[str, Array] = {case: np.zeros(len(rows)) for case in _CASES}
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(truth, truth, patients):
        for case, parts in _CASES.items():
            weights = pd.Series(_fitted(rows.iloc[train], *parts))
            design = _design(rows.iloc[test], *parts)
            odds[case][test] = design.to_numpy() @ weights[list(design.columns)].to_numpy()
    probability = {case: 1 / (1 + np.exp(-values)) for case, values in odds.items()}
    area = {
        case: measure(truth, values, patients=patients, metrics={"auroc": auroc}, resamples=resamples)["auroc"]
        for case, values in probability.items()
    }
    best = max((IMAGE_ONLY, REPORT_ONLY), key=lambda case: area[case]["value"])
    gain = difference(truth, probability[BOTH], probability[best], patients=patients, resamples=resamples)
    error = measure(
        truth,
        probability[BOTH],
        patients=patients,
        metrics={"calibration_error": calibration_error},
        resamples=resamples,
    )
    return {"pairs": len(rows), "positives": int(truth.sum()), "auroc": area, f"both_minus_{best}": gain, **error}


def _written(
    out: Path, pairs: pd.DataFrame, coefficients: dict[str, Any], metrics: dict[str, Any], tried: list[str]
) -> ModelCard:
    out.mkdir(parents=True, exist_ok=True)
    (out / COEFFICIENTS).write_text(json.dumps(coefficients, indent=2), "utf-8")
    (out / "LICENSE").write_text("Fitted on this site's own pairs of film and report; theirs to license.\n", "utf-8")
    fitted = pairs[pairs["finding"].isin(coefficients)]
    card = ModelCard(
        id=NAME,
        version=VERSION,
        title="Finding from film and report",
        outcome="finding present",
        population="as in the paired table it was fitted on",
        inputs=["finding", "image_score", "report_assertion"],
        sha256=hashes(out, [COEFFICIENTS]),
        golden=[],
        calibration={},
        development={"pairs": len(fitted), "positives": int(fitted["truth"].sum())},
        training_data=[{"name": "paired table of the site", "licence": "of the site", "citation": "none"}],
        metrics=metrics,
        limits=["Holds for the film model and the extractor that gave the scores and assertions.", *tried],
    )
    model = PairedFindings(card, coefficients)
    first = next(iter(coefficients))
    inputs: list[dict[str, Any]] = [
        {"finding": first, "image_score": 0.7, "report_assertion": "absent"},
        {"finding": first, "image_score": None, "report_assertion": "present"},
    ]
    golden = [Golden(input=given, output=round(model.probability(**given), 6)) for given in inputs]
    card = card.model_copy(update={"golden": golden})
    write_card(out, card)
    return card
