"""Pixels as displayed -> the tensor a network takes. One function for training and serving, so they cannot differ.

Knows no file format and no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.result import Box

Region = Literal["film", "lungs"]
WHOLE_FILM = Box(x0=0.0, y0=0.0, x1=1.0, y1=1.0)
IMAGENET_MEAN = (0.498, 0.498, 0.498)
IMAGENET_STD = (0.502, 0.502, 0.502)


@dataclass(frozen=True)
class Preparation:
    """How a film becomes a network's input; the `input` section of model.yaml.

    size  side of the square input in pixels; the region is scaled to it whole, so a fraction of the input is the same
          fraction of the region
    mean, std  per channel, for pixels 0-1 (EfficientNet-lite: 127/255 and 128/255)
    low, high  percentiles of a region that become 0 and 1, so that exposure and windowing matter less
    regions  what the networks look at, one view each: film, all of it; lungs, what lies around them, so that framing
             matters less and lungs are seen larger
    margin  around the lungs, as a share of the width and height of the box around them
    """

    size: int = 224
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    low: float = 0.5
    high: float = 99.5
    regions: tuple[Region, ...] = ("film",)
    margin: float = 0.1

    @classmethod
    def from_card(cls, section: dict[str, Any]) -> Preparation:
        """Return the preparation that a model.yaml describes. Raises TypeError on an unknown field."""
        listed = {name: tuple(value) for name, value in section.items() if isinstance(value, (list, tuple))}
        return cls(**{**section, **listed})

    def as_card(self) -> dict[str, Any]:
        card: dict[str, Any] = {
            "size": self.size,
            "mean": list(self.mean),
            "std": list(self.std),
            "low": self.low,
            "high": self.high,
        }
        return {**card, "regions": list(self.regions), "margin": self.margin} if self.sees_lungs else card

    @property
    def sees_lungs(self) -> bool:
        return "lungs" in self.regions

    def parts(self, lungs: Box | None) -> tuple[Box, ...]:
        """Return the part of a film in each view.

        lungs  box around both lungs; None: not found, so every view is of the whole film
        """
        around = WHOLE_FILM if lungs is None else widened(lungs, self.margin)
        return tuple(around if region == "lungs" else WHOLE_FILM for region in self.regions)


def stretched(pixels: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float32]:
    """Return `pixels` (H x W) with the configured percentiles brought to 0 and 1."""
    low, high = np.percentile(pixels, (preparation.low, preparation.high))
    if high - low < 1e-6:
        return np.zeros_like(pixels)
    scaled: NDArray[np.float32] = np.clip((pixels - low) / (high - low), 0, 1).astype(np.float32)
    return scaled


def resized(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return `pixels` (H x W) scaled to a square, averaging when it shrinks so that nothing aliases."""
    shrinks = pixels.shape[0] >= side and pixels.shape[1] >= side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    square: NDArray[np.float32] = cv2.resize(
        np.ascontiguousarray(pixels, np.float32), (side, side), interpolation=method
    )
    return square


def normalised(pixels: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float32]:
    """Return a square (size x size, 0-1) as a tensor (3 x size x size)."""
    mean = np.asarray(preparation.mean, np.float32)[:, None, None]
    std = np.asarray(preparation.std, np.float32)[:, None, None]
    return ((pixels[None] - mean) / std).astype(np.float32)


def widened(box: Box, margin: float) -> Box:
    """Return a box wider on each side by a share of its width and height, within the film."""
    width, height = margin * (box.x1 - box.x0), margin * (box.y1 - box.y0)
    return Box(
        x0=max(box.x0 - width, 0.0),
        y0=max(box.y0 - height, 0.0),
        x1=min(box.x1 + width, 1.0),
        y1=min(box.y1 + height, 1.0),
    )


def cut(pixels: NDArray[Any], part: Box) -> NDArray[Any]:
    """Return the part of a film (H x W), of one pixel at least."""
    height, width = pixels.shape
    top, left = min(round(part.y0 * height), height - 1), min(round(part.x0 * width), width - 1)
    return pixels[top : max(round(part.y1 * height), top + 1), left : max(round(part.x1 * width), left + 1)]


def prepared(pixels: NDArray[np.float32], preparation: Preparation) -> NDArray[np.float32]:
    """Return the network input (3 x size x size) of a film (H x W, 0-1, air dark), or of a part of one."""
    return normalised(stretched(resized(pixels, preparation.size), preparation), preparation)


def views(pixels: NDArray[np.float32], preparation: Preparation, lungs: Box | None = None) -> NDArray[np.float32]:
    """Return the network input (views x 3 x size x size) of a film (H x W, 0-1, air dark).

    lungs  box around both lungs, for networks that look at them
    """
    return np.stack([prepared(cut(pixels, part), preparation) for part in preparation.parts(lungs)])


def golden_film(size: int) -> NDArray[np.float32]:
    """Return the deterministic picture (size x size, 0-1) on which a model's golden output was recorded."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    lungs = np.exp(-(((x - 0.3) / 0.12) ** 2 + ((y - 0.5) / 0.3) ** 2)) + np.exp(
        -(((x - 0.7) / 0.12) ** 2 + ((y - 0.5) / 0.3) ** 2)
    )
    ribs = 0.08 * np.sin(40 * y + 6 * np.abs(x - 0.5))
    film: NDArray[np.float32] = np.clip(0.75 - 0.6 * lungs + ribs, 0, 1).astype(np.float32)
    return film
