"""Labelled films -> a model folder that serves: train the folds, export them, measure out of fold, write the card.

    python -m vision.training.run paediatric --data DATA --out FOLDER
    python -m vision.training.run adult_film --data DATA --out FILM --start PAEDIATRIC_FOLDER/checkpoints
    python -m vision.training.run adult --data DATA --out FOLDER --start FILM/checkpoints
    python -m vision.training.run fracture --data DATA --out FOLDER
    python -m vision.training.run mammography --data DATA --out FOLDER
    python -m vision.training.run anatomy --data DATA --out FOLDER
    python -m vision.training.run adult --data DATA --out FOLDER --measure    # trains nothing: the card's numbers anew

DATA holds the development sets, or is a hospital's own folder (`vision.evaluation.films.own_films`).
A run that was cut off goes on from its checkpoints when started again with the same folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from vision.card import Calibration, Golden, ModelCard, combined_sha256, hashes, read_card, write_card
from vision.encode import Encoder
from vision.evaluation.films import TASKS, LabelledFilms, labels_sha256, task_films
from vision.evaluation.lungs import lungs_of
from vision.evaluation.measure import Measured, measured
from vision.evaluation.unseen import pointing, read_film, unseen_logits
from vision.prepare import Preparation, Region, golden_film, views
from vision.training.anatomy import train_anatomy
from vision.training.cards import WORDS, Words, own_words
from vision.training.datasets import film_set
from vision.training.export import export
from vision.training.folds import Progress, Say, StepProgress, train_folds
from vision.training.network import BLOCKS, Trunk
from vision.training.train import Recipe, load_fold, train_fold

VERSION = "1.0.0"
GOLDEN_SIDE = 512
OBSERVED = 64
"""Films, about, by which the ranges of int8 arithmetic are chosen."""
PRECISION = "large convolutions int8, the rest the processor's default"
ANATOMY = "anatomy"
RECIPES = {
    "adult_film": Recipe(epochs=8),
    "adult": Recipe(epochs=4, rate=3e-4, region="lungs", contrast=0.6),
    "paediatric": Recipe(epochs=1),
    "fracture": Recipe(epochs=4, size=320, batch=16, rate=2e-3, ema=0.95, trunk=Trunk(fixed=BLOCKS)),
    "mammography": Recipe(
        epochs=4, size=448, batch=8, rate=2e-3, ema=0.95, trunk=Trunk(fixed=11, blocks=11), degrade=0.0
    ),
}
FIRST_STAGES = {"adult_film": "adult"}
"""Runs on whole films from which another task's networks start."""
FEWEST = 10
"""Patients with and without a finding below which a hospital's own set cannot be split and measured."""


