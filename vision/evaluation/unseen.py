"""Films -> logits of networks that have not seen their patient."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.encode import Encoder, Encoding
from vision.errors import UnreadableImageError
from vision.evaluation.films import LabelledFilms, folds_of
from vision.evaluation.lungs import lungs_of
from vision.evaluation.metrics import share_interval
from vision.read import read_radiograph

Progress = Callable[[int, int], None]


def unseen_logits(encoder: Encoder, films: LabelledFilms, progress: Progress | None = None) -> NDArray[np.float32]:
    """Return the logits [N, K] of films, K the labels of the films (NaN for one that the encoder has not).

    Of films that the model was made from, a film's logits are those of the members that were trained without its
    patient, one for each view; of others, those of the whole ensemble.
    """
    card = encoder.card
    columns = [card.labels.index(label) if label in card.labels else None for label in films.labels]
    folds = folds_of(films.groups, card.folds)
    logits = np.full(films.targets.shape, np.nan, np.float32)
    for row, path in enumerate(films.table["path"]):
        members = encoded(encoder, path).member_logits
        own = members[folds[row] :: card.folds].mean(0) if films.seen else members.mean(0)
        for column, source in enumerate(columns):
            if source is not None:
                logits[row, column] = own[source]
        if progress is not None:
            progress(row + 1, len(logits))
    return logits


def read_film(path: Path) -> NDArray[np.float32]:
    """Return the pixels of a film in a file (DICOM, PNG or JPEG), 0-1, as when serving.

    Raises FileNotFoundError when it cannot be read.
    """
    try:
        return read_radiograph(path).pixels
    except UnreadableImageError as error:
        raise FileNotFoundError(f"{path}: {error}") from None


def encoded(encoder: Encoder, path: Path) -> Encoding:
    """Return what a model says of the film in a file, its lungs found as when serving."""
    pixels = read_film(path)
    return encoder.encode(pixels, lungs_of(pixels, encoder.card.preparation))


def pointing(encoder: Encoder, films: LabelledFilms) -> dict[str, Any] | None:
    """Return how often the peak of the first label's map lies in a radiologist's box, where boxes are known.

    The peak is the middle of a map's strongest place, by the members that have not seen the patient; the best
    fixed place is the one most often inside a box, named without looking at the film. None without boxes.
    """
    if "boxes" not in films.table:
        return None
    folds = folds_of(films.groups, encoder.card.folds)
    boxed = films.table["boxes"].fillna("[]").map(json.loads)
    rows = np.flatnonzero(boxed.map(len).to_numpy() > 0)
    inside, hit = [], []
    for row in rows:
        maps = encoded(encoder, films.table["path"].iloc[row]).member_maps
        map_ = maps[folds[row] :: encoder.card.folds].mean(0) if films.seen else maps.mean(0)
        places = _inside(boxed.iloc[row], map_.shape[1:])
        inside.append(places)
        hit.append(places.ravel()[map_[0].argmax()])
    fixed = np.stack(inside)
    usual = fixed.reshape(len(rows), -1)[:, fixed.mean(0).argmax()]
    patients = films.groups[rows]
    return {
        "films": len(rows),
        "patients": len(np.unique(patients)),
        "in_box": share_interval(np.array(hit), patients),
        "at_best_fixed_place": share_interval(usual, patients),
    }


def _inside(boxes: list[list[float]], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which places of a grid [h, w] have their middle in a box; boxes are x, y, width, height of 1024."""
    y, x = ((np.arange(length) + 0.5) / length * 1024 for length in shape)
    covered = [
        ((y >= top) & (y < top + height))[:, None] & ((x >= left) & (x < left + width))[None]
        for left, top, width, height in boxes
    ]
    return np.asarray(np.any(covered, axis=0))
