"""Where on the film a finding rests: class-activation map -> heatmap and regions with side and zone.

A map has one value per place on a coarse grid, on the scale of the finding's logit. Knows no network.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.result import Box, Heatmap, Region
from vision.zones import Lungs, Side, Zone

FINE = 64
"""Side of the grid on which regions are drawn."""
_OF_PEAK = 0.5
"""Share of a map's peak that still belongs to a region."""
_SMALLEST = 0.012
"""Share of the film below which a spot is no region."""
_MOST = 4
_MIDLINE = 0.06
"""Half the width of the midline strip, as a share of the film."""
_ZONES: tuple[tuple[float, Zone], ...] = ((0.37, "upper"), (0.6, "middle"), (1.01, "lower"))
"""Heights at which the lung zones end on a frontal film; thirds of lungs that fill 0.12 to 0.85 of its height."""


def heatmap(finding: str, logits: NDArray[np.float32], strength: float = 1.0) -> Heatmap:
    """Return the heatmap of a finding: 0 where the film says no more of it than usual, `strength` where most.

    logits    class-activation map (h x w)
    strength  0-1; a finding that is not above its cut-off gets a faint map
    """
    height, width = logits.shape
    values = tuple(round(float(value), 4) for value in strength * _evidence(logits).ravel())
    return Heatmap(finding=finding, height=height, width=width, values=values)


def regions(
    finding: str,
    logits: NDArray[np.float32],
    orientation: tuple[str, ...] = (),
    strength: float = 1.0,
    lungs: Lungs | None = None,
) -> tuple[Region, ...]:
    """Return the places a finding rests on, strongest first; none where the map has no peak.

    logits       class-activation map (h x w)
    orientation  Patient Orientation of the film; empty means that the left of the film is the patient's right
    strength     0-1, scales the scores of the regions
    lungs        of the film, on a grid of FINE x FINE, to name the places by; None: side and zone by shares of the film
    """
    fine = np.clip(cv2.resize(_evidence(logits), (FINE, FINE), interpolation=cv2.INTER_CUBIC), 0, 1)
    peak = float(fine.max())
    if peak <= 0:
        return ()
    above = (fine >= _OF_PEAK * peak).astype(np.uint8)
    count, places = cv2.connectedComponents(above, connectivity=8)
    found = [_region(finding, fine * strength, places == number, orientation, lungs) for number in range(1, count)]
    large = [region for region in found if _area(region.box) >= _SMALLEST]
    return tuple(sorted(large, key=lambda region: -region.score)[:_MOST])


def _evidence(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much each place speaks for the finding, as a share of the film's strongest place."""
    usual, peak = float(np.median(logits)), float(logits.max())
    if peak - usual < 1e-6:
        return np.zeros_like(logits, np.float32)
    return np.clip((logits.astype(np.float64) - usual) / (peak - usual), 0, 1).astype(np.float32)


def _region(
    finding: str,
    fine: NDArray[np.float32],
    inside: NDArray[np.bool_],
    orientation: tuple[str, ...],
    lungs: Lungs | None,
) -> Region:
    rows, columns = np.nonzero(inside)
    weight = fine[inside]
    x, y = (
        float(np.average(columns + 0.5, weights=weight)) / FINE,
        float(np.average(rows + 0.5, weights=weight)) / FINE,
    )
    box = Box(
        x0=float(columns.min()) / FINE,
        y0=float(rows.min()) / FINE,
        x1=float(columns.max() + 1) / FINE,
        y1=float(rows.max() + 1) / FINE,
    )
    side, zone = (side_of(x, orientation), zone_of(y)) if lungs is None else lungs.name_of(inside, x, y)
    return Region(
        finding=finding,
        box=box,
        score=round(float(weight.max()), 4),
        side=side,
        zone=zone,
        polygon=_outline(inside),
    )


def side_of(x: float, orientation: tuple[str, ...] = ()) -> Side | None:
    """Return the patient's side at a share of the film's width; None when the film's columns run neither way.

    Without Patient Orientation the film is taken as hung: the patient faces the reader.
    """
    towards = orientation[0][:1] if orientation else "L"
    if towards not in ("L", "R"):
        return None
    if abs(x - 0.5) < _MIDLINE:
        return "midline"
    return "left" if (x > 0.5) == (towards == "L") else "right"


def zone_of(y: float) -> Zone:
    """Return the lung zone at a share of the film's height."""
    return next(zone for end, zone in _ZONES if y < end)


def _area(box: Box) -> float:
    return (box.x1 - box.x0) * (box.y1 - box.y0)


def _outline(inside: NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    longest = max(contours, key=cv2.contourArea)
    simple = cv2.approxPolyDP(longest, 0.8, True)[:, 0]
    return tuple((round((x + 0.5) / FINE, 4), round((y + 0.5) / FINE, 4)) for x, y in simple.tolist())
