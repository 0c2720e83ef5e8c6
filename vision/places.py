"""Model folders -> what is in service of each, or why nothing is. One bad folder never stops the others.

A model ships on or off; a site puts another folder, or one that ships off, into service by the hash of its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from vision.anatomy import AnatomyModel
from vision.card import ModelCard, read_card
from vision.encode import Encoder
from vision.errors import ModelVerificationError
from vision.gate import Gate
from vision.result import ModelRef

PREFIX = "vision-"
"""Of the ids of models; the rest names the folder."""
_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class InService:
    """A model that a site has put into service.

    id      as its card has it, such as `vision-fracture`
    sha256  of the weights that the site has evaluated; others are refused
    folder  where it lies; None: the packaged one
    """

    id: str
    sha256: str
    folder: Path | None = None


@dataclass(frozen=True)
class Place:
    """A model folder: what is in service of it, or why nothing is."""

    name: str
    state: Literal["served", "off", "refused"]
    reason: str | None = None
    ref: ModelRef | None = None
    labels: tuple[str, ...] = ()
    encoder: Encoder | None = None

    def row(self) -> dict[str, Any]:
        """Return id, version, sha256, state and reason."""
        ref = self.ref
        return {
            "id": self.name if ref is None else ref.id,
            "version": None if ref is None else ref.version,
            "sha256": None if ref is None else ref.sha256,
            "state": self.state,
            "reason": self.reason,
        }


def gate_place(folder: Path, threads: int) -> tuple[Gate | None, Place]:
    """Return the gate of a folder, or None, and its place."""
    gate, refusal = _loaded(lambda: Gate.load(folder, threads), "gate")
    if gate is None:
        return None, Place("gate", "refused", refusal)
    return gate, Place("gate", "served", ref=gate.ref)


def anatomy_place(folder: Path, threads: int) -> tuple[AnatomyModel | None, Place]:
    """Return the anatomy model of a folder, or None, and its place."""
    model, refusal = _loaded(lambda: AnatomyModel.load(folder, threads), folder.name)
    if model is None:
        return None, Place(folder.name, "refused", refusal)
    return model, Place(folder.name, "served", ref=model.ref)


def encoder_place(folder: Path, threads: int, wanted: InService | None = None, *, force: bool = False) -> Place:
    """Return the place of an encoder's folder.

    wanted  what the site says of it; its folder stands in for `folder`
    force   serve one that ships switched off, to see whether it can be
    """
    name, folder = folder.name, folder if wanted is None or wanted.folder is None else wanted.folder
    card, refusal = _loaded(lambda: read_card(folder), name)
    if card is None:
        return Place(name, "refused", refusal)
    place = Place(name, "off", None, ModelRef(id=card.id, version=card.version, sha256=card.sha256), tuple(card.served))
    if wanted is not None and (wanted.id, wanted.sha256) != (card.id, card.sha256):
        return replace(place, state="refused", reason=_another(wanted, card))
    if not card.served:
        return replace(place, reason="its card allows no finding to be served")
    if wanted is None and not card.enabled and not force:
        return replace(place, reason="it ships switched off; `cds promote` puts it into service")
    encoder, refusal = _loaded(lambda: Encoder.load(folder, threads), name)
    if encoder is None:
        return replace(place, state="refused", reason=refusal)
    return replace(place, state="served", encoder=encoder)


def _another(wanted: InService, card: ModelCard) -> str:
    return (
        f"the site put {wanted.id} ({wanted.sha256[:12]}) into service, but the folder holds {card.id} "
        f"({card.sha256[:12]}); evaluate and promote it again"
    )


def _loaded(load: Callable[[], _Loaded], name: str) -> tuple[_Loaded | None, str | None]:
    """Return what a loader gives, or None and why: whatever is wrong with one folder, the others are served."""
    try:
        return load(), None
    except ModelVerificationError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - a damaged folder makes a library raise whatever there is
        return None, f"{name}: cannot be loaded ({type(error).__name__})"
