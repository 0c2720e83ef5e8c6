"""A film's pixels -> what a network says of them: logits, calibrated scores, class-activation maps, an embedding.

Served by OpenVINO from a verified model folder. Knows no threshold and no patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from vision.card import ModelCard, read_card, verify_files, verify_golden
from vision.errors import ModelVerificationError
from vision.prepare import golden_film, prepared


@dataclass(frozen=True)
class Encoding:
    """What an ensemble says of one film.

    logits         per label, mean over the members
    scores         per label, calibrated, 0-1
    maps           per label [h, w] on the scale of the logit, covering the whole film: where the finding is seen
    embedding      float32 [1280], the last features of the first member
    member_logits  float32 [M, K], for evaluation out of fold
    member_maps    float32 [M, K, h, w], likewise
    """

    logits: dict[str, float]
    scores: dict[str, float]
    maps: dict[str, NDArray[np.float32]]
    embedding: NDArray[np.float32]
    member_logits: NDArray[np.float32]
    member_maps: NDArray[np.float32]


class Encoder:
    """A model folder in service. `encode` may be called from one thread at a time."""

    def __init__(self, card: ModelCard, model: openvino.CompiledModel) -> None:
        self._card = card
        self._model = model
        self._preparation = card.preparation

    @classmethod
    def load(cls, folder: Path, threads: int) -> Encoder:
        """Return the encoder of a folder after verifying hashes and golden scores.

        Raises ModelVerificationError when the folder does not match its card.
        """
        card = read_card(folder)
        verify_files(folder, card)
        try:
            model = openvino.Core().compile_model(
                folder / "model.xml", "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            )
        except RuntimeError as error:
            raise ModelVerificationError(f"{card.id}: the weights do not load ({type(error).__name__})") from None
        encoder = cls(card, model)
        verify_golden(card, encoder.encode(golden_film(card.golden.side)).scores)
        return encoder

    @property
    def card(self) -> ModelCard:
        return self._card

    def encode(self, pixels: NDArray[np.float32]) -> Encoding:
        """Return what the network says of a film.

        pixels  float32 [H, W], 0-1, air dark, the whole film
        """
        outputs = self._model(prepared(pixels, self._preparation)[None])
        logits, maps, embedding = (np.array(outputs[number][0], np.float32) for number in range(3))
        values = dict(zip(self._card.labels, map(float, logits.mean(0)), strict=True))
        return Encoding(
            logits=values,
            scores={label: self.score(label, logit) for label, logit in values.items()},
            maps=dict(zip(self._card.labels, maps.mean(0), strict=True)),
            embedding=embedding,
            member_logits=logits,
            member_maps=maps,
        )

    def score(self, label: str, logit: float) -> float:
        """Return the calibrated score of a logit."""
        fitted = self._card.calibration[label]
        return float(1 / (1 + np.exp(-np.clip(fitted.slope * logit + fitted.intercept, -30, 30))))
