"""The card of the gate: what it takes for a frontal chest film, where it draws the line, and how often it was right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vision.card import CardOfWeights, FrozenModel, read_card_as


class Golden(FrozenModel):
    """What the model gives for `vision.prepare.golden_film`."""

    logits: tuple[float, ...]
    distance: float
    view: float


class GateCard(CardOfWeights):
    """The model.yaml of a gate.

    kinds            what a picture may be, in the order of the logits; `chest` is the one accepted
    accept_above     probability of `chest` below which a picture is refused
    refuse_beyond    distance from the chest films it learned from, above which a picture is refused
    view_above       probability from which PA or AP is said of a film whose header does not; None: never said
    acceptance, refusal, view   figures with counts, by source and by kind
    """

    kinds: tuple[str, ...]
    accept_above: float
    refuse_beyond: float
    view_above: float | None
    golden: Golden
    acceptance: dict[str, Any]
    refusal: dict[str, Any]
    view: dict[str, Any]


def read_card(folder: Path) -> GateCard:
    """Return the card of a gate's folder. Raises ModelVerificationError when it is missing or does not hold."""
    return read_card_as(GateCard, folder)
