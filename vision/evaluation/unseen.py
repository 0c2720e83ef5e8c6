"""Films -> logits of networks that have not seen their patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vision.encode import Encoder
from vision.evaluation.films import LabelledFilms, folds_of

Progress = Callable[[int, int], None]


def unseen_logits(encoder: Encoder, films: LabelledFilms, progress: Progress | None = None) -> NDArray[np.float32]:
    """Return the logits [N, K] of films, K the labels of the films (NaN for one that the encoder has not).

    Of films that the model was made from, a film's logits are those of the one member that was trained without its
    patient; of others, those of the whole ensemble.
    """
    card = encoder.card
    columns = [card.labels.index(label) if label in card.labels else None for label in films.labels]
    folds = folds_of(films.groups, card.members)
    logits = np.full(films.targets.shape, np.nan, np.float32)
    for row, path in enumerate(films.table["path"]):
        members = encoder.encode(read_film(path)).members
        own = members[folds[row]] if films.seen else members.mean(0)
        for column, source in enumerate(columns):
            if source is not None:
                logits[row, column] = own[source]
        if progress is not None:
            progress(row + 1, len(logits))
    return logits


def read_film(path: Path) -> NDArray[np.float32]:
    """Return the pixels of a picture of the development sets, 0-1. Raises FileNotFoundError when it cannot be read."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise FileNotFoundError(path)
    scaled: NDArray[np.float32] = pixels.astype(np.float32) / 255
    return scaled
