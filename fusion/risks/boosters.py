"""Averaged gradient-boosted trees with one logistic calibration, as stored in a model folder.

Knows features by name and order only, not what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xgboost

from fusion.errors import ModelVerificationError
from fusion.risks.events import Array

THREADS = 1
"""One row at order time, small tables in training: more threads cost more than they give."""


Features = pd.DataFrame | npt.NDArray[np.float32]


class Boosters:
    """Boosters whose mean log-odds, scaled and shifted, is the log-odds of the outcome."""

    def __init__(self, boosters: Sequence[xgboost.Booster], slope: float, intercept: float) -> None:
        self._boosters = boosters
        self.features: list[str] = list(boosters[0].feature_names or ())
        self.slope, self.intercept = slope, intercept

    @classmethod
    def load(cls, folder: Path, calibration: Mapping[str, Any]) -> Boosters:
        """Return the boosters that a card's calibration entry names: files, slope, intercept."""
        boosters = []
        for name in calibration["files"]:
            booster = xgboost.Booster({"nthread": THREADS})
            try:
                booster.load_model(folder / name)
            except xgboost.core.XGBoostError as error:
                raise ModelVerificationError(f"{folder.name}: {name} is not a model") from error
            boosters.append(booster)
        return cls(boosters, float(calibration["slope"]), float(calibration["intercept"]))

    @property
    def count(self) -> int:
        return len(self._boosters)

    def save(self, folder: Path, names: Sequence[str]) -> None:
        """Write one file for each booster."""
        for booster, name in zip(self._boosters, names, strict=True):
            booster.save_model(folder / name)

    def log_odds(self, features: Features) -> Array:
        """Return the calibrated log-odds of each row.

        features  a table with the columns of `features`, or (rows, features) in their order
        """
        table = self._table(features)
        raw = np.mean(
            [booster.predict(table, output_margin=True, validate_features=False) for booster in self._boosters], axis=0
        )
        return np.asarray(self.slope * raw + self.intercept, dtype=np.float64)

    def probability(self, features: Features) -> Array:
        return np.asarray(1 / (1 + np.exp(-self.log_odds(features))), dtype=np.float64)

    def contributions(self, features: Features) -> tuple[Array, Array]:
        """Return the calibrated log-odds of each row, and what each feature adds to them (Saabas), (rows, features)."""
        table = self._table(features)
        parts = [
            booster.predict(table, pred_contribs=True, approx_contribs=True, validate_features=False)
            for booster in self._boosters
        ]
        raw = np.asarray(np.mean(parts, axis=0), dtype=np.float64)
        return self.slope * raw.sum(axis=1) + self.intercept, self.slope * raw[:, :-1]

    def _table(self, features: Features) -> xgboost.DMatrix:
        values = features[self.features].to_numpy() if isinstance(features, pd.DataFrame) else features
        return xgboost.DMatrix(np.asarray(values, dtype=np.float32), nthread=THREADS)
