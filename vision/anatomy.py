"""A chest film's pixels -> where its lungs and heart lie, with a check that these can be lungs at all.

Served by OpenVINO from a verified model folder. Knows no finding and no measure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray

from vision.anatomy_card import AnatomyCard, read_card
from vision.card import TOLERANCE
from vision.errors import ModelVerificationError
from vision.outline import Polygon, area_of, filled, margin_of, outlines
from vision.prepare import golden_film, prepared
from vision.result import Box, Mask, ModelRef, Structure
from vision.weights import compiled

LABELS: Mapping[Structure, int] = {"right_lung": 1, "left_lung": 2, "heart": 3}
"""Values of a label map, those of JSRT; 0 is everything else."""
_CELLS = 4
_SMALLEST_LUNG, _LARGEST_LUNGS = 0.012, 0.75
"""Area of one lung and of both, as shares of the film."""
_UNEQUAL = 6.0
"""Area of the larger lung as a multiple of the other's; of the 674 films learned from, two lie beyond 4."""
_SIDE_BY_SIDE = 0.3
"""Share of the shorter lung's height at which the other lung is too."""
_AT_EDGE = 0.004
_CUT_OFF = 0.05
"""Length along the film's edge, as a share of it, from which a lung counts as cut off."""

Outlines = Mapping[Structure, tuple[Polygon, ...]]


@dataclass(frozen=True)
class Anatomy:
    """Lungs and heart of one film.

    outlines  of each structure found, by the patient's side; empty where `doubt` says why they cannot be lungs
    doubt     None: both lungs were found and can be lungs
    """

    outlines: Outlines
    doubt: str | None

    @property
    def lungs(self) -> tuple[Polygon, ...]:
        return (*self.outlines.get("right_lung", ()), *self.outlines.get("left_lung", ()))

    @property
    def cut_off(self) -> bool:
        """Say whether a lung runs into the film's edge."""
        return any(_along_edge(polygon) >= _CUT_OFF for polygon in self.lungs)

    def masks(self, model: ModelRef) -> tuple[Mask, ...]:
        """Return the outlines as the result holds them."""
        return tuple(
            Mask(structure=structure, polygons=polygons, model=model) for structure, polygons in self.outlines.items()
        )

    def lung_box(self, margin: float = 0.05) -> Box | None:
        """Return the box around both lungs, wider by a share of the film on each side; None without lungs."""
        if not self.lungs:
            return None
        points = np.concatenate([np.asarray(polygon) for polygon in self.lungs])
        (x0, y0), (x1, y1) = np.clip((points.min(0) - margin, points.max(0) + margin), 0, 1).tolist()
        return Box(x0=x0, y0=y0, x1=x1, y1=y1)


class AnatomyModel:
    """An anatomy folder in service. `anatomy` may be called from one thread at a time."""

    def __init__(self, card: AnatomyCard, model: openvino.CompiledModel) -> None:
        self.card = card
        self._model = model
        self._preparation = card.preparation

    @classmethod
    def load(cls, folder: Path, threads: int) -> AnatomyModel:
        """Return the model of a folder after verifying hashes and golden output.

        Raises ModelVerificationError when the folder does not match its card.
        """
        card = read_card(folder)
        model = cls(card, compiled(folder, card, threads))
        found = golden_shares(model.member_shares(golden_film(card.golden.side)).mean(0))
        if np.abs(np.array(found) - np.array(card.golden.shares)).max() > TOLERANCE:
            raise ModelVerificationError(f"{card.id}: the golden film is not outlined as the card has it")
        return model

    @property
    def ref(self) -> ModelRef:
        return ModelRef(id=self.card.id, version=self.card.version, sha256=self.card.sha256)

    def member_shares(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return how likely each class is at each place, by each member: [M, 4, h, w], adding up to 1 over the classes.

        pixels  float32 [H, W], 0-1, air dark, the whole film
        """
        return np.array(self._model(prepared(pixels, self._preparation)[None])[0][0], np.float32)

    def anatomy(self, pixels: NDArray[np.float32], orientation: tuple[str, ...] = ()) -> Anatomy:
        """Return lungs and heart of a film.

        orientation  Patient Orientation of the film; empty means that the left of the film is the patient's right
        """
        return anatomy_of(self.member_shares(pixels).mean(0), orientation)


def anatomy_of(shares: NDArray[np.float32], orientation: tuple[str, ...] = ()) -> Anatomy:
    """Return lungs and heart from how likely each class is at each place.

    shares       [4, h, w] over the whole film
    orientation  as for `AnatomyModel.anatomy`
    """
    towards = orientation[0][:1] if orientation else "L"
    if towards not in ("L", "R"):
        return Anatomy({}, "the film's columns run neither to the patient's left nor to the right")
    sides: tuple[Structure, Structure] = ("right_lung", "left_lung")
    names: tuple[Structure, ...] = (*(sides if towards == "L" else sides[::-1]), "heart")
    found = {name: outlines(margin_of(shares, label)) for label, name in enumerate(names, start=1)}
    found["heart"] = found["heart"][:1]
    kept: Outlines = {name: found[name] for name in LABELS if found[name]}
    doubt = _doubt(kept)
    return Anatomy(kept if doubt is None else {}, doubt)


def label_map(masks: tuple[Mask, ...], height: int, width: int) -> NDArray[np.uint8]:
    """Return masks on a pixel grid of the whole film: `LABELS`, and 0 elsewhere."""
    labels = np.zeros((height, width), np.uint8)
    for mask in masks:
        labels[filled(mask.polygons, height, width)] = LABELS[mask.structure]
    return labels


def golden_shares(shares: NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    """Return the mean share of each class in each of 4 x 4 cells of the film, from shares [4, h, w]."""
    classes, height, width = shares.shape
    cells = shares.reshape(classes, _CELLS, height // _CELLS, _CELLS, width // _CELLS).mean((2, 4))
    return tuple(tuple(round(float(value), 4) for value in row) for row in cells.reshape(classes, -1))


def _doubt(found: Outlines) -> str | None:
    """Return why shapes cannot be the lungs of a frontal film; None when they can."""
    right, left = (found.get(name, ()) for name in ("right_lung", "left_lung"))
    if not right or not left:
        return "no two lungs were found"
    areas = sorted((area_of(right), area_of(left)))
    if areas[0] < _SMALLEST_LUNG or sum(areas) > _LARGEST_LUNGS or areas[1] > _UNEQUAL * areas[0]:
        return "what was outlined does not have the size of lungs"
    (top, bottom), (other_top, other_bottom) = _heights(right), _heights(left)
    shared = min(bottom, other_bottom) - max(top, other_top)
    if shared < _SIDE_BY_SIDE * min(bottom - top, other_bottom - other_top):
        return "what was outlined does not lie side by side as lungs do"
    return None


def _heights(polygons: tuple[Polygon, ...]) -> tuple[float, float]:
    heights = [y for polygon in polygons for _, y in polygon]
    return min(heights), max(heights)


def _along_edge(polygon: Polygon) -> float:
    """Return the length of a polygon's sides that run along the film's edge."""
    ring = np.asarray(polygon)
    ends = np.roll(ring, -1, 0)
    lengths = np.abs(ends - ring).sum(1)
    at_edge = np.zeros(len(ring), bool)
    for edge in (0.0, 1.0):
        for axis in (0, 1):
            at_edge |= (np.abs(ring[:, axis] - edge) <= _AT_EDGE) & (np.abs(ends[:, axis] - edge) <= _AT_EDGE)
    return float(lengths[at_edge].sum())
