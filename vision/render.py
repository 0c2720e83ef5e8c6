"""Pictures for people: a film as PNG, a heatmap as a transparent overlay. Knows no page and no model."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.anatomy import label_map
from vision.enhance import ENHANCEMENTS
from vision.prepare import Preparation, stretched
from vision.radiograph import Radiograph
from vision.result import Heatmap, Mask

_COLOURS = cv2.COLORMAP_INFERNO
"""Perceptually uniform and readable by the colour-blind."""
_FAINT, _OPAQUE = 0.12, 0.7
"""Value below which nothing is laid over the film, and the share of the film that full evidence covers."""


def render_png(radiograph: Radiograph, max_side: int, enhancement: str | None = None) -> bytes:
    """Return a film as an 8-bit grey PNG.

    max_side     longest side in pixels; a smaller film stays as it is
    enhancement  a name of `vision.enhance.ENHANCEMENTS`, or None

    Raises ValueError on an unknown enhancement.
    """
    if enhancement is not None and enhancement not in ENHANCEMENTS:
        raise ValueError(f"unknown enhancement; one of {', '.join(ENHANCEMENTS)}")
    pixels = stretched(shrunk(radiograph.pixels, max_side), Preparation())
    if enhancement is not None:
        pixels = ENHANCEMENTS[enhancement](pixels)
    return _png(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def heatmap_png(heatmap: Heatmap, width: int, height: int) -> bytes:
    """Return a heatmap as an RGBA PNG of width x height pixels, the more opaque the stronger the evidence."""
    grid = np.array(heatmap.values, np.float32).reshape(heatmap.height, heatmap.width)
    values = np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    coloured = cv2.applyColorMap(np.round((0.25 + 0.75 * values) * 255).astype(np.uint8), _COLOURS)
    opacity = np.clip((values - _FAINT) / (1 - _FAINT), 0, 1) ** 0.7 * _OPAQUE
    return _png(np.dstack([coloured, np.round(opacity * 255).astype(np.uint8)]))


def masks_png(masks: tuple[Mask, ...], height: int, width: int) -> bytes:
    """Return a map of what was outlined as PNG: 1 right lung, 2 left lung, 3 heart, 0 elsewhere, as JSRT has it."""
    return _png(label_map(masks, height, width))


def shrunk(pixels: NDArray[np.float32], max_side: int) -> NDArray[np.float32]:
    """Return pixels whose longest side is at most `max_side`, averaged so that nothing aliases."""
    scale = max_side / max(pixels.shape)
    if scale >= 1:
        return pixels
    high, wide = (max(round(length * scale), 1) for length in pixels.shape)
    small: NDArray[np.float32] = cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_AREA)
    return small


def _png(picture: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])
