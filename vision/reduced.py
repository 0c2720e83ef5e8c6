"""A JPEG 2000 frame at half its resolution, which costs less than half of decoding it whole.

The codestream holds it as such: the lowest band of its last wavelet level (ITU-T T.800 annex F). For networks, whose
input is a fraction of a film's size; a viewer gets the whole. Knows no DICOM.
"""

from __future__ import annotations

import io
import os

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.codestream import J2K_MAGIC

os.environ.setdefault("OPJ_NUM_THREADS", str(min(2, os.cpu_count() or 1)))
"""OpenJPEG takes from here how many threads decode one film."""
_DECODER_BITS = 16
"""The decoder scales values of more than 8 bits up to this many."""


def halved(frame: bytes, bits: int) -> NDArray[np.uint16] | NDArray[np.uint8] | None:
    """Return an unsigned grey frame at half its resolution, values as stored; None where it cannot be had.

    bits  of a value, as the header states them
    """
    if not frame.startswith(J2K_MAGIC) or _bits_of(frame) != bits:
        return None
    try:
        with Image.open(io.BytesIO(frame), formats=("JPEG2000",)) as picture:
            picture.reduce = 1  # type: ignore[method-assign,assignment]
            values = np.asarray(picture)
    except Exception:  # noqa: BLE001 - the decoder of whole frames then says what is wrong
        return None
    if values.dtype == np.uint8 and bits == 8:
        return values
    if values.dtype != np.uint16:
        return None
    stored: NDArray[np.uint16] = np.right_shift(values, _DECODER_BITS - bits, dtype=np.uint16)
    return stored


def _bits_of(frame: bytes) -> int | None:
    """Return the bits of the only component by the SIZ segment (ITU-T T.800 A.5.1); None where they are signed."""
    components, depth = int.from_bytes(frame[40:42], "big"), frame[42] if len(frame) > 42 else 0
    return None if components != 1 or depth & 0x80 else depth + 1
