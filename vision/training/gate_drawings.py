"""Pictures drawn by chance: cross-sections, textures, pages, plots. What no data set at hand has enough of."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]
_SIDE = 320


def ct_slice(random: np.random.Generator) -> Pixels:
    """Return a cross-section: a body on black, with lungs, a skull or organs, and often the table below it."""
    picture = np.zeros((_SIDE, _SIDE), np.float32)
    centre = tuple(int(_SIDE / 2 + random.uniform(-20, 20)) for _ in range(2))
    wide, high = _SIDE * random.uniform(0.28, 0.47), _SIDE * random.uniform(0.2, 0.4)
    soft = float(random.uniform(0.35, 0.6))
    _ellipse(picture, centre, wide, high, soft * 0.7, random)
    _ellipse(picture, centre, wide * 0.92, high * 0.9, soft, random)
    inside = [_lungs, _skull, _organs][int(random.integers(3))]
    inside(picture, centre, wide, high, soft, random)
    _ellipse(picture, (centre[0], int(centre[1] + 0.6 * high)), wide * 0.1, high * 0.12, 0.95, random)
    if random.random() < 0.5:
        table = (int(wide * 1.1), int(high * 0.5))
        cv2.ellipse(picture, (centre[0], int(centre[1] + high * 0.8)), table, 0, 20, 160, 0.5, 2)
    if random.random() < 0.3:
        y, x = np.mgrid[0:_SIDE, 0:_SIDE] - _SIDE / 2
        picture[np.hypot(x, y) > _SIDE / 2] = 0
    return _grain(picture, random, 0.05)


def _lungs(
    picture: Pixels, centre: tuple[int, ...], wide: float, high: float, soft: float, random: np.random.Generator
) -> None:
    for side in (-1, 1):
        place = (int(centre[0] + side * wide * random.uniform(0.38, 0.48)), centre[1])
        size = wide * random.uniform(0.28, 0.36), high * random.uniform(0.5, 0.7)
        _ellipse(picture, place, *size, soft * 0.15, random)
        for _ in range(int(random.integers(10, 40))):
            dot = tuple(int(random.normal(p, s / 3)) for p, s in zip(place, size, strict=True))
            cv2.circle(picture, dot, int(random.integers(1, 4)), soft * 0.9, -1)
    _ellipse(picture, (centre[0], int(centre[1] - high * 0.2)), wide * 0.2, high * 0.35, soft * 1.2, random)


def _skull(
    picture: Pixels, centre: tuple[int, ...], wide: float, high: float, soft: float, random: np.random.Generator
) -> None:
    _ellipse(picture, centre, wide * 0.9, high * 0.9, 1.0, random)
    _ellipse(picture, centre, wide * 0.82, high * 0.82, soft, random)
    for side in (-1, 1):
        place = (int(centre[0] + side * wide * 0.12), centre[1])
        _ellipse(picture, place, wide * 0.06, high * 0.3, soft * 0.5, random)


def _organs(
    picture: Pixels, centre: tuple[int, ...], wide: float, high: float, soft: float, random: np.random.Generator
) -> None:
    for _ in range(int(random.integers(4, 12))):
        place = tuple(int(random.normal(c, s / 3)) for c, s in zip(centre, (wide, high), strict=True))
        shade = float(np.clip(soft * random.uniform(0.2, 1.6), 0, 1))
        _ellipse(picture, place, wide * random.uniform(0.06, 0.35), high * random.uniform(0.06, 0.35), shade, random)


def _ellipse(
    picture: Pixels, centre: tuple[int, ...], wide: float, high: float, shade: float, random: np.random.Generator
) -> None:
    axes = (max(int(wide), 1), max(int(high), 1))
    cv2.ellipse(picture, centre, axes, float(random.uniform(-6, 6)), 0, 360, float(shade), -1, cv2.LINE_AA)


def drawing(random: np.random.Generator) -> Pixels:
    """Return a texture, a page of text, a plot, a test pattern, clouds, noise or a gradient."""
    kinds = (_clouds, _page, _plot, _pattern, _noise, _gradient, _shapes)
    return kinds[int(random.integers(len(kinds)))](random)


def _clouds(random: np.random.Generator) -> Pixels:
    """Noise with a spectrum as nature has it, from smooth to rough."""
    fy, fx = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]
    falloff = np.hypot(fx, fy)
    falloff[0, 0] = 1
    spectrum = np.exp(2j * np.pi * random.random(falloff.shape)) / falloff ** random.uniform(0.5, 2.5)
    return _scaled(np.fft.irfft2(spectrum, (_SIDE, _SIDE)))


def _page(random: np.random.Generator) -> Pixels:
    dark = random.random() < 0.3
    page = np.full((int(random.integers(240, 420)), _SIDE), 0.05 if dark else 0.97, np.float32)
    ink, y, size = (0.9 if dark else 0.1), 16, float(random.uniform(0.3, 0.9))
    while y < page.shape[0]:
        words = "".join(chr(int(random.integers(97, 123))) if random.random() < 0.82 else " " for _ in range(60))
        line = words[: int(random.integers(10, 60))]
        page[written(page.shape, line, (10, y), size, font=int(random.integers(0, 4)))] = ink
        y += int(34 * size) + int(random.integers(2, 14))
    return page


def written(
    shape: tuple[int, ...], text: str, place: tuple[int, int], size: float, *, font: int = 0, thickness: int = 1
) -> NDArray[np.bool_]:
    """Return where a text written on a picture of `shape` leaves ink."""
    ink = np.zeros(shape, np.uint8)
    cv2.putText(ink, text, place, font, size, 255, thickness)
    return ink > 0


def _plot(random: np.random.Generator) -> Pixels:
    plot = np.ones((_SIDE, int(_SIDE * random.uniform(0.8, 1.6))), np.float32)
    x = np.arange(30, plot.shape[1] - 10)
    for _ in range(int(random.integers(1, 5))):
        y = np.cumsum(random.normal(size=len(x)))
        y = 20 + (_SIDE - 60) * (y - y.min()) / (np.ptp(y) + 1e-6)
        cv2.polylines(plot, [np.stack([x, y], 1).astype(np.int32)], False, float(random.uniform(0, 0.7)), 2)
    if random.random() < 0.5:
        for left in range(40, plot.shape[1] - 30, 30):
            cv2.rectangle(plot, (left, _SIDE - 30), (left + 18, int(random.integers(20, 280))), 0.4, -1)
    cv2.rectangle(plot, (30, 10), (plot.shape[1] - 10, _SIDE - 30), 0, 1)
    return plot


def _pattern(random: np.random.Generator) -> Pixels:
    period, angle = random.uniform(4, 80), random.uniform(0, np.pi)
    y, x = np.mgrid[0:_SIDE, 0:_SIDE]
    along = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    across = np.sin(2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / period)
    wave = along if random.random() < 0.5 else along * across
    return _scaled(np.sign(wave) if random.random() < 0.5 else wave)


def _noise(random: np.random.Generator) -> Pixels:
    noise = random.random((_SIDE, _SIDE)).astype(np.float32)
    return noise if random.random() < 0.3 else _scaled(cv2.GaussianBlur(noise, (0, 0), float(random.uniform(0.6, 12))))


def _gradient(random: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE
    ramp = (
        x * random.normal() + y * random.normal() + random.normal() * (x - 0.5) ** 2 + random.normal() * (y - 0.5) ** 2
    )
    return _grain(_scaled(ramp), random, 0.03)


def _shapes(random: np.random.Generator) -> Pixels:
    picture = np.full((_SIDE, _SIDE), random.random(), np.float32)
    for _ in range(int(random.integers(3, 40))):
        corner, other = (tuple(int(n) for n in random.integers(0, _SIDE, 2)) for _ in range(2))
        shade, kind = float(random.random()), int(random.integers(3))
        if kind == 0:
            cv2.rectangle(picture, corner, other, shade, -1)
        elif kind == 1:
            cv2.circle(picture, corner, int(random.integers(3, 90)), shade, -1)
        else:
            cv2.line(picture, corner, other, shade, int(random.integers(1, 12)))
    return _grain(picture, random, 0.04)


def _scaled(values: NDArray[np.floating]) -> Pixels:
    low, high = float(values.min()), float(values.max())
    scaled: Pixels = ((values - low) / max(high - low, 1e-6)).astype(np.float32)
    return scaled


def _grain(picture: Pixels, random: np.random.Generator, strength: float) -> Pixels:
    grain = random.normal(0, random.uniform(0, strength), picture.shape)
    grained: Pixels = np.clip(picture + grain * (picture > 0), 0, 1).astype(np.float32)
    return grained
