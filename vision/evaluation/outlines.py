"""Films with outlines of lungs and heart: paths, what each mask says, and the film's fold.

The lungs are named by the side of the picture, so that a mirrored film is outlined as well. A map holds 0 for
background, 1 the lung on the left of the picture, 2 the lung on its right, 3 heart, 4 background or heart (not known).
Knows no network.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

BACKGROUND, LEFT_OF_PICTURE, RIGHT_OF_PICTURE, HEART, NOT_LUNG = range(5)
SOURCES = ("jsrt", "shenzhen")

LabelMap = NDArray[np.uint8]


@dataclass(frozen=True)
class OutlinedFilms:
    """Films with masks.

    groups  patient of each film, unique over sources and the same as in `vision.evaluation.films`
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    sources: NDArray[np.str_]
    groups: NDArray[np.str_]

    def of(self, chosen: NDArray[np.bool_]) -> OutlinedFilms:
        """Return the chosen films."""
        rows = np.flatnonzero(chosen)
        return OutlinedFilms(
            tuple(self.images[row] for row in rows),
            tuple(self.masks[row] for row in rows),
            self.sources[rows],
            self.groups[rows],
        )

    def map_of(self, row: int) -> LabelMap:
        """Return the label map of a film on its own pixel grid. Raises FileNotFoundError when it cannot be read."""
        stored = cv2.imread(str(self.masks[row]), cv2.IMREAD_GRAYSCALE)
        if stored is None:
            raise FileNotFoundError(self.masks[row])
        mask = np.asarray(stored, np.uint8)
        return mask if self.sources[row] == "jsrt" else _sided(mask)


def outlined_films(data: Path) -> OutlinedFilms | None:
    """Return the films of JSRT (lungs and heart) and of Shenzhen (lungs, united); None where one of them is absent.

    data  folder with chest/jsrt and chest/tuberculosis/shenzhen
    """
    folders = (data / "chest/jsrt", data / "chest/tuberculosis/shenzhen")
    if not all((folder / "labels.csv").is_file() for folder in folders):
        return None
    images: list[Path] = []
    masks: list[Path] = []
    sources: list[str] = []
    for source, folder in zip(SOURCES, folders, strict=True):
        labels = pd.read_csv(folder / "labels.csv", dtype=str)
        column = labels["mask"] if source == "jsrt" else labels["lung_mask"]
        images += [folder / "images" / name for name in labels["file"]]
        masks += [folder / "masks" / name for name in column]
        sources += [source] * len(labels)
    groups = [f"{source}:{path.name}" for source, path in zip(sources, images, strict=True)]
    return OutlinedFilms(tuple(images), tuple(masks), np.array(sources), np.array(groups))


def _sided(lungs: LabelMap) -> LabelMap:
    """Return united lungs as two: each piece belongs to the side of the lungs' middle on which most of it lies."""
    sided = np.full_like(lungs, NOT_LUNG)
    columns = np.nonzero(lungs)[1]
    middle = (columns.min() + columns.max()) / 2
    count, pieces, _, centres = cv2.connectedComponentsWithStats((lungs > 0).astype(np.uint8), connectivity=4)
    for piece in range(1, count):
        sided[pieces == piece] = LEFT_OF_PICTURE if centres[piece][0] < middle else RIGHT_OF_PICTURE
    return sided
