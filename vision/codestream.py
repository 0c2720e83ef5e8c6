"""What compressed pictures say of themselves, read before anything is decoded: their size, and whether they are whole.

A header may promise little and the codestream inside it much, or the other way round; decoders believe either.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
J2K_MAGIC = b"\xff\x4f\xff\x51"
JP2_MAGIC = b"\x00\x00\x00\x0cjP  "

_END_OF_IMAGE = b"\xff\xd9"
_PADDING = b"\x00\xff"
_START_OF_SCAN = 0xDA
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
"""Markers between SOF0 and SOF15 that are no frame headers: DHT, JPG, DAC (ITU-T T.81 table B.1)."""
_JPEG_LS_FRAME = 0xF7
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length: TEM, RSTn, SOI."""


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Return rows and columns that a PNG, JPEG, JPEG-LS or JPEG 2000 codestream declares, or None."""
    if data.startswith(PNG_MAGIC):
        return _png_size(data)
    if data.startswith(J2K_MAGIC):
        return _j2k_size(data, 0)
    if data.startswith(JP2_MAGIC):
        start = data.find(J2K_MAGIC)
        return None if start < 0 else _j2k_size(data, start)
    if data.startswith(JPEG_MAGIC):
        return _jpeg_size(data)
    return None


def is_whole(data: bytes) -> bool:
    """Return whether a PNG, JPEG or JPEG 2000 codestream reaches its end, and a PNG's checksums hold."""
    if data.startswith(PNG_MAGIC):
        return _png_is_whole(data)
    if data.startswith(JPEG_MAGIC):
        scan = next((start for marker, start, _ in _jpeg_segments(data) if marker == _START_OF_SCAN), None)
        return scan is not None and data.find(_END_OF_IMAGE, scan) >= 0
    if data.startswith((J2K_MAGIC, JP2_MAGIC)):
        return data.rstrip(_PADDING).endswith(_END_OF_IMAGE)
    return True


def rle_is_longer_than(frame: bytes, limit: int) -> bool:
    """Return whether a segment of an RLE frame (PS3.5 annex G) decodes to more than `limit` bytes."""
    count = min(int.from_bytes(frame[:4], "little"), 15)
    offsets = [int.from_bytes(frame[4 * i + 4 : 4 * i + 8], "little") for i in range(count)]
    ends = [*offsets[1:], len(frame)]
    return any(_rle_exceeds(frame[start:end], limit) for start, end in zip(offsets, ends, strict=False))


def _rle_exceeds(segment: bytes, limit: int) -> bool:
    length = position = 0
    while position < len(segment) and length <= limit:
        head = segment[position]
        if head > 128:
            length, position = length + 257 - head, position + 2
        elif head < 128:
            length, position = length + head + 1, position + head + 2
        else:
            position += 1
    return length > limit


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 24 or data[12:16] != b"IHDR":
        return None
    columns, rows = struct.unpack(">II", data[16:24])
    return rows, columns


def _png_is_whole(data: bytes) -> bool:
    position = len(PNG_MAGIC)
    while position + 12 <= len(data):
        (length,) = struct.unpack(">I", data[position : position + 4])
        end = position + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of the payload of each segment up to the first scan."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _ALONE:
            position += 2
            continue
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        yield marker, position + 4, position + 2 + length
        if marker == _START_OF_SCAN:
            return
        position += 2 + length


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    for marker, start, _ in _jpeg_segments(data):
        frame = 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES
        if (frame or marker == _JPEG_LS_FRAME) and start + 5 <= len(data):
            rows, columns = struct.unpack(">HH", data[start + 1 : start + 5])
            return rows, columns
    return None


def _j2k_size(data: bytes, start: int) -> tuple[int, int] | None:
    """Return the size of the image area by the SIZ segment (ITU-T T.800 A.5.1)."""
    if len(data) < start + 24:
        return None
    columns, rows, left, top = struct.unpack(">IIII", data[start + 8 : start + 24])
    return max(rows - top, 0), max(columns - left, 0)
