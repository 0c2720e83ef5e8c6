"""Model folders and labelled films -> the figures of their cards, measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision.anatomy import AnatomyModel
from vision.anatomy_card import is_anatomy
from vision.card import ModelCard
from vision.encode import Encoder
from vision.errors import VisionError
from vision.evaluation.anatomy import unseen_figures
from vision.evaluation.figures import (
    SPECIFIC,
    Cases,
    against_normal,
    at_cut_off,
    called_out_of_fold,
    cases_of,
    cross_fitted,
    figures_of,
    operating_point,
    source_control,
    subgroups_of,
    with_calibration,
)
from vision.evaluation.films import TASKS, LabelledFilms, task_films
from vision.evaluation.metrics import Floats
from vision.evaluation.outlines import outlined_films
from vision.evaluation.unseen import Progress, pointing, unseen_logits

MODELS = Path(__file__).parents[1] / "models"
ANATOMY = "anatomy"


class NoFilmsError(VisionError):
    """The folder holds neither the development sets nor a hospital's own labels.csv with a finding of the model."""


def evaluate(
    data: Path, *, model: Path | None = None, threads: int = 1, progress: Progress | None = None
) -> dict[str, Any]:
    """Return the figures of models on labelled films, by population, then by finding, with 95 % intervals; under
    `anatomy` those of outlines, by source, then by structure.

    data   the development sets (chest/nih and so on; each film by the member that has not seen its patient), or a
           hospital's own folder: images/ and labels.csv with file, patient and finding keys
    model  a model folder in place of the packaged ones

    Raises NoFilmsError when there is nothing to measure on, ModelVerificationError for a model that does not match its
    card, FileNotFoundError for a film that cannot be read.
    """
    packaged = [MODELS / name for name in (*TASKS, ANATOMY) if (MODELS / name).is_dir()]
    folders = packaged if model is None else [model]
    figures: dict[str, Any] = {}
    for folder in folders:
        if is_anatomy(folder):
            figures |= _outlined(folder, data, threads, progress)
            continue
        encoder = Encoder.load(folder, threads)
        films = _films(data, encoder.card)
        if films is not None:
            figures[encoder.card.population.name] = _figures(encoder, films, progress)
    if not figures:
        raise NoFilmsError("no development set and no labels.csv with a finding of the model in the folder")
    return figures


def _outlined(folder: Path, data: Path, threads: int, progress: Progress | None) -> dict[str, Any]:
    """Return the figures of an anatomy model; none where its development sets are not at hand."""
    films = outlined_films(data)
    if films is None:
        return {}
    model = AnatomyModel.load(folder, threads)
    figures = unseen_figures(model, films, progress)
    return {ANATOMY: {"model": model.ref.model_dump(), "out_of_fold": True, "structures": figures}}


def _films(data: Path, card: ModelCard) -> LabelledFilms | None:
    learned_from = {str(item.get("labels_sha256")) for item in card.training_data}
    return task_films(card.population.name, data, learned_from)


def _figures(encoder: Encoder, films: LabelledFilms, progress: Progress | None) -> dict[str, Any]:
    card, logits = encoder.card, unseen_logits(encoder, films, progress)
    findings = {}
    for label in card.labels:
        cases = cases_of(films, logits, label, card.folds)
        if len(set(cases.outcome)) < 2:
            continue
        fitted = card.calibration[label]
        scores = cross_fitted(cases) if films.seen else with_calibration(cases, fitted.slope, fitted.intercept)
        findings[label] = {
            **figures_of(cases, scores),
            "served": label in card.served,
            "operating_point": _operating_point(card, label, films, cases, scores),
            "against_normal_only": against_normal(cases),
            "source_among_negatives": source_control(cases),
            "subgroups": subgroups_of(cases, scores, _called(card, label, films, cases, scores))
            if label in card.served
            else {},
        }
    return {
        "model": {"id": card.id, "version": card.version, "sha256": card.sha256},
        "out_of_fold": films.seen,
        "pointing_game": pointing(encoder, films),
        "findings": findings,
    }


def _called(
    card: ModelCard, label: str, films: LabelledFilms, cases: Cases, scores: Floats
) -> NDArray[np.bool_] | None:
    """Return which cases are called positive, by the cut-off as in `_operating_point`; None without one."""
    if label not in card.thresholds:
        return None
    if films.seen:
        return called_out_of_fold(cases, scores, specific=card.thresholds[label]["operating_point"] == SPECIFIC)
    return np.asarray(scores >= card.thresholds[label]["value"])


def _operating_point(
    card: ModelCard, label: str, films: LabelledFilms, cases: Cases, scores: Floats
) -> dict[str, Any] | None:
    """Return how the cut-off does: on films the model was made from, by the cut-off of the other folds."""
    if label not in card.thresholds:
        return None
    if films.seen:
        specific = card.thresholds[label]["operating_point"] == SPECIFIC
        return operating_point(cases, scores, specific=specific)
    return {"value": card.thresholds[label]["value"], **at_cut_off(cases, scores, card.thresholds[label]["value"])}
