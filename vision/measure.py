"""Measures of a film: how it was exposed, how sharp it is, how it is bordered.

Knows no network and no finding.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.prepare import resized
from vision.radiograph import Radiograph

_SIDE = 512
_CLIPPED = 0.004
"""Distance from black or white that still counts as clipped: one level of 8 bits."""
_FLAT = 0.015
"""Spread of a row or column below which it belongs to the border."""
_MARK_BRIGHT, _MARK_STEP = 0.97, 0.35
_MARK_SMALLEST, _MARK_LARGEST = 12, 0.01
"""Pixels of the smallest mark, and share of the film of the largest."""

Pixels = NDArray[np.float32]


def quality_of(radiograph: Radiograph) -> dict[str, float | bool | str | None]:
    """Return the measures of quality of a film.

    exposure_p01, exposure_p50, exposure_p99  percentiles of the pixels, 0-1
    clipped_dark, clipped_bright              share of pixels at black and at white
    sharpness       share of the film's variation that is finer than 1/128 of its side, 0-1
    noise           standard deviation of the finest detail in its calmest parts, 0-1
    border          share of the film that is collimated border
    burned_in_marks share of the film that looks like letters or markers burned in, an estimate
    burned_in       what the header says of burned-in annotation; None where it says nothing
    """
    square = resized(radiograph.pixels, _SIDE)
    low, middle, high = (float(value) for value in np.percentile(square, (1, 50, 99)))
    measures: dict[str, float | bool | str | None] = {
        "exposure_p01": low,
        "exposure_p50": middle,
        "exposure_p99": high,
        "clipped_dark": float((square <= _CLIPPED).mean()),
        "clipped_bright": float((square >= 1 - _CLIPPED).mean()),
        "sharpness": _sharpness(square),
        "noise": _noise(square),
        "border": border_of(square),
        "burned_in_marks": _marks(square),
    }
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in measures.items()}
    return {**rounded, "burned_in": radiograph.burned_in}


def _sharpness(square: Pixels) -> float:
    fine = square - cv2.GaussianBlur(square, (0, 0), 2)
    varies = float(square.std())
    return 0.0 if varies < 1e-6 else min(float(fine.std()) / varies, 1.0)


def _noise(square: Pixels) -> float:
    fine = square - cv2.medianBlur(square, 3)
    blocks = fine[: _SIDE // 16 * 16, : _SIDE // 16 * 16].reshape(_SIDE // 16, 16, -1, 16).std((1, 3))
    return float(np.percentile(blocks, 25))


def border_of(square: Pixels) -> float:
    """Return the share of a square that rows and columns without any variation take off its four sides."""
    inside = square
    for axis in (0, 1, 0, 1):
        varied = np.nonzero(np.ptp(inside, axis=axis) > _FLAT)[0] if inside.size else np.array([])
        if len(varied) == 0:
            return 1.0
        kept = slice(int(varied[0]), int(varied[-1]) + 1)
        inside = inside[:, kept] if axis == 0 else inside[kept]
    return 1 - inside.size / square.size


def _marks(square: Pixels) -> float:
    """Return the share of small, nearly white spots with a hard edge all around."""
    count, spots, stats, _ = cv2.connectedComponentsWithStats((square >= _MARK_BRIGHT).astype(np.uint8), connectivity=8)
    steep = cv2.dilate(square, np.ones((5, 5))) - cv2.erode(square, np.ones((5, 5))) > _MARK_STEP
    areas = stats[:, cv2.CC_STAT_AREA]
    edged = np.bincount(spots.ravel(), weights=steep.ravel(), minlength=count) >= areas / 2
    marks = edged & (areas >= _MARK_SMALLEST) & (areas <= _MARK_LARGEST * square.size)
    return float(areas[1:][marks[1:]].sum()) / square.size
