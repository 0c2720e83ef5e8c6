"""Films as pages show them, drawn once: by the worker when no film waits for it, or when first asked for."""

from __future__ import annotations

from cds.store import BlobFolder
from vision import read_radiograph, render_png

FIRST_SIDE = 1600
"""Longest side of the picture that a page opens with."""
_FIRST = "film-1.png"


def shown_film(blobs: BlobFolder, digest: str, max_side: int = FIRST_SIDE, enhancement: str | None = None) -> bytes:
    """Return a film as PNG; what a page opens with is kept, anything else is drawn each time.

    Raises UnreadableImageError, and ValueError on an unknown enhancement.
    """

    def drawn(data: bytes) -> bytes:
        return render_png(read_radiograph(data), max_side, enhancement)

    if (max_side, enhancement) == (FIRST_SIDE, None):
        return blobs.derived(digest, _FIRST, drawn)
    return drawn(blobs.get(digest))
