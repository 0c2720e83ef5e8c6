"""What more stays would give the risk of in-hospital death, and how it compares with a published recipe, same folds.

    python benchmarks/deterioration_learning.py --data DIR [--sizes 1000 2000 4000 6400]

DIR holds set_NAME.parquet and outcomes_NAME.csv. Figures are of predictions of stays in the five folds of the card that
were not trained on, first 48 hours, with intervals by resampling stays. The curve is of one of the two boosters of the
packaged model ("narrow"), on subsets of each training part. The published recipe (XGBoost on first, last, least,
greatest, mean, spread and count of each parameter on each day) is said to reach 0.880 and 0.560 on set c.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import precision_recall_curve, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from fusion.evaluation.deterioration import View
from fusion.evaluation.stays import Cohort, read_cohorts
from fusion.training.deterioration import FOLDS, Copies, Recipe, StageRecipe, fit_stage

FULL = View(48)
CURVE = StageRecipe(30, {FULL: 1.0}, {"narrow": 320})
PUBLISHED = {
    "objective": "binary:logistic", "tree_method": "hist", "nthread": 1, "max_bin": 64, "seed": 7, "max_depth": 4,
    "eta": 0.04, "subsample": 0.7, "colsample_bytree": 0.5, "min_child_weight": 5,
}  # fmt: skip
Array = Any
Fit = Callable[[Array, Array], Array]


def per_day(cohort: Cohort) -> pd.DataFrame:
    """The features of the published recipe."""
    stays = cohort.stays
    columns = dict(stays.descriptors)
    for name, (stay, minute, value) in stays.series.items():
        for day in (0, 1):
            there = (minute >= day * 1440) & (minute < (day + 1) * 1440 + day)
            grouped = pd.Series(value[there]).groupby(stay[there])
            found = grouped.agg(["first", "last", "min", "max", "mean", "std", "count"])
            found = found.reindex(range(len(stays.records)))
            found["count"] = found["count"].fillna(0)
            columns |= {f"{name}.{statistic}.{day}": found[statistic].to_numpy() for statistic in found}
    return pd.DataFrame(columns)


def both(outcome: Array, score: Array) -> tuple[float, float]:
    """AUROC and min(sensitivity, precision)."""
    precision, sensitivity, _ = precision_recall_curve(outcome, score)
    return float(roc_auc_score(outcome, score)), float(np.minimum(precision, sensitivity).max())


def figures(outcome: Array, score: Array, other: Array | None = None, resamples: int = 300) -> dict[str, Any]:
    """Both figures with 95 % intervals; with another score, of the paired differences."""
    random = np.random.default_rng(0)

    def of(rows: Array) -> Array:
        found = np.array(both(outcome[rows], score[rows]))
        return found if other is None else found - np.array(both(outcome[rows], other[rows]))

    drawn = [of(random.integers(0, len(outcome), len(outcome))) for _ in range(resamples)]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    names = ("auroc", "min_sensitivity_precision")
    return {
        name: [round(float(value), 4) for value in (at, lowest, highest)]
        for name, at, lowest, highest in zip(names, of(np.arange(len(outcome))), low, high, strict=True)
    }


def out_of_fold(outcome: Array, fit: Fit) -> Array:
    """Predictions of each stay by what was fitted without it; `fit` gets training and test rows."""
    score = np.zeros(len(outcome))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=Recipe().seed)
    for train, test in folds.split(score, outcome):
        score[test] = fit(np.random.default_rng(0).permutation(train), test)
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000, 6400])
    given = parser.parse_args()
    cohorts = read_cohorts(given.data)
    copies = Copies(cohorts)
    outcome = copies.outcome
    table = copies.at(FULL)

    def of_size(size: int) -> Fit:
        def fit(train: Array, test: Array) -> Array:
            (booster,) = fit_stage(CURVE, copies, outcome, train[:size], Recipe().seed)
            return booster.predict(xgboost.DMatrix(table.iloc[test], nthread=1), output_margin=True)

        return fit

    simple = pd.concat([per_day(cohort) for cohort in cohorts], ignore_index=True)

    def published(train: Array, test: Array) -> Array:
        data = xgboost.DMatrix(simple.iloc[train], outcome[train], nthread=1)
        booster = xgboost.train(PUBLISHED, data, num_boost_round=300)
        return booster.predict(xgboost.DMatrix(simple.iloc[test], nthread=1), output_margin=True)

    reference = out_of_fold(outcome, published)
    print(json.dumps({"published recipe": figures(outcome, reference)}), flush=True)
    for size in given.sizes:
        score = out_of_fold(outcome, of_size(size))
        print(json.dumps({"stays": size} | figures(outcome, score)), flush=True)
    print(json.dumps({"largest minus published, paired": figures(outcome, score, reference)}), flush=True)


if __name__ == "__main__":
    main()
