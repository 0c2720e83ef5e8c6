"""Trains the risk of in-hospital death and writes its model folder; the same data give the same model.

Two stages are trained on truncated copies of the stays, because a model sees at hour 6 what was known at hour 6. The
first is taught by the second, too: what 48 hours of a stay let expect says more of it than whether it ended in death.
Every figure of the card comes from cross-validation by stay, or from training on one set and testing on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from fusion.evaluation.deterioration import VIEWS, View
from fusion.evaluation.stays import Cohort
from fusion.risks.boosters import THREADS, Boosters
from fusion.risks.deterioration import Stage
from fusion.risks.deterioration_features import features_of
from fusion.risks.events import Array
from fusion.training.checkpoints import Checkpoints

Say = Callable[[str], None]
Ints = npt.NDArray[np.int64]

FOLDS = 5
WHOLE = View(48)


@dataclass(frozen=True)
class StageRecipe:
    """How one stage is trained: on copies of the stays as seen in these views, each with a weight.

    taught  share of the target that is the risk the last stage sees in the whole stay, by boosters that have not seen
            it (distillation: Hinton G, arXiv 1503.02531, 2015); the rest is the outcome
    """

    from_hours: float
    copies: dict[View, float]
    rounds: dict[str, int]
    taught: float = 0.0


_SHARED: dict[str, Any] = {"objective": "binary:logistic", "tree_method": "hist", "nthread": THREADS, "max_bin": 64}
LEARNERS: dict[str, dict[str, Any]] = {
    "narrow": {
        "max_depth": 4, "eta": 0.04, "subsample": 0.7, "colsample_bytree": 0.1, "min_child_weight": 5, "lambda": 5,
    },
    "shallow": {
        "max_depth": 3, "eta": 0.04, "subsample": 0.6, "colsample_bytree": 0.15, "min_child_weight": 5, "lambda": 5,
    },
}  # fmt: skip
"""Parameters of the boosters; one of each is averaged."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is trained."""

    stages: tuple[StageRecipe, ...] = (
        StageRecipe(0, {View(6): 1.0, View(12): 1.0, View(24): 0.7}, {"narrow": 300}, taught=0.7),
        StageRecipe(30, {View(48): 1.0, View(36): 0.3}, {"narrow": 320, "shallow": 400}),
    )
    seed: int = 7
    folds: int = FOLDS
    teachers: int = 3


@dataclass
class Copies:
    """Features of all stays of all cohorts in a view, made once."""

    cohorts: Sequence[Cohort]
    made: dict[View, pd.DataFrame] = field(default_factory=dict)

    def at(self, view: View) -> pd.DataFrame:
        if view not in self.made:
            parts = [features_of(view.of(cohort.stays)) for cohort in self.cohorts]
            self.made[view] = pd.concat(parts, ignore_index=True)
        return self.made[view]

    @property
    def outcome(self) -> Ints:
        return np.concatenate([cohort.outcome for cohort in self.cohorts])


def fit_stages(recipe: Recipe, copies: Copies, outcome: Ints, rows: Ints) -> list[list[xgboost.Booster]]:
    """Return the boosters of every stage, fitted on copies of these rows; no other row is looked at."""
    taught = any(stage.taught for stage in recipe.stages)
    told = _told(recipe, copies, outcome, rows) if taught else outcome.astype(np.float64)
    return [
        fit_stage(stage, copies, (1 - stage.taught) * outcome + stage.taught * told, rows, recipe.seed)
        for stage in recipe.stages
    ]


def fit_stage(
    recipe: StageRecipe, copies: Copies, target: Array | Ints, rows: Ints, seed: int
) -> list[xgboost.Booster]:
    """Return the boosters of a stage, fitted to targets (0 to 1) on copies of these rows."""
    table = pd.concat([copies.at(view).iloc[rows] for view in recipe.copies], ignore_index=True)
    labels = np.tile(target[rows], len(recipe.copies))
    weights = np.repeat(list(recipe.copies.values()), len(rows))
    data = xgboost.DMatrix(table, labels, weight=weights, nthread=THREADS)
    boosters = []
    for number, (name, rounds) in enumerate(recipe.rounds.items()):
        parameters = {**_SHARED, **LEARNERS[name], "seed": seed + number}
        boosters.append(xgboost.train(parameters, data, num_boost_round=rounds))
    return boosters


