"""A site's own cut-offs: which holds for a film, and why the others are refused.

A cut-off was chosen on the scores of one model; it holds for the weights with its sha256 only and, where it names a
site or a device, for films whose header says exactly that. Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from vision.card import ModelCard
from vision.radiograph import Radiograph


@dataclass(frozen=True)
class CutOff:
    """A cut-off of a finding, as the site calibrated it.

    model, sha256  of the weights that gave the scores it was chosen on
    value          score from which the finding is labelled present, 0-1
    institution    Institution Name of the films it is for; None: of all
    device         Manufacturer's Model Name of the films it is for; None: of all
    """

    finding: str
    model: str
    sha256: str
    value: float
    institution: str | None = None
    device: str | None = None

    @property
    def narrowness(self) -> tuple[bool, bool]:
        """Return what decides between several that hold: one for a device before one for an institution."""
        return self.device is not None, self.institution is not None

    def is_for(self, film: Radiograph) -> bool:
        return self.device in (None, film.device) and self.institution in (None, film.institution)


class CutOffs:
    """The cut-offs of a site beside the models in service."""

    def __init__(self, given: Iterable[CutOff], served: Iterable[ModelCard]) -> None:
        cards = {card.id: card for card in served}
        self._judged = [(cut_off, _refusal(cut_off, cards.get(cut_off.model))) for cut_off in given]

    def of(self, card: ModelCard, film: Radiograph) -> Mapping[str, float]:
        """Return the cut-offs of a model for a film, by finding: the site's narrowest, else the card's own."""
        own = {key: float(cut_off["value"]) for key, cut_off in card.thresholds.items()}
        held = [cut_off for cut_off, refusal in self._judged if refusal is None and cut_off.model == card.id]
        fitting = sorted((cut_off for cut_off in held if cut_off.is_for(film)), key=lambda cut_off: cut_off.narrowness)
        return own | {cut_off.finding: cut_off.value for cut_off in fitting}

    def status(self) -> list[dict[str, Any]]:
        """Return one row per cut-off: finding, model, institution, device, state (in force, refused) and the reason."""
        return [
            {
                "finding": cut_off.finding,
                "model": cut_off.model,
                "institution": cut_off.institution,
                "device": cut_off.device,
                "state": "in force" if refusal is None else "refused",
                "reason": refusal,
            }
            for cut_off, refusal in self._judged
        ]


def _refusal(cut_off: CutOff, card: ModelCard | None) -> str | None:
    if card is None:
        return f"no model {cut_off.model} is in service"
    if cut_off.finding not in card.served:
        return f"{card.id} does not serve {cut_off.finding}"
    if cut_off.sha256 != card.sha256:
        return (
            f"it was calibrated on other weights of {card.id} ({cut_off.sha256[:12]}) than those in service "
            f"({card.sha256[:12]}); calibrate again"
        )
    return None
