"""Labelled films as arrays, as the networks are trained on them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision.evaluation.films import LabelledFilms
from vision.evaluation.lungs import lungs_of
from vision.evaluation.unseen import read_film
from vision.prepare import WHOLE_FILM, Preparation, Region, cut, stretched
from vision.result import Box

STORED_SIDE = 256
STORED_MARGIN = 0.2
"""Around the lungs, as `Preparation.margin`; augmentation cuts it again."""
PLACE_SIDE = 64
EMPHASIS = {
    "lung_opacity": 4.0,
    "pleural_effusion": 1.5,
    "atelectasis": 1.5,
    "pulmonary_edema": 1.5,
    "consolidation": 1.5,
    "cardiomegaly": 1.5,
    "pneumonia": 0.5,
    "infiltration": 0.5,
}


@dataclass(frozen=True)
class FilmSet:
    """Films of one task.

    films    uint8 [N, side, side]
    targets  float32 [N, K], NaN where not known
    weights  float32 [N, K]
    places   uint8 [N, PLACE_SIDE, PLACE_SIDE], 255 inside a radiologist's box of the first label
    placed   bool [N], whether `places` is known (an empty place is an answer too)
    rate     float32 [N], how often a film is shown per epoch
    groups   patient of each film, unique over sources
    """

    labels: tuple[str, ...]
    films: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    places: NDArray[np.uint8]
    placed: NDArray[np.bool_]
    rate: NDArray[np.float32]
    groups: NDArray[np.str_]


def film_set(labelled: LabelledFilms, side: int = STORED_SIDE, region: Region = "film") -> FilmSet:
    """Return labelled films with their pixels, read from disk and scaled to squares of a side.

    region  film: all of each film; lungs: what lies around them

    Raises FileNotFoundError when one cannot be read.
    """
    parts = [_part(path, region) for path in labelled.table["path"]]
    places, placed = _places(labelled.table, parts)
    rate = labelled.table.get("rate", pd.Series(1.0, index=labelled.table.index))
    return FilmSet(
        labels=labelled.labels,
        films=np.stack([film_of(path, side, part) for path, part in zip(labelled.table["path"], parts, strict=True)]),
        targets=labelled.targets,
        weights=labelled.weights * np.array([EMPHASIS.get(label, 1.0) for label in labelled.labels], np.float32),
        places=places,
        placed=placed,
        rate=rate.fillna(1.0).to_numpy(np.float32),
        groups=labelled.groups,
    )


def _part(path: Path, region: Region) -> Box:
    """Return the part of a film that is kept."""
    preparation = Preparation(regions=(region,), margin=STORED_MARGIN)
    lungs = lungs_of(read_film(path), preparation) if preparation.sees_lungs else None
    return preparation.parts(lungs)[0]


def _places(table: pd.DataFrame, parts: Sequence[Box]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the radiologists' boxes as masks of the part that is seen, and for which films they are known."""
    places = np.zeros((len(table), PLACE_SIDE, PLACE_SIDE), np.uint8)
    if "boxes" not in table:
        return places, np.zeros(len(table), bool)
    known = table["boxes"].notna().to_numpy(bool)
    for row in np.flatnonzero(known):
        for x, y, width, height in json.loads(table["boxes"].iloc[row]):
            box = np.array([[x, y], [x + width, y + height]]) / 1024
            (left, top), (right, bottom) = np.round(_within(box, parts[int(row)]) * PLACE_SIDE).astype(int).tolist()
            places[row, top:bottom, left:right] = 255
    return places, known


def _within(points: NDArray[np.float64], part: Box) -> NDArray[np.float64]:
    """Return points (x, y as shares of the film) as shares of a part of it, brought to its border."""
    inside = (points - (part.x0, part.y0)) / (part.x1 - part.x0, part.y1 - part.y0)
    return np.asarray(np.clip(inside, 0, 1))


def film_of(path: Path, side: int = STORED_SIDE, part: Box = WHOLE_FILM) -> NDArray[np.uint8]:
    """Return a film, or a part of it, as it is stored for training: scaled and stretched as when serving."""
    pixels = np.round(cut(read_film(path), part) * 255).astype(np.uint8)
    method = cv2.INTER_AREA if min(pixels.shape) >= side else cv2.INTER_LINEAR
    square = cv2.resize(pixels, (side, side), interpolation=method)
    return np.round(stretched(square.astype(np.float32) / 255, Preparation()) * 255).astype(np.uint8)
