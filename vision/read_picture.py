"""PNG or JPEG bytes -> radiograph: no header, bright is dense as in every exported film. Knows no model."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.codestream import JPEG_MAGIC, PNG_MAGIC, declared_size, is_whole
from vision.errors import UnreadableImageError
from vision.limits import check_size
from vision.radiograph import Radiograph

_CHROMA = 0.12
"""Spread between the channels, of full scale, from which a pixel counts as coloured; scanned film is tinted less."""


def looks_like_picture(data: bytes) -> bool:
    """Return whether bytes start as PNG or JPEG."""
    return data.startswith((PNG_MAGIC, JPEG_MAGIC))


def read_picture(data: bytes, sha256: str) -> Radiograph:
    """Return the picture in PNG or JPEG bytes, 8 or 16 bits, colour turned to grey, in the orientation it declares.

    Raises UnreadableImageError.
    """
    size = declared_size(data)
    if size is None:
        raise UnreadableImageError("damaged", "the picture does not say its size")
    check_size(*size)
    if not is_whole(data):
        raise UnreadableImageError("truncated", "the picture ends too early or its checksum is wrong")
    stored = _decoded(data)
    grey = stored if stored.ndim == 2 else cv2.cvtColor(stored, cv2.COLOR_BGR2GRAY)
    scale = np.float32(np.iinfo(stored.dtype).max)
    return Radiograph(
        pixels=grey.astype(np.float32) / scale,
        sha256=sha256,
        rows=grey.shape[0],
        columns=grey.shape[1],
        bits=stored.dtype.itemsize * 8,
        has_metadata=False,
        colour=_colour(stored),
    )


def _decoded(data: bytes) -> NDArray[Any]:
    encoded = np.frombuffer(data, np.uint8)
    try:
        stored = cv2.imdecode(encoded, cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error:
        stored = None
    if stored is None or stored.dtype.name not in ("uint8", "uint16"):
        raise UnreadableImageError("damaged", "the picture cannot be decoded")
    decoded: NDArray[Any] = stored
    return decoded


def _colour(stored: NDArray[Any]) -> float:
    if stored.ndim == 2:
        return 0.0
    spread = stored.max(2).astype(np.float32) - stored.min(2)
    return float((spread > _CHROMA * np.iinfo(stored.dtype).max).mean())
