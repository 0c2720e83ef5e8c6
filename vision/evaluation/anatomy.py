"""How close outlines of lungs and heart come to those of readers, on each film's own pixel grid, with 95 % intervals.

Each film is outlined by the member that has not seen it; one that all members have seen does not count. Lungs count
together, as the readers of Shenzhen drew them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.anatomy import LABELS, Anatomy, AnatomyModel, anatomy_of, label_map
from vision.evaluation.films import folds_of
from vision.evaluation.metrics import resampled
from vision.evaluation.outlines import HEART, LEFT_OF_PICTURE, RIGHT_OF_PICTURE, LabelMap, OutlinedFilms
from vision.evaluation.unseen import read_film
from vision.result import ModelRef

Progress = Callable[[int, int], None]
Shares = Callable[[int, NDArray[np.float32]], NDArray[np.float32]]
"""(row, pixels) -> shares [4, h, w]: how likely each class is at each place of a film."""

_ANY = ModelRef(id="evaluated", version="0", sha256="")
_LUNGS = (LEFT_OF_PICTURE, RIGHT_OF_PICTURE)


def unseen_figures(model: AnatomyModel, films: OutlinedFilms, progress: Progress | None = None) -> dict[str, Any]:
    """Return the figures of a model on the films it was made from."""
    folds = folds_of(films.groups, model.card.folds)
    unseen = folds < model.card.members
    member = folds[unseen]

    def shares(row: int, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        given: NDArray[np.float32] = model.member_shares(pixels)[member[row]]
        return given

    return anatomy_figures(films.of(unseen), shares, progress)


def anatomy_figures(films: OutlinedFilms, shares: Shares, progress: Progress | None = None) -> dict[str, Any]:
    """Return the figures by source: Dice of lungs and, where outlined, of the heart; error of the cardiothoracic ratio.

    A film whose shapes were refused counts with a Dice of 0, and is counted.
    """
    rows = rows_of(films, shares, progress)
    return {
        source: _figures([row for row, of in zip(rows, films.sources, strict=True) if of == source])
        for source in dict.fromkeys(films.sources.tolist())
    }


def rows_of(films: OutlinedFilms, shares: Shares, progress: Progress | None = None) -> list[dict[str, float]]:
    """Return what each film gave: `refused` (0 or 1), Dice of `lungs` and, where outlined, of `heart`, `right_lung`
    and `left_lung`, and `ratio_error` where both outlines have a cardiothoracic ratio."""
    return [_row(films, row, shares, progress) for row in range(len(films.images))]


def ratio_of(labels: LabelMap) -> float | None:
    """Return the cardiothoracic ratio of a label map: width of the heart over that of both lungs."""
    heart, lungs = np.nonzero((labels == HEART).any(0))[0], np.nonzero(np.isin(labels, _LUNGS).any(0))[0]
    if not len(heart) or not len(lungs):
        return None
    return float(np.ptp(heart) + 1) / float(np.ptp(lungs) + 1)


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return twice the shared area over the sum of both; 1 for two empty shapes."""
    both = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / both if both else 1.0


def _row(films: OutlinedFilms, row: int, shares: Shares, progress: Progress | None) -> dict[str, float]:
    truth = films.map_of(row)
    anatomy: Anatomy = anatomy_of(shares(row, read_film(films.images[row])))
    found = label_map(anatomy.masks(_ANY), *truth.shape)
    if progress is not None:
        progress(row + 1, len(films.images))
    figures = {
        "refused": float(anatomy.doubt is not None),
        "lungs": dice(np.isin(found, _LUNGS), np.isin(truth, _LUNGS)),
    }
    if (truth == HEART).any():
        figures["heart"] = dice(found == LABELS["heart"], truth == HEART)
        figures |= {name: dice(found == LABELS[name], truth == LABELS[name]) for name in ("right_lung", "left_lung")}
        wanted, given = ratio_of(truth), ratio_of(found)
        if wanted is not None and given is not None:
            figures["ratio_error"] = given - wanted
    return figures


def _figures(rows: list[dict[str, float]]) -> dict[str, Any]:
    figures: dict[str, Any] = {"films": len(rows), "refused": int(sum(row["refused"] for row in rows))}
    for name in ("lungs", "right_lung", "left_lung", "heart"):
        values = np.array([row[name] for row in rows if name in row])
        if len(values):
            figures[f"dice_{name}"] = {**_mean(values), "lowest": round(float(values.min()), 4)}
    errors = np.array([row["ratio_error"] for row in rows if "ratio_error" in row])
    if len(errors):
        figures["cardiothoracic_ratio"] = {
            "films": len(errors),
            "absolute_error": _mean(np.abs(errors)),
            "bias": _mean(errors),
        }
    return figures


def _mean(values: NDArray[np.float64]) -> dict[str, float]:
    """Return the mean with its interval by resampling films; each is of another patient."""
    counts = resampled(np.arange(len(values)).astype(str))
    low, high = np.percentile(counts @ values / counts.sum(1), [2.5, 97.5])
    return {"value": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
