"""Risk of in-hospital death of adult intensive care stays, from vitals and laboratory up to an hour of the stay.

Trained on PhysioNet/CinC 2012, which holds only stays of 48 hours or more; `model.yaml` says so. Two stages: one for
the first hours, one for stays that were watched longer. Outside its population the risk is not applicable.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fusion.risks.boosters import Boosters
from fusion.risks.card import ModelCard, read_card, verify_files, verify_output
from fusion.risks.deterioration_features import features_of
from fusion.risks.events import Array, Stays, stays_of

NAME = "deterioration"


@dataclass(frozen=True)
class Stage:
    """The boosters for stays watched for at least this many hours."""

    from_hours: float
    boosters: Boosters


class DeteriorationModel:
    """A verified model of in-hospital death."""

    def __init__(self, card: ModelCard, stages: tuple[Stage, ...]) -> None:
        self.card = card
        self.sha256 = card.weights_sha256
        self._stages = stages
        parameters = [name.split(".")[0] for name in stages[0].boosters.features]
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
        features = features_of(stays)
        probability = np.full(len(features), np.nan)
        for stage, rows in self._staged(features):
            probability[rows] = stage.boosters.probability(features.iloc[rows])
        return probability

    def reasons(self, stays: Stays) -> tuple[pd.DataFrame, Array, pd.DataFrame]:
        """Return the features, the probability, and what each parameter (columns) adds to the log-odds of each stay."""
        features = features_of(stays)
        probability = np.full(len(features), np.nan)
        weights = np.zeros((len(features), len(self._parameters)))
        for stage, rows in self._staged(features):
            part = features.iloc[rows]
            probability[rows] = stage.boosters.probability(part)
            np.add.at(weights.T, self._parameter_of, stage.boosters.contributions(part).T)
        return features, probability, pd.DataFrame(weights, columns=self._parameters)

    def _staged(self, features: pd.DataFrame) -> list[tuple[Stage, npt.NDArray[np.int64]]]:
        hours = features["Stay.hours"].to_numpy()
        limits = np.array([stage.from_hours for stage in self._stages])
        chosen = np.maximum(np.searchsorted(limits, hours, side="right") - 1, 0)
        pairs = [(stage, np.flatnonzero(chosen == number)) for number, stage in enumerate(self._stages)]
        return [(stage, rows) for stage, rows in pairs if len(rows)]

    def describe(self) -> dict[str, Any]:
        return self.card.model_dump(mode="json")
