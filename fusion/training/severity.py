"""Trains the multimodal risk of severity, and measures it beside each modality alone on the same folds.

Repeated cross-validation by patient; one film per patient. Every figure comes from predictions of models that have not
seen the patient, their calibration included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from fusion.evaluation.metrics import (
    RESAMPLES,
    Ints,
    auroc,
    calibration_error,
    calibration_error_by_chance,
    difference,
    log_odds,
    measure,
)
from fusion.risks.boosters import THREADS
from fusion.risks.events import Array
from fusion.risks.severity import subset_name
from fusion.risks.severity_features import (
    MODALITIES,
    SUBSETS,
    Projection,
    embeddings_of,
    matrix_of,
    present,
    with_only,
)
from fusion.training.checkpoints import Checkpoints

FUSED = subset_name(MODALITIES)
FEWEST_TO_CALIBRATE = 5


def _parameters() -> dict[str, Any]:
    return {
        "objective": "binary:logistic", "tree_method": "hist", "nthread": THREADS, "max_depth": 2, "eta": 0.05,
        "subsample": 0.7, "colsample_bytree": 0.4, "min_child_weight": 1, "lambda": 5,
    }  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained and how it is measured."""

    components: int = 8
    rounds: int = 80
    boosters: int = 3
    repeats: int = 5
    folds: int = 5
    seed: int = 7
    parameters: Mapping[str, Any] = field(default_factory=_parameters)


@dataclass(frozen=True)
class CrossValidated:
    """Raw log-odds of patients by models that have not seen them, mean over repeats.

    fused   per set of modalities, of the one model trained with modalities left out
    single  per modality, of a model trained on nothing else
    """

    fused: dict[str, Array]
    single: dict[str, Array]


def fit(matrix: pd.DataFrame, outcome: Ints, recipe: Recipe, *, dropout: bool, seed: int) -> xgboost.Booster:
    """Return a booster; with dropout each patient counts once, shared over the sets of modalities that are there."""
    sets = SUBSETS if dropout else (MODALITIES,)
    copies = [with_only(matrix, subset) for subset in sets]
    weights = [np.array([set(subset) <= set(known) for known in present(matrix)], dtype=np.float64) for subset in sets]
    if not dropout:
        weights = [np.ones(len(matrix))]
    total = np.maximum(np.sum(weights, axis=0), 1)
    balance = np.where(outcome == 1, 0.5 / max(outcome.mean(), 1e-9), 0.5 / max(1 - outcome.mean(), 1e-9))
    weight = np.concatenate([part / total * balance for part in weights])
    rows = np.flatnonzero(weight)
    table = pd.concat(copies, ignore_index=True).iloc[rows]
    data = xgboost.DMatrix(
        table.to_numpy(np.float32),
        np.tile(outcome, len(sets))[rows],
        weight=weight[rows],
        feature_names=list(table.columns),
        nthread=THREADS,
    )
    return xgboost.train({**recipe.parameters, "seed": seed}, data, num_boost_round=recipe.rounds)


def cross_validated(
    table: pd.DataFrame, outcome: Ints, recipe: Recipe, checkpoints: Checkpoints, name: str
) -> CrossValidated:
    """Return what models say of patients they have not seen; repeats are kept under the name of the cases."""
    kept = [
        checkpoints.part(f"{name.replace(' ', '_')}_{repeat}", partial(_repeat, table, outcome, recipe, repeat))
        for repeat in range(recipe.repeats)
    ]
    mean = {key: np.mean([part[key] for part in kept], axis=0) for key in kept[0]}
    return CrossValidated(
        {subset_name(subset): mean[f"fused {subset_name(subset)}"] for subset in SUBSETS},
        {modality: mean[f"only {modality}"] for modality in MODALITIES},
    )


def _repeat(table: pd.DataFrame, outcome: Ints, recipe: Recipe, repeat: int) -> dict[str, Array]:
    """Return one round of cross-validation; the projection, too, is fitted without the patients it is applied to."""
    found = {f"fused {subset_name(subset)}": np.zeros(len(outcome)) for subset in SUBSETS}
    found |= {f"only {modality}": np.zeros(len(outcome)) for modality in MODALITIES}
    seed = recipe.seed + repeat
    folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=seed)
    for train, test in folds.split(np.zeros(len(outcome)), outcome):
        projection = Projection.fitted(embeddings_of(table.iloc[train]), recipe.components)
        seen, unseen = matrix_of(table.iloc[train], projection), matrix_of(table.iloc[test], projection)
        together = fit(seen, outcome[train], recipe, dropout=True, seed=seed)
        for subset in SUBSETS:
            found[f"fused {subset_name(subset)}"][test] = margin(together, with_only(unseen, subset))
        for modality in MODALITIES:
            alone = fit(with_only(seen, (modality,)), outcome[train], recipe, dropout=False, seed=seed)
            found[f"only {modality}"][test] = margin(alone, with_only(unseen, (modality,)))
    return found