def train_model(
    task: str | None,
    data: Path,
    out: Path,
    *,
    say: Say,
    epochs: int | None = None,
    start: Path | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model, write its folder and return its card.

    task      adult_film, adult, paediatric, fracture, mammography or anatomy
    data      folder with the development set of the task, or a hospital's own (`vision.evaluation.films`)
    out       becomes the model folder; its `checkpoints` let a run that was cut off go on
    epochs    None: those of the packaged model
    start     folder of checkpoints of another task to start from; None: ImageNet
    workers   folds trained at a time, one thread each
    progress  called with the steps done and those of the whole run; None: `say` tells them

    Raises ValueError for another task, and for films that are too few to be split and measured.
    """
    if task == ANATOMY:
        return train_anatomy(data, out, say=say, epochs=epochs, workers=workers, progress=progress)
    if task not in RECIPES:
        raise ValueError(f"vision has the tasks {', '.join([*RECIPES, ANATOMY])}; give one by --task")
    recipe = replace(RECIPES[task], start=None if start is None else str(start))
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    films, words = _films_and_words(FIRST_STAGES.get(task, task), data)
    checkpoints = out / "checkpoints"
    train_folds(_OneFold(films, recipe), recipe.folds, checkpoints, workers=workers, say=say, progress=progress)
    return finish(task, films, recipe, checkpoints, out, say, words).model_dump(mode="json")


def _films_and_words(task: str, data: Path) -> tuple[LabelledFilms, Words]:
    films, known = task_films(task, data), TASKS[task]
    if films is None:
        raise ValueError(f"neither {known.marker} nor a labels.csv with one of {', '.join(known.labels)} in the folder")
    if (data / known.marker).is_file():
        return films, WORDS[task]
    kept = replace(_learnable(films), seen=True)
    return kept, own_words(task, kept, labels_sha256(data))


def _learnable(films: LabelledFilms) -> LabelledFilms:
    """Return the films with the labels alone that enough patients have and enough have not."""
    enough = [
        min(len(set(films.groups[films.targets[:, column] == outcome])) for outcome in (0, 1)) >= FEWEST
        for column in range(len(films.labels))
    ]
    if not any(enough):
        raise ValueError(f"fewer than {FEWEST} patients with, or without, each of {', '.join(films.labels)}")
    labels = tuple(label for label, kept in zip(films.labels, enough, strict=True) if kept)
    return replace(films, labels=labels, targets=films.targets[:, enough], weights=films.weights[:, enough])


@dataclass(frozen=True)
class _OneFold:
    films: LabelledFilms
    recipe: Recipe

    def __call__(self, fold: int, checkpoints: Path, progress: StepProgress) -> None:
        films = film_set(self.films, self.recipe.stored_side, self.recipe.region)
        train_fold(films, self.recipe, fold, checkpoints, progress=progress)


def finish(
    task: str,
    films: LabelledFilms,
    recipe: Recipe,
    checkpoints: Path,
    out: Path,
    say: Say,
    words: Words | None = None,
) -> ModelCard:
    """Export trained folds, measure them out of fold, and write the card; returns it, verified.

    words  of the card; None: those of the packaged model
    """
    say("exporting")
    words = words or WORDS[task]
    boxed = "boxes" in films.table
    stages = _stages(recipe, checkpoints)
    members = [
        load_fold(len(films.labels), stage, fold, boxed=boxed, trunk=recipe.trunk)
        for stage in stages.values()
        for fold in range(recipe.folds)
    ]
    preparation = replace(recipe.preparation, regions=tuple(stages))
    export(members, recipe.size, out, views=len(stages), inputs=_inputs(films, preparation))
    return _measured(_draft(task, films, recipe, out, words), films, out, say, words)


def measure_again(folder: Path, data: Path, say: Say) -> ModelCard:
    """Write all numbers of a model's card anew, its weights as they are; returns the card, verified.

    For when what comes before the networks has changed, such as where the lungs are found, or what is measured.

    data  the films that the model was made from
    """
    card = read_card(folder)
    films, words = _films_and_words(card.id.removeprefix("vision-"), data)
    return _measured(card, films, folder, say, words)


def _measured(card: ModelCard, films: LabelledFilms, out: Path, say: Say, words: Words) -> ModelCard:
    """Measure the networks of a folder out of fold, and write a card with the figures; returns it, verified."""
    compiled = openvino.Core().compile_model(out / "model.xml", "CPU", {"INFERENCE_NUM_THREADS": 1})
    encoder = Encoder(card, compiled)
    say("measuring films by the member that has not seen their patient")
    logits = unseen_logits(encoder, films)
    say("resampling patients")
    figures = measured(
        films,
        logits,
        card.folds,
        untrusted=words.untrusted,
        without_cut_off=words.without_cut_off,
        specific=words.specific,
    )
    pointed = pointing(encoder, films)
    if pointed is not None:
        figures.metrics[films.labels[0]]["pointing_game"] = pointed
    (out / "LICENSE").write_text(words.licence_text, "utf-8")
    write_card(out, _with_golden(_complete(card, figures), compiled))
    card = Encoder.load(out, threads=1).card
    say(f"serves: {', '.join(card.served)}")
    return card


def _inputs(films: LabelledFilms, preparation: Preparation) -> Iterator[NDArray[np.float32]]:
    """Yield what some films, evenly chosen, are to networks."""
    for path in films.table["path"].iloc[:: max(1, len(films.groups) // OBSERVED)]:
        pixels = read_film(path)
        yield views(pixels, preparation, lungs_of(pixels, preparation))


def _stages(recipe: Recipe, checkpoints: Path) -> dict[Region, Path]:
    """Return the checkpoints of the networks that serve, by what they look at."""
    if recipe.region == "film":
        return {"film": checkpoints}
    if recipe.start is None:
        raise ValueError("networks that look at the lungs start from those that look at the whole film; give --start")
    return {"film": Path(recipe.start), "lungs": checkpoints}


def _draft(task: str, films: LabelledFilms, recipe: Recipe, out: Path, words: Words) -> ModelCard:
    """Return the card before anything is measured: scores are the plain sigmoid."""
    files = hashes(out)
    regions: tuple[Region, ...] = ("film",) if recipe.region == "film" else ("film", recipe.region)
    started = "" if recipe.start is None else " --start FILM/checkpoints"
    return ModelCard(
        id=f"vision-{task}",
        version=VERSION,
        title=words.title,
        licence=words.licence,
        enabled=words.enabled,
        labels=films.labels,
        served=(),
        tried={},
        input=replace(recipe.preparation, regions=regions).as_card(),
        members=recipe.folds * len(regions),
        population=words.population,
        calibration={label: Calibration(slope=1, intercept=0) for label in films.labels},
        prevalence={},
        thresholds={},
        bound_to={"sha256": combined_sha256(files), "precision": PRECISION},
        training_data=words.training_data,
        metrics={},
        subgroups={},
        limits=words.limits,
        files=files,
        golden=Golden(side=GOLDEN_SIDE, scores=dict.fromkeys(films.labels, 0.5)),
        printed_by=f"cds evaluate vision --data DATA; made by python -m vision.training.run {task} --data DATA "
        f"--out FOLDER --epochs {recipe.epochs}{started}",
    )


def _complete(draft: ModelCard, figures: Measured) -> ModelCard:
    return draft.model_copy(
        update={
            "served": figures.served,
            "tried": figures.tried,
            "calibration": {name: Calibration(slope=a, intercept=b) for name, (a, b) in figures.calibration.items()},
            "prevalence": figures.prevalence,
            "thresholds": figures.thresholds,
            "metrics": figures.metrics,
            "subgroups": figures.subgroups,
        }
    )


def _with_golden(card: ModelCard, compiled: openvino.CompiledModel) -> ModelCard:
    scores = Encoder(card, compiled).encode(golden_film(GOLDEN_SIDE)).scores
    rounded = {label: round(score, 5) for label, score in scores.items()}
    return card.model_copy(update={"golden": Golden(side=GOLDEN_SIDE, scores=rounded)})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=sorted([*RECIPES, ANATOMY]))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--measure", action="store_true", help="train nothing: write the numbers of a card anew")
    given = parser.parse_args(arguments)

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    if given.measure:
        measure_again(given.out, given.data, say)
        return
    train_model(
        given.task,
        given.data,
        given.out,
        say=say,
        epochs=given.epochs,
        start=given.start,
        workers=given.workers,
    )


if __name__ == "__main__":
    main()