def _told(recipe: Recipe, copies: Copies, outcome: Ints, rows: Ints) -> Array:
    """Return the risk of each of the rows by the last stage, fitted on the others of them; other rows are NaN."""
    told = np.full(len(outcome), np.nan)
    folds = StratifiedKFold(recipe.teachers, shuffle=True, random_state=recipe.seed)
    for others, held in folds.split(rows, outcome[rows]):
        boosters = fit_stage(recipe.stages[-1], copies, outcome, rows[others], recipe.seed)
        told[rows[held]] = Boosters(boosters, 1.0, 0.0).probability(copies.at(WHOLE).iloc[rows[held]])
    return told


def stage_for(recipe: Recipe, hours: float) -> int:
    return max(number for number, stage in enumerate(recipe.stages) if number == 0 or stage.from_hours <= hours)


def out_of_fold(
    recipe: Recipe, copies: Copies, outcome: Ints, checkpoints: Checkpoints, say: Say, name: str = "fold"
) -> dict[View, Array]:
    """Return raw log-odds per view, each stay predicted by boosters that have not seen it; folds are kept by name."""
    raw = {view: np.zeros(len(outcome)) for view in VIEWS}
    folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    for number, (train, test) in enumerate(folds.split(np.zeros(len(outcome)), outcome)):
        found = checkpoints.part(f"{name}{number}", partial(_predicted, recipe, copies, outcome, train, test))
        for view in VIEWS:
            raw[view][test] = found[str(view)]
        say(f"{name} {number + 1} of {recipe.folds}")
    return raw


def _predicted(recipe: Recipe, copies: Copies, outcome: Ints, train: Ints, test: Ints) -> dict[str, Array]:
    fitted = [Boosters(boosters, 1.0, 0.0) for boosters in fit_stages(recipe, copies, outcome, train)]
    return {str(view): fitted[stage_for(recipe, view.hours)].log_odds(copies.at(view).iloc[test]) for view in VIEWS}


def calibrations(recipe: Recipe, raw: dict[View, Array], outcome: Ints) -> list[tuple[float, float]]:
    """Return slope and intercept per stage, fitted on out-of-fold log-odds of the views that it serves."""
    fitted = []
    for number in range(len(recipe.stages)):
        served = [view for view in VIEWS if stage_for(recipe, view.hours) == number]
        odds = np.concatenate([raw[view] for view in served])
        model = LogisticRegression(C=1e6).fit(odds[:, None], np.tile(outcome, len(served)))
        fitted.append((float(model.coef_[0, 0]), float(model.intercept_[0])))
    return fitted


def calibrated_out_of_fold(recipe: Recipe, raw: dict[View, Array], outcome: Ints, seed: int = 1) -> dict[View, Array]:
    """Return probabilities per view whose calibration, too, was fitted without the stay."""
    probability = {view: np.zeros(len(outcome)) for view in VIEWS}
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(np.zeros(len(outcome)), outcome):
        fitted = calibrations(recipe, {view: raw[view][train] for view in VIEWS}, outcome[train])
        for view in VIEWS:
            slope, intercept = fitted[stage_for(recipe, view.hours)]
            probability[view][test] = 1 / (1 + np.exp(-(slope * raw[view][test] + intercept)))
    return probability


def save_stages(stages: Sequence[Stage], folder: Path) -> list[dict[str, Any]]:
    """Write the boosters of each stage and return their calibration entries for the card."""
    entries = []
    for number, stage in enumerate(stages):
        names = [f"stage{number}_{index}.ubj" for index in range(stage.boosters.count)]
        stage.boosters.save(folder, names)
        entries.append(
            {
                "from_hours": stage.from_hours,
                "files": names,
                "slope": stage.boosters.slope,
                "intercept": stage.boosters.intercept,
            }
        )
    return entries
