"""Augmentation that breaks what tells a source apart: resolution, compression, exposure, contrast, borders, pose."""

from __future__ import annotations

import cv2
import numpy as np
from monai.transforms import Compose, RandAdjustContrast, RandAffine, RandFlip, RandGaussianNoise, RandGaussianSmooth
from numpy.typing import NDArray

from vision.prepare import Preparation, normalised

_EVENED = 0.4
"""Share of the redrawn films that are evened out locally (CLAHE); the others are bent by a curve."""


class Augmentation:
    """uint8 film (S x S) and place mask (s x s) -> augmented network input (3 x size x size) and mask (size x size)."""

    def __init__(
        self, preparation: Preparation, seed: int, *, degrade: float = 0.5, contrast: float = 0.0, borders: float = 0.1
    ) -> None:
        """Return the augmentation of one run.

        degrade   share of films that are brought to the resolution of a worse source
        contrast  share of films whose grey values are redrawn: evened out locally, or bent by a random curve
        borders   largest share that is cut off each border
        """
        self._preparation = preparation
        self._degrade = degrade
        self._contrast = contrast
        self._borders = borders
        self._random = np.random.default_rng(seed)
        self._spatial = Compose(
            [
                RandFlip(prob=0.5, spatial_axis=1),
                RandAffine(
                    prob=0.9,
                    rotate_range=0.2,
                    shear_range=0.08,
                    translate_range=12,
                    scale_range=0.15,
                    mode="bilinear",
                    padding_mode="zeros",
                ),
            ]
        )
        self._intensity = Compose(
            [
                RandAdjustContrast(prob=0.7, gamma=(0.6, 1.6)),
                RandGaussianSmooth(prob=0.2, sigma_x=(0.3, 1.2), sigma_y=(0.3, 1.2)),
                RandGaussianNoise(prob=0.3, std=0.04),
            ]
        )
        self._spatial.set_random_state(seed)
        self._intensity.set_random_state(seed)

    def __call__(
        self, film: NDArray[np.uint8], place: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        side = self._preparation.size
        crop = self._random.uniform(0, self._borders, 4)
        seen = self._redrawn(_cropped(self._degraded(film), crop))
        pixels = cv2.resize(seen, (side, side), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(_cropped(place, crop), (side, side), interpolation=cv2.INTER_LINEAR)
        moved = self._spatial(np.stack([pixels, mask]).astype(np.float32) / 255)
        image = np.clip(np.asarray(self._intensity(moved[:1]))[0], 0, 1)
        gain, offset = self._random.uniform(0.85, 1.15), self._random.uniform(-0.08, 0.08)
        return normalised(np.clip(image * gain + offset, 0, 1), self._preparation), np.asarray(moved[1], np.float32)

    def _redrawn(self, film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Change the contrast of a film as devices and their processing do."""
        chance = self._random.random() / self._contrast if self._contrast else 1.0
        if chance >= 1:
            return film
        if chance < _EVENED:
            cells, limit = int(self._random.integers(2, 9)), float(self._random.uniform(1, 3))
            evened: NDArray[np.uint8] = cv2.createCLAHE(limit, (cells, cells)).apply(np.ascontiguousarray(film))
            return evened
        knots = np.cumsum([0, *self._random.uniform(0.3, 1.7, self._random.integers(2, 6))])
        curve = np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(knots)), 255 * knots / knots[-1])
        bent: NDArray[np.uint8] = curve.astype(np.uint8)[film]
        return bent

    def _degraded(self, film: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a film to the resolution and compression of a worse source."""
        if self._random.random() >= self._degrade:
            return film
        side = int(self._random.choice([64, 80, 112, 160]))
        small = cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA)
        if self._random.random() < 0.5:
            quality = int(self._random.integers(40, 95))
            small = cv2.imdecode(
                cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE
            )
        method = int(self._random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        degraded: NDArray[np.uint8] = cv2.resize(small, film.shape[::-1], interpolation=method)
        return degraded


def _cropped(film: NDArray[np.uint8], shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut a share off each border: sources differ in collimation and in burned-in marks."""
    side = film.shape[0]
    top, bottom, left, right = (shares * side).astype(int)
    return film[top : side - bottom, left : side - right]