def margin(booster: xgboost.Booster, matrix: pd.DataFrame) -> Array:
    data = xgboost.DMatrix(matrix.to_numpy(np.float32), feature_names=list(matrix.columns), nthread=THREADS)
    return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)


def calibrations(raw: Mapping[str, Array], known: Sequence[tuple[str, ...]], outcome: Ints) -> dict[str, Any]:
    """Return slope and intercept per set of modalities, fitted where all of them are there."""
    fitted = {}
    for subset in SUBSETS:
        rows = [number for number, modalities in enumerate(known) if set(subset) <= set(modalities)]
        rows = rows if len(set(outcome[rows])) == 2 else list(range(len(outcome)))
        name = subset_name(subset)
        slope, intercept = recalibrated(raw[name][rows], outcome[rows])
        fitted[name] = {
            "slope": slope,
            "intercept": intercept,
            "patients": len(rows),
            "severe": int(outcome[rows].sum()),
        }
    return fitted


def recalibrated(raw: Array, outcome: Ints) -> tuple[float, float]:
    """Return slope and intercept of a recalibration: a logistic regression on the log-odds with a penalty.

    Where there are few patients the slope is drawn towards 0, where everyone gets the frequency; it is never negative,
    so that a set of modalities that says nothing is no worse than that.
    """
    spread = float(raw.std()) or 1.0
    fitted = LogisticRegression(C=1.0).fit(raw[:, None] / spread, outcome)
    slope = float(fitted.coef_[0, 0]) / spread
    if slope > 0:
        return slope, float(fitted.intercept_[0])
    return 0.0, float(log_odds(outcome.mean(keepdims=True))[0])


def side_by_side(
    outcome: Ints, predicted: CrossValidated, known: Sequence[tuple[str, ...]], *, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Return AUROC of the fused and of each single model with 95 % intervals, their paired differences, calibration.

    known  the modalities that each patient has; a set of modalities is judged where all of them are there
    """
    fused = predicted.fused[FUSED]
    models = {"fused": fused, **{f"{name} only": values for name, values in predicted.single.items()}}
    probability = _cross_calibrated(fused, outcome)
    return {
        "patients": len(outcome),
        "severe": int(outcome.sum()),
        "auroc": {
            name: measure(outcome, values, metrics={"auroc": auroc}, resamples=resamples)["auroc"]
            for name, values in models.items()
        },
        "fused_minus": {
            name: difference(outcome, fused, values, resamples=resamples)
            for name, values in models.items()
            if name != "fused"
        },
        "fused_calibration": measure(
            outcome, probability, metrics={"calibration_error": calibration_error}, resamples=resamples
        )["calibration_error"],
        "fused_with_modalities_hidden": {
            name: measure(outcome, values, metrics={"auroc": auroc}, resamples=resamples)["auroc"]
            for name, values in predicted.fused.items()
            if name != FUSED
        },
        "calibrated_within_subset": _within_subsets(outcome, predicted.fused, known, resamples),
    }


def _within_subsets(
    outcome: Ints, fused: Mapping[str, Array], known: Sequence[tuple[str, ...]], resamples: int
) -> dict[str, Any]:
    """Return what the calibration of each set of modalities is worth, fitted and measured on different patients.

    Beside it stands what a perfect model would show with as many patients.
    """
    found: dict[str, Any] = {}
    for subset in SUBSETS:
        name = subset_name(subset)
        rows = np.array([number for number, names in enumerate(known) if set(subset) <= set(names)], dtype=np.int64)
        there = outcome[rows]
        if len(there) == 0 or min(there.sum(), len(there) - there.sum()) < FEWEST_TO_CALIBRATE:
            found[name] = {"patients": len(there), "severe": int(there.sum()), "note": "too few to measure"}
            continue
        probability = _cross_calibrated(fused[name][rows], there)
        error = measure(there, probability, metrics={"calibration_error": calibration_error}, resamples=resamples)
        found[name] = {
            "patients": len(there),
            "severe": int(there.sum()),
            "mean_probability": float(probability.mean()),
            "frequency": float(there.mean()),
            **error,
            "calibration_error_by_chance": calibration_error_by_chance(probability, draws=resamples),
        }
    return found


def best_single(figures: Mapping[str, Any]) -> str:
    """Return the name of the single-modality model with the highest AUROC."""
    singles = [str(name) for name in figures["auroc"] if name != "fused"]
    return max(singles, key=lambda name: float(figures["auroc"][name]["value"]))


def _cross_calibrated(raw: Array, outcome: Ints, folds: int = 5) -> Array:
    probability = np.zeros(len(outcome))
    splits = StratifiedKFold(folds, shuffle=True, random_state=1).split(np.zeros(len(outcome)), outcome)
    for train, test in splits:
        slope, intercept = recalibrated(raw[train], outcome[train])
        probability[test] = 1 / (1 + np.exp(-(slope * raw[test] + intercept)))
    return probability
