"""Named enhancements for the eye: each a pure function of pixels (H x W, 0-1) to pixels. Models never see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]


def denoised(pixels: Pixels) -> Pixels:
    """Return pixels smoothed where they differ by no more than noise does; edges stay (bilateral filter)."""
    smooth: Pixels = cv2.bilateralFilter(pixels.astype(np.float32), d=5, sigmaColor=0.06, sigmaSpace=2)
    return smooth


def equalised(pixels: Pixels) -> Pixels:
    """Return pixels with contrast evened out region by region (CLAHE, 8 x 8 tiles, clip limit 2)."""
    levels = np.round(np.clip(pixels, 0, 1) * 65535).astype(np.uint16)
    even: NDArray[np.uint16] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(levels)
    return even.astype(np.float32) / np.float32(65535)


def sharpened(pixels: Pixels) -> Pixels:
    """Return pixels with fine edges lifted (unsharp mask at 1/200 of the shorter side)."""
    return _lifted(pixels, max(min(pixels.shape) / 200, 0.8), 1.2)


def bone(pixels: Pixels) -> Pixels:
    """Return pixels with the bright half spread over the scale and its structure lifted."""
    curve = np.clip(pixels, 0, 1) ** 1.8
    return _lifted(curve.astype(np.float32), max(min(pixels.shape) / 100, 1.0), 0.8)


def soft(pixels: Pixels) -> Pixels:
    """Return pixels with the dark half, the lungs, spread over the scale."""
    return (np.clip(pixels, 0, 1) ** 0.6).astype(np.float32)


ENHANCEMENTS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "denoise": denoised,
    "clahe": equalised,
    "edge": sharpened,
    "bone": bone,
    "soft": soft,
}


def _lifted(pixels: Pixels, sigma: float, amount: float) -> Pixels:
    blurred: Pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    return np.clip(pixels + amount * (pixels - blurred), 0, 1).astype(np.float32)
