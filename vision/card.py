"""Model folders: what a card says of a model, and whether the weights beside it are the ones it speaks of.

A folder holds model.xml, model.bin, LICENSE and `model.yaml`, the card. Knows no network and no film.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from vision.errors import ModelVerificationError
from vision.prepare import Preparation

CARD, WEIGHTS = "model.yaml", ("model.xml", "model.bin")
TOLERANCE = 0.02
"""How far a score of the golden film may lie from the card: bf16 and fp32 differ, another model differs more."""


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PopulationOfModel(FrozenModel):
    """Whom a model is for; ages in years, `age_to` exclusive and None when there is no upper end.

    One that is for every age is also for a film of unknown age.
    """

    name: Literal["adult", "paediatric", "fracture", "mammography"]
    age_from: float
    age_to: float | None
    views: tuple[Literal["PA", "AP"], ...]
    note: str


class Calibration(FrozenModel):
    """score = sigmoid(slope * logit + intercept)."""

    slope: float
    intercept: float


class Golden(FrozenModel):
    """The scores that `vision.prepare.golden_film(side)` had when the model was made."""

    side: int
    scores: dict[str, float]


class CardOfWeights(FrozenModel):
    """What every model.yaml says.

    input       how a film is prepared (`vision.prepare.Preparation`)
    files       sha256 of each file of weights
    printed_by  the command that prints the figures again
    """

    id: str
    version: str
    title: str
    licence: str
    input: dict[str, Any]
    training_data: tuple[dict[str, Any], ...]
    limits: tuple[str, ...]
    files: dict[str, str]
    printed_by: str

    @model_validator(mode="after")
    def _names_the_weights(self) -> CardOfWeights:
        if set(self.files) != set(WEIGHTS):
            raise ValueError("files must name the weights")
        return self

    @property
    def sha256(self) -> str:
        """Return one hash that stands for all files of weights."""
        return combined_sha256(self.files)

    @property
    def preparation(self) -> Preparation:
        return Preparation.from_card(self.input)


_Card = TypeVar("_Card", bound=CardOfWeights)


class ModelCard(CardOfWeights):
    """The model.yaml of an encoder.

    enabled      False: ships switched off, for a site to put into service after its own evaluation
    labels       finding keys in the order of the network's logits
    served       those that may be served, a subset
    tried        why each of the others is not
    members      networks in the ensemble, those of each view together; member k of n folds has not seen the patients of
                 fold k modulo n
    calibration  per label, fitted on logits of patients that the member had not seen
    prevalence   per label, of the films the calibration was fitted on
    thresholds   per served label with a cut-off: value (a score), operating_point; sensitivity, specificity, accuracy
    bound_to     the weights and the arithmetic that thresholds and calibration stand for
    metrics      per label, out of fold, with 95 % intervals by resampling patients
    subgroups    per served label: AUROC by view, source, sex and age band
    """

    enabled: bool = True
    labels: tuple[str, ...]
    served: tuple[str, ...]
    tried: dict[str, str]
    members: int
    population: PopulationOfModel
    calibration: dict[str, Calibration]
    prevalence: dict[str, float]
    thresholds: dict[str, dict[str, Any]]
    bound_to: dict[str, str]
    metrics: dict[str, dict[str, Any]]
    subgroups: dict[str, dict[str, Any]]
    golden: Golden

    @property
    def folds(self) -> int:
        """Into how many parts patients were split."""
        return self.members // len(self.preparation.regions)

    @model_validator(mode="after")
    def _holds_together(self) -> ModelCard:
        if not set(self.served) <= set(self.labels) or not set(self.thresholds) <= set(self.served):
            raise ValueError("served must be labels, and thresholds must be of served labels")
        if set(self.calibration) != set(self.labels) or set(self.golden.scores) != set(self.labels):
            raise ValueError("each label needs a calibration and a golden score")
        if self.bound_to.get("sha256") != self.sha256:
            raise ValueError("the thresholds are those of other weights")
        return self


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder. Raises ModelVerificationError when it is missing or does not hold together."""
    return read_card_as(ModelCard, folder)


def read_card_as(kind: type[_Card], folder: Path) -> _Card:
    """Return a card of a kind. Raises ModelVerificationError when it is missing or does not hold together."""
    try:
        return kind.model_validate(yaml.safe_load((folder / CARD).read_text("utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
        raise ModelVerificationError(f"{folder.name}: no readable {CARD} ({type(error).__name__})") from None


def write_card(folder: Path, card: CardOfWeights) -> None:
    """Write the card of a model into its folder."""
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
    (folder / CARD).write_text(text, "utf-8")


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of weights in a folder."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in WEIGHTS}


def combined_sha256(files: dict[str, str]) -> str:
    """Return one hash that stands for files with the given hashes."""
    return hashlib.sha256("".join(files[name] for name in sorted(files)).encode()).hexdigest()


def verify_files(folder: Path, card: CardOfWeights) -> None:
    """Raise ModelVerificationError when a file of weights is absent or is not the one of the card."""
    try:
        found = hashes(folder)
    except OSError as error:
        raise ModelVerificationError(f"{card.id}: a file of weights is missing ({type(error).__name__})") from None
    for name, expected in card.files.items():
        if found[name] != expected:
            raise ModelVerificationError(f"{card.id}: sha256 of {name} is not that of {CARD}")


def verify_golden(card: ModelCard, scores: dict[str, float]) -> None:
    """Raise ModelVerificationError when the golden film does not give the golden scores."""
    for label, expected in card.golden.scores.items():
        if abs(scores[label] - expected) > TOLERANCE:
            raise ModelVerificationError(f"{card.id}: the golden film scores {scores[label]:.4f} for {label}")
