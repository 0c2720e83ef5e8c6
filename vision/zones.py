"""The six zones of the lungs on a grid over the film: which place lies in which, and the name of a spot.

A zone is a third of the height of its lung, from apex to base. Knows no finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.anatomy import Anatomy
from vision.outline import filled

Side = Literal["left", "right", "midline"]
Zone = Literal["upper", "middle", "lower"]
LUNGS: tuple[tuple[Literal["right", "left"], Literal["right_lung", "left_lung"]], ...] = (
    ("right", "right_lung"),
    ("left", "left_lung"),
)
ZONES: tuple[Zone, ...] = ("upper", "middle", "lower")

_IN_A_LUNG = 0.25
"""Share of a spot that must lie in lungs for a lung to name its side; else it lies between them or beside them."""


@dataclass(frozen=True)
class Lungs:
    """Both lungs of one film on a grid.

    inside   per side, bool [n, n]: places in that lung
    heights  per side, first and last row of that lung, in places
    """

    inside: dict[Literal["right", "left"], NDArray[np.bool_]]
    heights: dict[Literal["right", "left"], tuple[float, float]]

    @classmethod
    def of(cls, anatomy: Anatomy, side: int) -> Lungs | None:
        """Return the lungs of a film on a grid of side x side places; None where none were found."""
        if not anatomy.lungs:
            return None
        inside = {name: filled(anatomy.outlines[lung], side, side) for name, lung in LUNGS}
        if not all(lung.any() for lung in inside.values()):
            return None
        rows = {name: np.flatnonzero(lung.any(1)) for name, lung in inside.items()}
        return cls(inside, {name: (float(found[0]), float(found[-1] + 1)) for name, found in rows.items()})

    def zones(self) -> Iterator[tuple[Literal["right", "left"], Zone, NDArray[np.bool_]]]:
        """Yield side, zone and the places in it."""
        for name, lung in self.inside.items():
            top, bottom = self.heights[name]
            edges = np.linspace(top, bottom, len(ZONES) + 1)
            middles = np.arange(len(lung)) + 0.5
            for zone, first, last in zip(ZONES, edges, edges[1:], strict=False):
                rows = (middles >= first) & (middles < last)
                yield name, zone, lung & rows[:, None]

    def name_of(self, spot: NDArray[np.bool_], x: float, y: float) -> tuple[Side, Zone]:
        """Return side and zone of a spot.

        spot  bool [n, n]
        x, y  its middle, in shares of the film
        """
        shared = {name: int((spot & lung).sum()) for name, lung in self.inside.items()}
        if sum(shared.values()) < _IN_A_LUNG * int(spot.sum()):
            side, lung = self._beside(x), self._nearer(x)
        else:
            side = lung = max(shared, key=lambda name: shared[name])
        top, bottom = (edge / len(spot) for edge in self.heights[lung])
        return side, ZONES[int(np.clip(np.floor(3 * (y - top) / (bottom - top)), 0, 2))]

    def _middles(self) -> dict[Literal["right", "left"], float]:
        return {name: float(np.nonzero(lung)[1].mean() + 0.5) / len(lung) for name, lung in self.inside.items()}

    def _nearer(self, x: float) -> Literal["right", "left"]:
        middles = self._middles()
        return min(middles, key=lambda name: abs(middles[name] - x))

    def _beside(self, x: float) -> Side:
        """Return the side of a spot outside the lungs: the midline between their middles, else that of the nearer."""
        low, high = sorted(self._middles().values())
        return "midline" if low < x < high else self._nearer(x)


def shares_marked(lungs: Lungs, marked: NDArray[np.float32]) -> dict[tuple[str, str], float]:
    """Return how much of each zone is marked, by (side, zone).

    marked  [h, w], over the whole film; above 0 is marked
    """
    side = len(next(iter(lungs.inside.values())))
    fine = cv2.resize(marked, (side, side), interpolation=cv2.INTER_LINEAR) > 0
    return {(name, zone): float(fine[places].mean()) if places.any() else 0.0 for name, zone, places in lungs.zones()}
