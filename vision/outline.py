"""Shapes on a film: what a network gives per place -> polygons in fractions of the film -> a map on any pixel grid.

A place of a grid stands for its middle: column j of n lies at (j + 0.5) / n. Knows no network and no structure's name.
"""

from __future__ import annotations

from collections.abc import Sequence

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = tuple[tuple[float, float], ...]
"""A closed ring of (x, y) in fractions (0-1) of width and height, without its first point again at the end."""

_STRAIGHT = 0.1
"""Places of the grid by which a polygon may leave the line it stands for."""
_PIECE = 0.1
"""Area, as a share of the largest piece, below which a further piece is an error."""
_CERTAIN = 1e-4


def outlines(margin: NDArray[np.float32]) -> tuple[Polygon, ...]:
    """Return the outlines of where a map is above zero, largest first: without holes, without small pieces.

    margin  [h, w] over the whole film, between its places as straight as it goes
    """
    height, width = margin.shape
    edged = np.pad(margin, 1, mode="edge").astype(np.float64)
    ring = np.ones(edged.shape, bool)
    ring[1:-1, 1:-1] = False
    edged[ring] = -np.abs(edged[ring])
    lines = contourpy.contour_generator(z=edged).lines(0.0)
    shapes = [np.asarray(line) for line in lines if len(line) > 3]
    areas = [_signed_area(shape) for shape in shapes]
    largest = max(areas, key=abs, default=0.0)
    outer = sorted((a / largest, n) for n, a in enumerate(areas) if largest and a / largest >= _PIECE)
    return tuple(_polygon(shapes[number], width, height) for _, number in reversed(outer))


def margin_of(shares: NDArray[np.float32], structure: int) -> NDArray[np.float32]:
    """Return by how much a structure is likelier at each place than the likeliest other, as a logarithm.

    shares  [K, h, w], adding up to 1 at each place
    """
    others = np.delete(shares, structure, axis=0).max(0)
    margin: NDArray[np.float32] = np.log(shares[structure] + _CERTAIN) - np.log(others + _CERTAIN)
    return margin


def filled(polygons: Sequence[Polygon], height: int, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a grid whose middle lies inside polygons of the film (by even and odd)."""
    toggles = np.zeros((height, width + 1), np.uint8)
    middles = np.arange(height) + 0.5
    for polygon in polygons:
        ring = np.asarray(polygon, np.float64) * (width, height)
        ends = np.roll(ring, -1, 0)
        low, high = np.minimum(ring[:, 1], ends[:, 1]), np.maximum(ring[:, 1], ends[:, 1])
        edges, rows = np.nonzero((middles >= low[:, None]) & (middles < high[:, None]))
        (x0, y0), (x1, y1) = ring[edges].T, ends[edges].T
        crossing = x0 + (middles[rows] - y0) * (x1 - x0) / (y1 - y0)
        np.add.at(toggles, (rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)), 1)
    return np.bitwise_xor.accumulate(toggles[:, :width] & 1, axis=1).astype(bool)


def area_of(polygons: Sequence[Polygon]) -> float:
    """Return the area inside polygons that do not overlap, as a share of the film."""
    return sum(abs(_signed_area(np.asarray(polygon))) for polygon in polygons)


def _signed_area(ring: NDArray[np.float64]) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _polygon(line: NDArray[np.float64], width: int, height: int) -> Polygon:
    """Return a line of the padded grid as a polygon of the film."""
    kept = cv2.approxPolyDP(line[:-1].astype(np.float32)[:, None], _STRAIGHT, True)[:, 0].astype(np.float64)
    fractions = np.clip((kept - 0.5) / (width, height), 0, 1)
    return tuple((round(float(x), 4), round(float(y), 4)) for x, y in fractions)
