"""The card of the anatomy model: what it outlines, for whom, and how close its outlines came to those of readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import model_validator

from vision.card import CardOfWeights, FrozenModel, PopulationOfModel, read_card_as
from vision.errors import ModelVerificationError


class GoldenShares(FrozenModel):
    """What the model gives for `vision.prepare.golden_film(side)`: the mean share of each class in each of 4 x 4 cells.

    shares  one row per class, row-major
    """

    side: int
    shares: tuple[tuple[float, ...], ...]


class AnatomyCard(CardOfWeights):
    """The model.yaml of an anatomy model.

    folds       parts into which the films were split by patient
    members     networks in the ensemble; member k has not seen the patients of fold k
    population  whom it is for
    metrics     out of fold: Dice and error of the cardiothoracic ratio with 95 % intervals by resampling films
    transfer    the same of networks that were trained on one hospital, on the films of another
    """

    folds: int
    members: int
    population: PopulationOfModel
    golden: GoldenShares
    metrics: dict[str, dict[str, Any]]
    transfer: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _has_a_row_for_each_class(self) -> AnatomyCard:
        if {len(row) for row in self.golden.shares} != {16}:
            raise ValueError("the golden shares are those of 4 x 4 cells")
        return self


def read_card(folder: Path) -> AnatomyCard:
    """Return the card of a folder. Raises ModelVerificationError when it is missing or does not hold together."""
    return read_card_as(AnatomyCard, folder)


def is_anatomy(folder: Path) -> bool:
    """Say whether a folder holds an anatomy model, by its card."""
    try:
        read_card(folder)
    except ModelVerificationError:
        return False
    return True
