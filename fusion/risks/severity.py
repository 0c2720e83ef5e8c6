"""Risk of intensive care or intubation of adults with viral pneumonia, from film, note and record, whichever there are.

Trained with modalities left out at random, and calibrated within each set of modalities. Its cohort is small: the card
says what fusing brought over the best single modality, and whether it is switched on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.errors import ModelVerificationError
from fusion.risks.boosters import Boosters
from fusion.risks.card import ModelCard, read_card, verify_files, verify_output
from fusion.risks.events import Array
from fusion.risks.severity_features import IMAGE_MODEL, RECORD, TEXT, Projection, matrix_of, present, with_only

NAME = "severity"
PROJECTION = "projection.npz"


class SeverityModel:
    """A verified model of severity.

    calibration  per set of modalities ("image+text"), slope and intercept of the log-odds
    """

    def __init__(
        self,
        card: ModelCard,
        boosters: Boosters,
        projection: Projection,
        calibration: Mapping[str, tuple[float, float]],
    ) -> None:
        self.card = card
        self.sha256 = card.weights_sha256
        self._boosters = boosters
        self._projection = projection
        self._calibration = dict(calibration)

    @classmethod
    def load(cls, folder: Path) -> SeverityModel:
        """Return the model of a folder, verified.

        Raises ModelError without a card, ModelVerificationError when hashes or golden outputs differ.
        """
        card = read_card(folder)
        verify_files(folder, card)
        fitted = {name: (float(e["slope"]), float(e["intercept"])) for name, e in card.calibration["subsets"].items()}
        boosters = Boosters.load(folder, {"files": card.calibration["files"], "slope": 1.0, "intercept": 0.0})
        model = cls(card, boosters, load_projection(folder / PROJECTION), fitted)
        for number, golden in enumerate(card.golden):
            verify_output(card, number, float(model.probability(pd.DataFrame([golden.input]))[0]))
        return model

    def predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return file and probability of each row of a table of features (`severity_features.row_of`, and `file`).

        A row of which nothing is known has no probability (NaN).
        """
        return pd.DataFrame({"file": table["file"].to_numpy(), "probability": self.probability(table)})

    def probability(self, table: pd.DataFrame) -> Array:
        """Return the probability of each row, calibrated for the modalities that it has.

        What another film model said than the one of development is left out, as if there were no film.
        """
        matrix = matrix_of(table, self._projection)
        if IMAGE_MODEL in table.columns:
            of_another = table[IMAGE_MODEL].notna() & (table[IMAGE_MODEL] != self.card.development.get(IMAGE_MODEL))
            without = with_only(matrix, (TEXT, RECORD)).to_numpy()
            kept = np.where(of_another.to_numpy(bool)[:, None], without, matrix.to_numpy())
            matrix = pd.DataFrame(kept, columns=matrix.columns)
        return calibrated(self._boosters.log_odds(matrix), present(matrix), self._calibration)


def subset_name(modalities: Sequence[str]) -> str:
    return "+".join(modalities)


def calibrated(
    log_odds: Array, modalities: Sequence[tuple[str, ...]], calibration: Mapping[str, tuple[float, float]]
) -> Array:
    """Return probabilities of raw log-odds, each row by the calibration of its modalities; NaN without any."""
    fitted = [calibration.get(subset_name(subset), (np.nan, np.nan)) for subset in modalities]
    slope, intercept = np.array(fitted, dtype=np.float64).reshape(-1, 2).T
    return np.asarray(1 / (1 + np.exp(-(slope * log_odds + intercept))), dtype=np.float64)


def save_projection(projection: Projection, file: Path) -> None:
    np.savez(file, mean=projection.mean, axes=projection.axes, scale=projection.scale)


def load_projection(file: Path) -> Projection:
    """Return a stored projection.

    Raises ModelVerificationError when the file is not one.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            parts: Any = {name: np.asarray(stored[name], dtype=np.float64) for name in ("mean", "axes", "scale")}
    except (OSError, ValueError, KeyError) as error:
        raise ModelVerificationError(f"{file.parent.name}: {file.name} is not a projection") from error
    return Projection(**parts)
