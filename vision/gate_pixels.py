"""What simple measures of the pixels rule out: blank, too small, too long, coloured. Knows no model."""

from __future__ import annotations

import numpy as np

from vision.radiograph import Radiograph
from vision.result import Rejection

SMALLEST_SIDE = 56
LONGEST_SHAPE = 3.0
"""Long side over short side; a chest film has at most about 1.4."""
COLOURED = 0.08
"""Share of coloured pixels above which a picture is a photograph; marks on a film colour less."""
LEAST_CONTRAST = 0.03
FEWEST_LEVELS = 16


def pixel_rejection(radiograph: Radiograph) -> Rejection | None:
    """Return why the pixels cannot be a film at all; None when they may be."""
    pixels = radiograph.pixels
    high, wide = pixels.shape
    if min(high, wide) < SMALLEST_SIDE:
        return Rejection(code="too_small", reason=f"fewer than {SMALLEST_SIDE} pixels on a side; nothing can be read")
    if max(high, wide) > LONGEST_SHAPE * min(high, wide):
        return Rejection(code="not_a_film", reason="the picture is too long and narrow for a chest film")
    if radiograph.colour > COLOURED:
        return Rejection(code="not_a_film", reason="a colour picture, not a radiograph")
    thinned = pixels[:: max(high // 256, 1), :: max(wide // 256, 1)]
    low, top = np.percentile(thinned, (1, 99))
    if top - low < LEAST_CONTRAST:
        return Rejection(code="blank", reason="the picture is blank: hardly any contrast")
    if len(np.unique(np.round(thinned * 255))) < FEWEST_LEVELS:
        return Rejection(code="not_a_film", reason="the picture has too few shades of grey for a radiograph")
    return None
