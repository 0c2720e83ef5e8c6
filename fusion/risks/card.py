"""Model folders: what a card says, and whether the weights are the ones it speaks of.

A model folder holds weights, LICENSE and `model.yaml`. A model whose files do not have the hashes of its card, or which
does not reproduce the golden outputs of its card, is not served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fusion.errors import ModelError, ModelVerificationError

CARD = "model.yaml"
TOLERANCE = 0.02


class Golden(BaseModel):
    """An invented input with the output that the model gave when it was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: dict[str, Any]
    output: float


class ModelCard(BaseModel):
    """`model.yaml` of a fusion model; `enabled` false ships it switched off, `reason` says why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: str
    title: str
    enabled: bool = True
    reason: str | None = None
    outcome: str
    population: str
    inputs: list[str]
    sha256: dict[str, str]
    golden: list[Golden]
    calibration: dict[str, Any]
    development: dict[str, Any]
    training_data: list[dict[str, str]]
    metrics: dict[str, Any]
    subgroups: dict[str, Any] = {}
    limits: list[str]
    thresholds: dict[str, Any] = {}

    @property
    def weights_sha256(self) -> str:
        """Return one hash that stands for all files of the model."""
        return hashlib.sha256("".join(self.sha256[name] for name in sorted(self.sha256)).encode()).hexdigest()


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder.

    Raises ModelError when there is none, or it is not a card.
    """
    try:
        return ModelCard.model_validate(yaml.safe_load((folder / CARD).read_text("utf-8")))
    except (OSError, yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        raise ModelError(f"{folder.name}: no readable {CARD} ({type(error).__name__})") from error


def write_card(folder: Path, card: ModelCard) -> None:
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    (folder / CARD).write_text(text, "utf-8")


def hashes(folder: Path, names: Mapping[str, Any] | list[str]) -> dict[str, str]:
    """Return the sha256 of files of a folder by name."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def verify_files(folder: Path, card: ModelCard) -> None:
    """Raise ModelVerificationError when a file of the model is absent or is not the one of the card."""
    for name, expected in card.sha256.items():
        if not (folder / name).is_file():
            raise ModelVerificationError(f"{card.id}: file {name} is missing")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            raise ModelVerificationError(f"{card.id}: sha256 of {name} is not that of {CARD}")


def verify_output(card: ModelCard, number: int, output: float) -> None:
    """Raise ModelVerificationError when a golden input does not give its golden output."""
    if abs(card.golden[number].output - output) > TOLERANCE:
        raise ModelVerificationError(f"{card.id}: golden input {number} gives {output:.4f}, not the output of {CARD}")
