"""A film's pixels -> what a network says of them: logits, calibrated scores, class-activation maps, an embedding.

Served by OpenVINO from a verified model folder. Knows no threshold and no patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray

from vision.card import ModelCard, read_card, verify_golden
from vision.prepare import golden_film, views
from vision.result import Box
from vision.weights import compiled

FILM_GRID = 16
"""Side of the grid on which maps of several views are laid over the film."""


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
        encoder = cls(card, compiled(folder, card, threads))
        verify_golden(card, encoder.encode(golden_film(card.golden.side)).scores)
        return encoder

    @property
    def card(self) -> ModelCard:
        return self._card

    def encode(self, pixels: NDArray[np.float32], lungs: Box | None = None) -> Encoding:
        """Return what the network says of a film.

        pixels  float32 [H, W], 0-1, air dark, the whole film
        lungs   box around both lungs, for a network that looks at them; None: they were not found
        """
        outputs = self._model(views(pixels, self._preparation, lungs))
        logits, maps, embedding = (np.array(outputs[number][0], np.float32) for number in range(3))
        if self._preparation.sees_lungs:
            parts = self._preparation.parts(lungs)
            maps = np.stack([on_film(map_, parts[m // self._card.folds]) for m, map_ in enumerate(maps)])
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


def on_film(maps: NDArray[np.float32], part: Box) -> NDArray[np.float32]:
    """Return maps [K, h, w] of a part of a film as maps of the whole film, on a grid of `FILM_GRID`.

    Beyond the part, nothing unusual is seen.
    """
    height, width = maps.shape[1:]
    centres = (np.arange(FILM_GRID, dtype=np.float32) + 0.5) / FILM_GRID
    x, y = (centres - part.x0) / (part.x1 - part.x0), (centres - part.y0) / (part.y1 - part.y0)
    columns, rows = np.meshgrid(x * width - 0.5, y * height - 0.5)
    outside = ((y < 0) | (y > 1))[:, None] | ((x < 0) | (x > 1))[None]
    whole = [cv2.remap(seen, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for seen in maps]
    return np.where(outside, np.median(maps, (1, 2))[:, None, None], np.stack(whole)).astype(np.float32)
