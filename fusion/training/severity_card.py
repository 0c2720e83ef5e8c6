"""Writes the model folder of severity: weights, projection, licence, and a card with every comparison that was made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import EvaluationError
from fusion.evaluation.metrics import RESAMPLES, Ints
from fusion.evaluation.severity import cases_of, measured_by_modalities
from fusion.risks.boosters import Boosters
from fusion.risks.card import Golden, ModelCard, hashes, write_card
from fusion.risks.severity import NAME, PROJECTION, SeverityModel, save_projection
from fusion.risks.severity_features import IMAGE_MODEL, LIMITS, RECORD, Projection, embeddings_of, matrix_of, present
from fusion.training.checkpoints import Checkpoints, fingerprint
from fusion.training.severity import Recipe, best_single, calibrations, cross_validated, fit, side_by_side
from fusion.training.severity_page import FIGURES, page_of

VERSION = "1.0.0"
DEVICES = "devices"
UNSEEN = "this model, films without a stated licence"
"""Patients that the weights have not seen, for want of a licence."""
Say = Callable[[str], None]

_LICENCE = """Weights trained on chest films, notes and records of the COVID-19 image data collection.

Source: Cohen JP, Morrison P, Dao L. COVID-19 Image Data Collection: Prospective Predictions Are the Future.
MELBA 2020. Only films whose licence is stated were used; most are CC BY-NC-SA.

