"""A film in its whole depth, for a viewer that sets window and level itself. Knows no page and no model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vision.errors import UnreadableImageError
from vision.greyscale import displayed, window_of
from vision.prepare import Preparation
from vision.read_dicom import decoded_dicom
from vision.render import shrunk

WHITE = 65535


@dataclass(frozen=True, eq=False)
class DeepPicture:
    """One greyscale picture with the range its detector gave.

    values        uint16, H x W; air dark, bone bright; 0 and 65535 are the least and the greatest value of the film
    level, width  of the window that `vision.render_png` shows it with, as shares of that range
    bits          as stored
    """

    values: NDArray[np.uint16] = field(repr=False)
    level: float
    width: float
    bits: int


def deep_picture(data: bytes, max_side: int) -> DeepPicture:
    """Return the pixels of a DICOM film before its window is applied, at most `max_side` long.

    Where the film carries a VOI LUT or a window that is not linear, the pixels are after it: a viewer's window is
    linear and could not show them otherwise.
    Raises UnreadableImageError.
    """
    dataset, stored = decoded_dicom(data)
    try:
        shown = displayed(stored, dataset)
        linear = window_of(stored, dataset)
    except Exception as error:  # noqa: BLE001 - header values of any kind end here
        raise UnreadableImageError("bad_header", f"the window cannot be applied ({type(error).__name__})") from None
    values, black, white = (shown, 0.0, 1.0) if linear is None else linear
    standard = Preparation()
    low, high = (float(share) for share in np.percentile(shown, (standard.low, standard.high)))
    black, white = black + low * (white - black), black + max(high, low + 1e-3) * (white - black)
    return DeepPicture(
        values=np.round(np.clip(shrunk(values, max_side), 0, 1) * WHITE).astype(np.uint16),
        level=(black + white) / 2,
        width=white - black,
        bits=int(dataset.BitsStored),
    )
