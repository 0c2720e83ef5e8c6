"""Risk of in-hospital death of adult intensive care stays, from vitals and laboratory up to an hour of the stay.

Trained on PhysioNet/CinC 2012, which holds only stays of 48 hours or more; `model.yaml` says so. Two stages: one for
the first hours, one for stays that were watched longer. Outside its population the risk is not applicable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusion.risks.boosters import Boosters
from fusion.risks.card import ModelCard, read_card, verify_files, verify_output
from fusion.risks.deterioration_features import feature_columns, stacked
from fusion.risks.events import Array, Stays, stays_of

NAME = "deterioration"


@dataclass(frozen=True)
class Stage:
    """The boosters for stays watched for at least this many hours."""

    from_hours: float
    boosters: Boosters


@dataclass(frozen=True)
class Reasoned:
    """The risk of one stay: its features, and what each parameter adds to the log-odds."""

    probability: float
    features: Mapping[str, float]
    weights: Mapping[str, float]


class DeteriorationModel:
    """A verified model of in-hospital death."""

    def __init__(self, card: ModelCard, stages: tuple[Stage, ...]) -> None:
        self.card = card
        self.sha256 = card.weights_sha256
        self._stages = stages
        self._features = stages[0].boosters.features
        parameters = [name.split(".")[0] for name in self._features]
        self._parameters = list(dict.fromkeys(parameters))
        self._parameter_of = np.array([self._parameters.index(name) for name in parameters])

    @classmethod
    def load(cls, folder: Path) -> DeteriorationModel:
        """Return the model of a folder, verified.

        Raises ModelError without a card, ModelVerificationError when hashes or golden outputs differ.
        """
        card = read_card(folder)
        verify_files(folder, card)
        stages = tuple(
            Stage(float(stage["from_hours"]), Boosters.load(folder, stage)) for stage in card.calibration["stages"]
        )
        model = cls(card, stages)
        for number, golden in enumerate(card.golden):
            events = pd.DataFrame(golden.input["events"], columns=["record", "minute", "parameter", "value"])
            verify_output(card, number, float(model.predict(events)["probability"].iloc[0]))
        return model

    def predict(self, events: pd.DataFrame) -> pd.DataFrame:
        """Return record and probability of in-hospital death for each stay of a table of events.

        Raises EventsError when the table does not have the layout (record, minute, parameter, value).
        """
        stays = stays_of(events)
        return pd.DataFrame({"record": stays.records, "probability": self.probability(stays)})

    def probability(self, stays: Stays) -> Array:
        """Return the probability of each stay, from what was measured until its end."""
        columns = feature_columns(stays)
        table = stacked(columns, self._features)
        probability = np.full(len(table), np.nan)
        for stage, rows in self._staged(columns):
            probability[rows] = stage.boosters.probability(table[rows])
        return probability

    def reasons(self, stays: Stays) -> list[Reasoned]:
        """Return the probability of each stay with what each parameter adds to it."""
        columns = feature_columns(stays)
        table = stacked(columns, self._features)
        found: dict[int, Reasoned] = {}
        for stage, rows in self._staged(columns):
            log_odds, weights = stage.boosters.contributions(table[rows])
            for row, odds, parts in zip(rows.tolist(), log_odds, weights, strict=True):
                gathered = np.bincount(self._parameter_of, parts, minlength=len(self._parameters))
                found[row] = Reasoned(
                    probability=float(1 / (1 + np.exp(-odds))),
                    features=dict(zip(self._features, table[row].tolist(), strict=True)),
                    weights=dict(zip(self._parameters, gathered.tolist(), strict=True)),
                )
        return [found[row] for row in range(len(table))]

    def _staged(self, columns: Mapping[str, Array]) -> list[tuple[Stage, npt.NDArray[np.int64]]]:
        limits = np.array([stage.from_hours for stage in self._stages])
        chosen = np.maximum(np.searchsorted(limits, columns["Stay.hours"], side="right") - 1, 0)
        pairs = [(stage, np.flatnonzero(chosen == number)) for number, stage in enumerate(self._stages)]
        return [(stage, rows) for stage, rows in pairs if len(rows)]

    def describe(self) -> dict[str, Any]:
        return self.card.model_dump(mode="json")