Research and non-commercial use only; share alike, with this notice. Not a diagnosis; without warranty.
"""
_LIMITS = [
    "A collection of published cases: what was published, and what was measured in it, depends on the course.",
    "Few patients, fewer of them with a mild course; every interval is wide.",
    "For research. It has not been tested at any hospital.",
    "The film's score depends on the film model whose findings and embedding it was trained on.",
]


def train_severity(
    table: pd.DataFrame, out: Path, *, recipe: Recipe | None = None, resamples: int = RESAMPLES, say: Say = print
) -> ModelCard:
    """Measure and train on a cohort with its features, write the model folder, and return its card.

    table  one row per film: the columns of `cases_of`, `devices` (whether the film or note shows tubes or lines), and
           the features of `severity_features.row_of`

    It is switched off unless fusing beats the best single modality beyond the interval. Films without a stated licence
    enter the figures, not the weights.
    """
    chosen = recipe or Recipe()
    everyone = cases_of(table)
    variants = {
        "all patients": everyone,
        "any stated N is negative": cases_of(table, any_negative=True),
        "without tubes and lines": everyone[~everyone[DEVICES].astype(bool)].reset_index(drop=True),
        "films with a stated licence": everyone[everyone["license"].notna()].reset_index(drop=True),
    }
    metrics: dict[str, Any] = {}
    features = table.select_dtypes("number").to_numpy(np.float64)
    checkpoints = Checkpoints(out, fingerprint(chosen, features, everyone["severe"].to_numpy()))
    for name, cases in variants.items():
        outcome = cases["severe"].to_numpy(np.int64)
        if min(outcome.sum(), len(outcome) - outcome.sum()) < chosen.folds:
            metrics[name] = {"patients": len(outcome), "severe": int(outcome.sum()), "note": "too few to measure"}
            continue
        predicted = cross_validated(cases, outcome, chosen, checkpoints, name)
        metrics[name] = rounded(side_by_side(outcome, predicted, present(cases), resamples=resamples))
        say(f"{name}: {len(outcome)} patients measured")
    shipped = variants["films with a stated licence"]
    others = everyone[everyone["license"].isna()].reset_index(drop=True)
    card = _written(shipped, others, out, chosen, metrics, resamples, checkpoints)
    checkpoints.done()
    return card


def verdict(figures: dict[str, Any]) -> tuple[bool, str]:
    """Return whether fusing beats the best single modality beyond the interval, and the sentence that says so."""
    best = best_single(figures)
    gain = figures["fused_minus"][best]
    interval = f"{gain['value']:+.3f} (95 % interval {gain['low']:+.3f} to {gain['high']:+.3f})"
    if gain["low"] > 0:
        return True, f"fused minus {best}, AUROC: {interval}"
    return False, f"fusing does not beat {best} beyond the interval, AUROC {interval}; switched off"


def _written(
    cases: pd.DataFrame,
    others: pd.DataFrame,
    out: Path,
    recipe: Recipe,
    metrics: dict[str, Any],
    resamples: int,
    checkpoints: Checkpoints,
) -> ModelCard:
    outcome: Ints = cases["severe"].to_numpy(np.int64)
    projection = Projection.fitted(embeddings_of(cases), recipe.components)
    matrix = matrix_of(cases, projection)
    boosters = Boosters(
        [fit(matrix, outcome, recipe, dropout=True, seed=recipe.seed + number) for number in range(recipe.boosters)],
        slope=1.0,
        intercept=0.0,
    )
    subsets = calibrations(
        cross_validated(cases, outcome, recipe, checkpoints, "films with a stated licence").fused,
        present(matrix),
        outcome,
    )
    out.mkdir(parents=True, exist_ok=True)
    names = [f"booster{number}.ubj" for number in range(recipe.boosters)]
    boosters.save(out, names)
    save_projection(projection, out / PROJECTION)
    (out / "LICENSE").write_text(_LICENCE, "utf-8")
    enabled, reason = verdict(metrics["all patients"])
    fitted = {name: (entry["slope"], entry["intercept"]) for name, entry in subsets.items()}
    card = ModelCard(
        id=NAME,
        version=VERSION,
        title="Intensive care or intubation (viral pneumonia)",
        enabled=enabled,
        reason=None if enabled else reason,
        outcome="intensive care or intubation",
        population="adults with viral pneumonia, mostly COVID-19, as published cases",
        inputs=list(matrix.columns),
        sha256=hashes(out, [*names, PROJECTION]),
        golden=[],
        calibration={"files": names, "subsets": subsets},
        development={
            "patients": len(outcome),
            "severe": int(outcome.sum()),
            "prevalence": float(outcome.mean()),
            IMAGE_MODEL: _one_image_model(cases),
        },
        training_data=[
            {
                "name": "COVID-19 image data collection, films with a stated licence",
                "licence": "per film, mostly CC BY-NC-SA",
                "citation": "Cohen JP, MELBA 2020",
            }
        ],
        metrics=metrics,
        limits=[reason, *_LIMITS],
    )
    model = SeverityModel(card, boosters, projection, fitted)
    unseen = rounded(measured_by_modalities(model, others, resamples=resamples))
    golden = [
        Golden(input=given, output=round(float(model.probability(pd.DataFrame([given]))[0]), 6))
        for given in _invented()
    ]
    card = card.model_copy(update={"golden": golden, "metrics": {**metrics, UNSEEN: unseen}})
    write_card(out, card)
    (out / FIGURES).write_text(page_of(card), "utf-8")
    return card


def _one_image_model(cases: pd.DataFrame) -> str | None:
    """Return the hash of the film model that all films were read by; None without films."""
    found = sorted(set(cases[IMAGE_MODEL].dropna()))
    if len(found) > 1:
        raise EvaluationError("the films were read by more than one film model; read them all by one")
    return found[0] if found else None


def rounded(figures: Any) -> Any:
    """Return figures to four decimals, as a card shows them."""
    if isinstance(figures, dict):
        return {name: rounded(value) for name, value in figures.items()}
    return round(figures, 4) if isinstance(figures, float) else figures


def _invented() -> list[dict[str, Any]]:
    """Return two visits that nobody had: one of which everything but the embedding is known, one of an age only."""
    image = {"image.lung_opacity": 0.9, "image.consolidation": 0.6, "image.pleural_effusion": 0.2}
    text = {"text.lung_opacity": 1.0, "text.consolidation": 0.5, "text.pleural_effusion": 0.0, "text.bilateral": 1.0}
    record = dict(zip((f"{RECORD}.{name}" for name in LIMITS), (71.0, 1.0, 38.9, 84.0, 9.1, 7.7, 0.6), strict=True))
    return [{**image, **text, **record}, {f"{RECORD}.age": 34.0}]
