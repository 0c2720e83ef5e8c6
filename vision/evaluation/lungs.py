"""Where the lungs are on films that models are made from or measured on, by the packaged anatomy model.

That model was made from the outlines of two of these sets. It knows none of their findings, so where it finds the lungs
gives nothing away of them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision.anatomy import AnatomyModel
from vision.prepare import Preparation
from vision.result import Box

_FOLDER = Path(__file__).parents[1] / "models" / "anatomy"


def lungs_of(pixels: NDArray[np.float32], preparation: Preparation) -> Box | None:
    """Return the box around both lungs of a film (H x W, 0-1) for a network that looks at them, as when serving."""
    return _model().anatomy(pixels).lung_box(0.0) if preparation.sees_lungs else None


@cache
def _model() -> AnatomyModel:
    return AnatomyModel.load(_FOLDER, threads=1)
