"""Augmentation of films with outlines: pose, magnification, collimation, exposure, resolution, things in the way.

A hospital that was not trained on differs in all of these; the outlines move with the film.
"""

from __future__ import annotations

import cv2
import numpy as np
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffined,
    RandBiasField,
    RandCoarseDropout,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandHistogramShift,
    RandSimulateLowResolution,
)
from numpy.typing import NDArray

from vision.evaluation.outlines import BACKGROUND, LEFT_OF_PICTURE, NOT_LUNG, RIGHT_OF_PICTURE, LabelMap
from vision.prepare import Preparation, normalised, resized, stretched

_MIRRORED = 0.5
_COLLIMATED = 0.3


class OutlineAugmentation:
    """uint8 film and label map (S x S) -> augmented input (3 x size x size) and label map (size x size)."""

    def __init__(self, preparation: Preparation, seed: int) -> None:
        self._preparation = preparation
        self._random = np.random.default_rng(seed)
        self._spatial = RandAffined(
            keys=["film", "map"],
            prob=0.95,
            rotate_range=0.2,
            shear_range=0.08,
            translate_range=24,
            scale_range=((-0.25, 0.35), (-0.25, 0.35)),
            mode=["bilinear", "nearest"],
            padding_mode=["zeros", "zeros"],
        )
        self._intensity = Compose(
            [
                RandHistogramShift(prob=0.4, num_control_points=(4, 8)),
                RandAdjustContrast(prob=0.6, gamma=(0.5, 2.0)),
                RandBiasField(prob=0.3, degree=2, coeff_range=(-0.3, 0.3)),
                RandSimulateLowResolution(
                    prob=0.2, zoom_range=(0.3, 0.9), downsample_mode="area", upsample_mode="bilinear"
                ),
                RandGaussianSmooth(prob=0.2, sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2)),
                RandGaussianNoise(prob=0.3, std=0.05),
                RandCoarseDropout(prob=0.25, holes=1, max_holes=5, spatial_size=5, max_spatial_size=30),
            ]
        )
        self._spatial.set_random_state(seed)
        self._intensity.set_random_state(seed)

    def __call__(self, film: NDArray[np.uint8], labels: LabelMap) -> tuple[NDArray[np.float32], LabelMap]:
        if self._random.random() < _MIRRORED:
            film, labels = film[:, ::-1].copy(), mirrored(labels)
        # what is brought in from outside the film is known to be background, so padding by zeros is true of the map
        moved = self._spatial({"film": film[None].astype(np.float32) / 255, "map": labels[None].astype(np.float32)})
        side = self._preparation.size
        outlined = cv2.resize(
            np.asarray(moved["map"])[0].astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST_EXACT
        )
        small = resized(np.asarray(moved["film"], np.float32)[0], side)
        pixels = np.asarray(self._intensity(small[None]), np.float32)[0]
        if self._random.random() < _COLLIMATED:
            self._collimate(pixels, outlined)
        gain, offset = self._random.uniform(0.85, 1.15), self._random.uniform(-0.08, 0.08)
        exposed = np.clip(stretched(pixels, self._preparation) * gain + offset, 0, 1)
        return normalised(exposed, self._preparation), outlined

    def _collimate(self, pixels: NDArray[np.float32], labels: LabelMap) -> None:
        """Blank a margin, as a diaphragm does; what it hides is not outlined."""
        side = pixels.shape[0]
        top, bottom, left, right = (self._random.uniform(0, 0.12, 4) * side).astype(int)
        shade = float(self._random.choice([0.0, 0.0, 1.0]))
        for rows, columns in (
            (slice(0, top), slice(None)),
            (slice(side - bottom, side), slice(None)),
            (slice(None), slice(0, left)),
            (slice(None), slice(side - right, side)),
        ):
            pixels[rows, columns], labels[rows, columns] = shade, BACKGROUND


def mirrored(labels: LabelMap) -> LabelMap:
    """Return the label map of the mirrored film: the lungs change their names."""
    swapped = np.arange(NOT_LUNG + 1, dtype=np.uint8)
    swapped[[LEFT_OF_PICTURE, RIGHT_OF_PICTURE]] = RIGHT_OF_PICTURE, LEFT_OF_PICTURE
    turned: LabelMap = swapped[labels[:, ::-1]]
    return turned
