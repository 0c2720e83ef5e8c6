"""Is this a frontal chest film? Header first, then simple measures, then a network that knows chest films.

The same network tells limbs and breasts, so it also says whether a film is the limb or the mammogram it claims to be.

A film that does not pass gets a reason and never a number. Knows no finding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from vision.errors import ModelVerificationError
from vision.gate_card import GateCard, Golden, read_card
from vision.gate_header import RAW, header_rejection, stated_view
from vision.gate_pixels import pixel_rejection
from vision.prepare import golden_film, prepared
from vision.radiograph import Radiograph
from vision.result import ModelRef, Rejection, View
from vision.subject import Subject
from vision.technique import Technique
from vision.weights import compiled

GATE = Path(__file__).parent / "models" / "gate"
TOLERANCE = 0.02
"""Largest difference from the golden output, relative to its size where that is above one."""
MISTAKE_WITHIN = 0.47
"""Distance within which 98 % of the chest films lie that are turned, inverted or cut; farther off is none of these."""
NOT_CHEST: dict[str, tuple[str, str]] = {
    "sideways": ("rotated", "the film lies on its side; turn it upright and send it again"),
    "upside_down": ("rotated", "the film is upside down; turn it upright and send it again"),
    "inverted": (
        "inverted",
        "the greyscale is inverted: bone is dark and air bright; check Photometric Interpretation",
    ),
    "part": ("partial", "the picture shows only a part of a chest film"),
    "limb": ("wrong_body_part", "looks like a film of a limb or of the spine, not of the chest"),
    "breast": ("wrong_modality", "looks like a mammogram, not a chest radiograph"),
    "slice": ("wrong_modality", "looks like a cross-section (CT or MR), not a radiograph"),
    "other": ("not_a_film", "does not look like a chest radiograph"),
}
"""Kind of picture -> code and reason of its rejection."""
MISTAKES = frozenset({"sideways", "upside_down", "inverted", "part"})
"""Kinds that are chest films, shown wrongly."""
UNLIKE = Rejection(code="out_of_distribution", reason="not recognised as a frontal chest film")
_UNLIKE_ITS_HEADER: dict[Subject, Rejection] = {
    "limb": Rejection(code="out_of_distribution", reason="not recognised as a film of a limb"),
    "breast": Rejection(code="out_of_distribution", reason="not recognised as a mammogram"),
}


@dataclass(frozen=True)
class Sight:
    """What the network makes of a picture: probability by kind, distance from known chest films, probability of AP."""

    kinds: dict[str, float]
    distance: float
    ap: float


@dataclass(frozen=True)
class Verdict:
    """Whether a film goes on; `sight` is None where header or simple measures already refused it."""

    rejection: Rejection | None
    view: View
    view_source: Literal["header", "given", "model", "none"]
    sight: Sight | None = None


class Gate:
    """The gate of a model folder, verified when it is loaded."""

    def __init__(self, card: GateCard, model: ov.CompiledModel) -> None:
        self.card = card
        self._model = model

    @classmethod
    def load(cls, folder: Path = GATE, threads: int = 2) -> Gate:
        """Return the gate in `folder`. Raises ModelVerificationError when hash or golden output do not match."""
        card = read_card(folder)
        gate = cls(card, compiled(folder, card, threads, INFERENCE_PRECISION_HINT="f32"))
        try:
            given = gate._given(golden_film(card.preparation.size))
        except (RuntimeError, KeyError) as error:
            raise ModelVerificationError(f"the gate cannot be run ({type(error).__name__})") from None
        if not _near(given, card.golden):
            raise ModelVerificationError("the gate does not give the golden output of its card")
        return gate

    @property
    def ref(self) -> ModelRef:
        return ModelRef(id=self.card.id, version=self.card.version, sha256=self.card.sha256)

    def judge(self, radiograph: Radiograph, technique: Technique) -> Verdict:
        """Return whether a radiograph is a frontal chest film, and its view."""
        verdict = without_network(radiograph, technique)
        if verdict.rejection is not None:
            return verdict
        sight = self.look(radiograph.pixels)
        verdict = replace(verdict, rejection=self._refusal(sight), sight=sight)
        if verdict.rejection is not None or verdict.view != "unknown":
            return verdict
        guessed = self._view(sight)
        return verdict if guessed == "unknown" else replace(verdict, view=guessed, view_source="model")

    def judge_other(self, radiograph: Radiograph, technique: Technique, subject: Subject) -> Verdict:
        """Return whether a film that says it shows a limb or a breast does."""
        refused = (None if radiograph.presentation else RAW) or pixel_rejection(radiograph)
        verdict = _with_stated_view(refused, radiograph, technique)
        if refused is not None:
            return verdict
        sight = self.look(radiograph.pixels)
        unlike = sight.kinds[subject] < self.card.accept_above
        return replace(verdict, rejection=_UNLIKE_ITS_HEADER[subject] if unlike else None, sight=sight)

    def look(self, pixels: NDArray[np.float32]) -> Sight:
        """Return what the network makes of pixels (H x W, 0-1)."""
        given = self._given(pixels)
        raised = np.exp(np.array(given.logits) - max(given.logits))
        shares = raised / raised.sum()
        kinds = {kind: float(share) for kind, share in zip(self.card.kinds, shares, strict=True)}
        return Sight(kinds, given.distance, float(1 / (1 + np.exp(-given.view))))

    def _given(self, pixels: NDArray[np.float32]) -> Golden:
        request = self._model.create_infer_request()
        given = request.infer(prepared(pixels, self.card.preparation)[None])
        logits = tuple(float(number) for number in given["logits"][0])
        return Golden(logits=logits, distance=float(given["distance"][0]), view=float(given["view"][0]))

    def _refusal(self, sight: Sight) -> Rejection | None:
        chest = sight.kinds["chest"]
        if chest < self.card.accept_above:
            ruled_out = {"chest"} if sight.distance <= MISTAKE_WITHIN else {"chest", *MISTAKES}
            likeliest = max(NOT_CHEST.keys() - ruled_out, key=lambda kind: sight.kinds[kind])
            code, reason = NOT_CHEST[likeliest]
            return Rejection(code=code, reason=reason)
        return UNLIKE if sight.distance > self.card.refuse_beyond else None

    def _view(self, sight: Sight) -> View:
        sure = self.card.view_above
        if sure is None:
            return "unknown"
        if sight.ap >= sure:
            return "AP"
        return "PA" if sight.ap <= 1 - sure else "unknown"


def without_network(radiograph: Radiograph, technique: Technique) -> Verdict:
    """Return the verdict of header and simple measures alone."""
    return _with_stated_view(
        header_rejection(radiograph, technique) or pixel_rejection(radiograph), radiograph, technique
    )


def _with_stated_view(refused: Rejection | None, radiograph: Radiograph, technique: Technique) -> Verdict:
    view, source = stated_view(radiograph, technique)
    if view in ("PA", "AP", "lateral"):
        return Verdict(refused, view, source)
    return Verdict(refused, "unknown", "none")


def _near(given: Golden, golden: Golden) -> bool:
    if len(given.logits) != len(golden.logits):
        return False
    pairs = [
        *zip(given.logits, golden.logits, strict=True),
        (given.distance, golden.distance),
        (given.view, golden.view),
    ]
    return all(abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in pairs)
