"""Variations of a picture: those a gate must not mind, and those of a chest film that it must name and refuse."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.training.gate_drawings import written

Pixels = NDArray[np.float32]

MISTAKES = ("sideways", "upside_down", "inverted", "part")
"""Kinds made of a frontal chest film that was stored, displayed or cut wrongly."""


def mistaken(pixels: Pixels, mistake: str, random: np.random.Generator) -> Pixels:
    """Return a chest film with one of `MISTAKES` made on it."""
    if mistake == "sideways":
        return np.ascontiguousarray(np.rot90(pixels, int(random.choice([1, 3]))))
    if mistake == "upside_down":
        return np.ascontiguousarray(np.rot90(pixels, 2) if random.random() < 0.5 else pixels[::-1])
    if mistake == "inverted":
        return 1 - pixels
    return _part(pixels, random)


def _part(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return a piece of at most a fifth of the film, from anywhere."""
    high, wide = (int(length * random.uniform(0.3, 0.45)) for length in pixels.shape)
    top, left = int(random.integers(0, pixels.shape[0] - high)), int(random.integers(0, pixels.shape[1] - wide))
    return np.ascontiguousarray(pixels[top : top + high, left : left + wide])


def varied(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return a picture as another scanner, another viewer or another export would have it."""
    steps = (
        (0.3, _bordered),
        (0.3, _trimmed),
        (0.5, _turned),
        (0.5, _exposed),
        (0.3, _marked),
        (0.4, _degraded),
        (0.3, _noisy),
    )
    for chance, step in steps:
        if random.random() < chance:
            pixels = step(pixels, random)
    return pixels


def _bordered(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Surround with unexposed or fully exposed film, as collimation leaves."""
    shade = float(random.choice([0.0, 1.0, 0.1]))
    widths = [int(random.uniform(0, 0.12) * pixels.shape[i // 2]) for i in range(4)]
    if random.random() < 0.3:
        widths[2] = widths[3] = int(random.uniform(0.05, 0.3) * pixels.shape[1])
    top, bottom, left, right = widths
    bordered = cv2.copyMakeBorder(pixels, top, bottom, left, right, cv2.BORDER_CONSTANT, value=shade)
    return np.asarray(bordered, np.float32)


def _trimmed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    top, bottom = (int(random.uniform(0, 0.07) * pixels.shape[0]) for _ in range(2))
    left, right = (int(random.uniform(0, 0.07) * pixels.shape[1]) for _ in range(2))
    return np.ascontiguousarray(pixels[top : pixels.shape[0] - bottom, left : pixels.shape[1] - right])


def _turned(pixels: Pixels, random: np.random.Generator) -> Pixels:
    if random.random() < 0.4:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    high, wide = pixels.shape
    turn = cv2.getRotationMatrix2D((wide / 2, high / 2), float(random.uniform(-8, 8)), 1.0)
    turned: Pixels = cv2.warpAffine(pixels, turn, (wide, high), borderMode=cv2.BORDER_REPLICATE)
    return turned


def _exposed(pixels: Pixels, random: np.random.Generator) -> Pixels:
    exposed: Pixels = np.clip(pixels, 0, 1) ** random.uniform(0.55, 1.8) * random.uniform(0.8, 1.2) + random.uniform(
        -0.1, 0.1
    )
    return np.clip(exposed, 0, 1).astype(np.float32)


def _marked(pixels: Pixels, random: np.random.Generator) -> Pixels:
    marked = pixels.copy()
    high, wide = marked.shape
    place = (int(random.uniform(0, 0.85) * wide), int(random.choice([0.08, 0.95]) * high))
    text = str(random.choice(["R", "L", "AP", "PORTABLE", "ERECT", "SUPINE"]))
    marked[written(marked.shape, text, place, high / 320 * float(random.uniform(0.4, 1.2)), thickness=2)] = 1
    return marked


def _degraded(pixels: Pixels, random: np.random.Generator) -> Pixels:
    side = int(random.choice([64, 96, 128, 160]))
    small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
    if random.random() < 0.5:
        coded = cv2.imencode(".jpg", np.round(small * 255).astype(np.uint8), [1, int(random.integers(40, 95))])[1]
        decoded: NDArray[np.uint8] = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
        small = decoded.astype(np.float32) / np.float32(255)
    degraded: Pixels = small
    return degraded


def _noisy(pixels: Pixels, random: np.random.Generator) -> Pixels:
    noise = random.normal(0, random.uniform(0.01, 0.05), pixels.shape)
    return np.clip(pixels + noise, 0, 1).astype(np.float32)
