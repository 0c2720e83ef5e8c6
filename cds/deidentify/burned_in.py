"""Text in the pixels of a film: found by a text detector (PP-OCR, served by OpenVINO), and blanked.

Everything found is blanked but the words of a marker, such as L or PA, that tell nothing of anybody.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vision import Radiograph
from vision.render import shrunk

MARKERS = frozenset(
    {"L", "R", "LEFT", "RIGHT", "AP", "PA", "LAT", "LATERAL", "ERECT", "SUPINE", "UPRIGHT", "PORTABLE", "MOBILE"}
)
_SURE = 0.9
_MARGIN = 0.35
"""Of the height of a text, blanked around it."""
_CONTRASTS = (1.0, 0.4)
"""Powers of the grey values: text on a bright ground shows in another rendering than text on black."""


@dataclass(frozen=True)
class Text:
    """A text in a picture: box in pixels (x0, y0, x1, y1), blanked with its margin, and whether it is a marker."""

    box: tuple[int, int, int, int]
    marker: bool


class TextFinder:
    """The detector, loaded once; one picture at a time."""

    def __init__(self, threads: int = 2) -> None:
        from rapidocr import EngineType, RapidOCR  # slow to import, and needed by few

        kinds = {f"{part}.engine_type": EngineType.OPENVINO for part in ("Det", "Cls", "Rec")}
        options = {"EngineConfig.openvino.inference_num_threads": threads, "Global.log_level": "critical"}
        self._engine: Any = RapidOCR(params={**kinds, **options})
        self._lock = threading.Lock()

    def find(self, picture: NDArray[np.uint8]) -> list[Text]:
        """Return the texts of a picture (H x W, 0-255), in whichever of its renderings they show."""
        found = []
        for power in _CONTRASTS:
            shown = np.round(255 * (picture / 255.0) ** power).astype(np.uint8)
            with self._lock:
                result = self._engine(
                    cv2.cvtColor(shown, cv2.COLOR_GRAY2BGR), use_det=True, use_cls=False, use_rec=True
                )
            if result.boxes is not None:
                found += [
                    _text(box, words, score, picture.shape)
                    for box, words, score in zip(result.boxes, result.txts, result.scores, strict=True)
                ]
        return found


def without_text(radiograph: Radiograph, finder: TextFinder, max_side: int) -> Radiograph:
    """Return a film of at most `max_side` pixels a side with the texts in it blanked."""
    pixels = np.clip(shrunk(radiograph.pixels, max_side), 0, 1)
    texts = finder.find(np.round(255 * pixels).astype(np.uint8))
    return replace(radiograph, pixels=blanked(pixels, texts, 0).astype(np.float32))


def blanked(pixels: NDArray[np.generic], texts: list[Text], fill: int) -> NDArray[np.generic]:
    """Return stored values (H x W or H x W x 3) with every text but markers replaced by `fill`."""
    clean = pixels.copy()
    for text in texts:
        if not text.marker:
            x0, y0, x1, y1 = text.box
            clean[y0:y1, x0:x1] = fill
    return clean


def _text(box: NDArray[np.float32], words: str, score: float, shape: tuple[int, ...]) -> Text:
    corners = np.asarray(box, float)
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    margin = _MARGIN * (y1 - y0) + 2
    height, width = shape[:2]
    return Text(
        box=(
            max(int(x0 - margin), 0),
            max(int(y0 - margin), 0),
            min(int(x1 + margin) + 1, width),
            min(int(y1 + margin) + 1, height),
        ),
        marker=score >= _SURE and words.strip().upper() in MARKERS,
    )
