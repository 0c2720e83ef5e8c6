"""Bytes -> radiograph: DICOM, PNG or JPEG, told apart by content and never by name. Knows no model.

`CODES` are the reasons a film may be refused with here, stable for machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from vision.errors import UnreadableImageError
from vision.limits import MAX_BYTES
from vision.radiograph import Radiograph
from vision.read_dicom import looks_like_dicom, read_dicom
from vision.read_picture import looks_like_picture, read_picture

CODES: Mapping[str, str] = {
    "empty": "no bytes at all",
    "not_an_image": "neither DICOM, PNG nor JPEG",
    "no_pixels": "DICOM without a picture: a report, a plan",
    "truncated": "ends before its picture does",
    "damaged": "the picture cannot be decoded, or is not what its header declares",
    "too_large": "more bytes or pixels than any radiograph has",
    "bad_header": "the header does not describe the pixels",
    "colour": "a colour picture",
    "multi_frame": "several frames",
    "unsupported_pixels": "a bit depth that no radiograph has",
    "unsupported_transfer_syntax": "compressed in a way that is not read",
    "not_readable": "the file cannot be opened",
}
"""Code of an UnreadableImageError -> what it means."""
ENOUGH = 800
"""Pixels on a side that analysis needs: more than any network or measure of quality looks at."""


def read_radiograph(source: bytes | Path, *, least_side: int | None = None) -> Radiograph:
    """Return the radiograph in a file or in its bytes.

    source      DICOM (any transfer syntax of PS3.5 annex A for still pictures, with or without preamble and file meta),
                PNG (8 or 16 bits) or JPEG
    least_side  pixels of half the resolution will do where they have this many on a side and are cheaper to have;
                `ENOUGH` for analysis. None: all pixels

    The pixels are as a viewer would show them: modality LUT or rescale, VOI LUT or window, MONOCHROME1 inverted.
    Raises UnreadableImageError with a code of `CODES`.
    """
    data = _bytes_of(source)
    if not data:
        raise UnreadableImageError("empty", "the file is empty")
    sha256 = hashlib.sha256(data).hexdigest()
    if looks_like_picture(data) and not looks_like_dicom(data):
        return read_picture(data, sha256)
    return read_dicom(data, sha256, least_side)


def _bytes_of(source: bytes | Path) -> bytes:
    try:
        if isinstance(source, Path):
            size, data = source.stat().st_size, b""
            data = source.read_bytes() if size <= MAX_BYTES else b""
        else:
            size, data = len(source), source
    except OSError as error:
        raise UnreadableImageError("not_readable", f"the file cannot be opened ({type(error).__name__})") from None
    if size > MAX_BYTES:
        raise UnreadableImageError("too_large", "the file is larger than any radiograph")
    return data
