"""The card of the gate: what it takes for a frontal chest film, where it draws the line, and how often it was right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vision.card import CARD, combined_sha256
from vision.errors import ModelVerificationError
from vision.prepare import Preparation


class Golden(BaseModel):
    """What the model gives for `vision.prepare.golden_film`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    logits: tuple[float, ...]
    distance: float
    view: float


class GateCard(BaseModel):
    """The model.yaml of a gate.

    kinds            what a picture may be, in the order of the logits; `chest` is the one accepted
    accept_above     probability of `chest` below which a picture is refused
    refuse_beyond    distance from the chest films it learned from, above which a picture is refused
    view_above       probability from which PA or AP is said of a film whose header does not; None: never said
    files            sha256 of each file of weights
    acceptance, refusal, view   figures with counts, by source and by kind
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str
    title: str
    licence: str
    input: dict[str, Any]
    kinds: tuple[str, ...]
    accept_above: float
    refuse_beyond: float
    view_above: float | None
    golden: Golden
    files: dict[str, str]
    training_data: tuple[dict[str, Any], ...]
    acceptance: dict[str, Any]
    refusal: dict[str, Any]
    view: dict[str, Any]
    limits: tuple[str, ...]
    printed_by: str

    @property
    def sha256(self) -> str:
        """Return one hash that stands for all files of weights."""
        return combined_sha256(self.files)

    @property
    def preparation(self) -> Preparation:
        return Preparation.from_card(self.input)


def read_card(folder: Path) -> GateCard:
    """Return the card of a gate's folder. Raises ModelVerificationError when it is missing or does not hold."""
    try:
        return GateCard.model_validate(yaml.safe_load((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ModelVerificationError(f"the card of the gate cannot be read ({type(error).__name__})") from None


def write_card(folder: Path, card: GateCard) -> None:
    """Write the card of a gate into its folder."""
    document = card.model_dump(mode="json")
    (folder / CARD).write_text(yaml.safe_dump(document, sort_keys=False, width=110), encoding="utf-8")
