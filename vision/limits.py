"""How large a film may be. A film declares its size before it is decoded, so a bomb is refused unopened."""

from __future__ import annotations

from vision.errors import UnreadableImageError

MAX_BYTES = 256 * 2**20
"""Of a file, and of a deflated dataset once inflated."""
MAX_PIXELS = 50_000_000
"""The largest detectors have about 25 million."""
MAX_SIDE = 16_384


def check_size(rows: int, columns: int) -> None:
    """Raise UnreadableImageError unless a picture of this size is read."""
    if rows < 1 or columns < 1:
        raise UnreadableImageError("bad_header", "the picture declares no pixels")
    if rows > MAX_SIDE or columns > MAX_SIDE or rows * columns > MAX_PIXELS:
        raise UnreadableImageError("too_large", f"more than {MAX_PIXELS:,} pixels, larger than any radiograph")
