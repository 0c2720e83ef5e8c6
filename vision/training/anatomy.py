"""Films with outlines -> an anatomy folder that serves: train the folds, export, measure out of fold, write the card.

Beside the folds it trains a network on each hospital alone and measures it on the other, which it has never seen. A run
that was cut off goes on from its checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from vision.anatomy import AnatomyModel, golden_shares
from vision.anatomy_card import AnatomyCard, GoldenShares
from vision.card import WEIGHTS, PopulationOfModel, hashes, write_card
from vision.evaluation.anatomy import Shares, anatomy_figures, unseen_figures
from vision.evaluation.outlines import SOURCES, OutlinedFilms, outlined_films
from vision.evaluation.unseen import read_film
from vision.prepare import Preparation, golden_film, prepared
from vision.training.anatomy_network import AnatomyNetwork, ExportedAnatomy
from vision.training.anatomy_train import AnatomyRecipe, load_fold, outline_set, train_fold
from vision.training.cards import JSRT, SHENZHEN, research_licence
from vision.training.export import converted
from vision.training.folds import Progress, Say, StepProgress, train_folds
from vision.training.quantise import int8_arithmetic, int8_weights
from vision.training.schedule import checkpoint_of

VERSION = "1.0.0"
GOLDEN_SIDE = 512
ALONE = {"jsrt": ("shenzhen", 4.0), "shenzhen": ("jsrt", 0.9)}
"""Of a network trained on one hospital: the hospital it is measured on, and how often a film is shown per epoch."""
EPOCHS_ALONE = 12
OBSERVED = 64
"""Films, about, by which the ranges of int8 arithmetic are chosen."""
LUNG_MASKS = {
    "name": "Shenzhen, outlines of the lungs on 550 films",
    "licence": "CC BY-NC-SA 4.0",
    "citation": "Stirenko 2018, IEEE ELNANO",
    "labels": "lungs, both as one",
}
OUTLINES = {
    "name": "JSRT with the outlines of SCR, 124 films",
    "licence": JSRT["licence"],
    "citation": f"{JSRT['citation']}; van Ginneken 2006, Med Image Anal 10:19",
    "labels": "right lung, left lung, heart",
}
DATA = (OUTLINES, SHENZHEN, LUNG_MASKS)
LIMITS = (
    "The heart was outlined on the films of one collection (Japan, PA, upright, adult): elsewhere its outline and the "
    "cardiothoracic ratio are unmeasured.",
    "The two hospitals do not draw the same lung: the one leaves out what lies behind the heart and the diaphragm by a "
    "smooth line, the other follows the visible air more closely. A figure across them carries that difference.",
    "Lung that is white from effusion or consolidation is often left out by the readers of Shenzhen, so by the model.",
    "A right-sided heart, one lung removed or white, and children were not there to learn.",
    "With 21, 42 and 75 films of JSRT (one fold) the heart's Dice was 0.943, 0.943 and 0.942: no gain from more of the "
    "same can be seen.",
)


@dataclass(frozen=True)
class _OneFold:
    films: OutlinedFilms
    recipe: AnatomyRecipe

    def __call__(self, fold: int, checkpoints: Path, progress: StepProgress) -> None:
        train_fold(outline_set(self.films, self.recipe), self.recipe, fold, checkpoints, progress=progress)


def train_anatomy(
    data: Path,
    out: Path,
    *,
    say: Say,
    epochs: int | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train the anatomy model, write its folder and return its card.

    data      folder with chest/jsrt and chest/tuberculosis/shenzhen
    out       becomes the model folder; its `checkpoints` let a run that was cut off go on
    epochs    None: those of the packaged model
    workers   networks trained at a time, one thread each
    progress  called with the steps done and those of the folds; None: `say` tells them

    Raises ValueError when the films are not there.
    """
    recipe = AnatomyRecipe() if epochs is None else replace(AnatomyRecipe(), epochs=epochs)
    films, checkpoints = outlined_films(data), out / "checkpoints"
    if films is None:
        raise ValueError("no films with outlines: chest/jsrt and chest/tuberculosis/shenzhen are wanted")
    train_folds(_OneFold(films, recipe), recipe.folds, checkpoints, workers=workers, say=say, progress=progress)
    transfer: dict[str, dict[str, Any]] = {}
    for source in SOURCES:
        say(f"training on {source} alone")
        transfer |= _transfer(films, source, replace(recipe, epochs=min(recipe.epochs, EPOCHS_ALONE)), checkpoints, say)
    return finish(films, recipe, checkpoints, out, transfer, say).model_dump(mode="json")


def finish(
    films: OutlinedFilms,
    recipe: AnatomyRecipe,
    checkpoints: Path,
    out: Path,
    transfer: dict[str, dict[str, Any]],
    say: Say,
) -> AnatomyCard:
    """Export the folds that are trained, measure them out of fold, and write the card; returns it, verified."""
    say("exporting")
    trained = takewhile(lambda fold: checkpoint_of(checkpoints, fold).is_file(), range(recipe.folds))
    compiled = export([load_fold(checkpoints, fold) for fold in trained], recipe.size, out, _inputs(films, recipe))
    card = _draft(recipe, out, compiled)
    say("measuring films by the member that has not seen them")
    figures = unseen_figures(AnatomyModel(card, compiled), films)
    (out / "LICENSE").write_text(research_licence(DATA), "utf-8")
    write_card(out, card.model_copy(update={"metrics": figures, "transfer": transfer}))
    return AnatomyModel.load(out, threads=1).card


def export(
    members: list[AnatomyNetwork], size: int, out: Path, inputs: Iterable[NDArray[np.float32]]
) -> openvino.CompiledModel:
    """Write model.xml and model.bin of an ensemble, and return it as it is served.

    inputs  of some films, by which large convolutions are made to run in int8
    """
    out.mkdir(parents=True, exist_ok=True)
    model = converted(ExportedAnatomy(members), [1, 3, size, size])
    model.output(0).get_tensor().set_names({"shares"})
    int8_weights(model)
    int8_arithmetic(model, inputs)
    openvino.save_model(model, out / WEIGHTS[0], compress_to_fp16=True)
    return openvino.Core().compile_model(out / WEIGHTS[0], "CPU", {"INFERENCE_NUM_THREADS": 1})


def _inputs(films: OutlinedFilms, recipe: AnatomyRecipe) -> Iterator[NDArray[np.float32]]:
    """Yield what some films, evenly chosen, are to networks."""
    for path in films.images[:: max(1, len(films.images) // OBSERVED)]:
        yield prepared(read_film(path), Preparation(size=recipe.size))[None]


def _transfer(
    films: OutlinedFilms, source: str, recipe: AnatomyRecipe, checkpoints: Path, say: Say
) -> dict[str, dict[str, Any]]:
    """Return the figures of a network of one hospital on the films of another: of what both have outlines of."""
    elsewhere, rate = ALONE[source]
    folder = checkpoints / f"{source}_alone"
    alone = replace(recipe, folds=1, rates=((source, rate),), held_out=False)
    train_folds(_OneFold(films.of(films.sources == source), alone), 1, folder, workers=1, say=say)
    shares = shares_of(load_fold(folder, 0), recipe.size)
    found = anatomy_figures(films.of(films.sources == elsewhere), shares)
    return {f"{source} to {elsewhere}": {name: found[elsewhere][name] for name in ("films", "refused", "dice_lungs")}}


def shares_of(network: AnatomyNetwork, size: int) -> Shares:
    """Return what a single network says of films of which it has seen none, as it would be exported but for int8."""
    model = openvino.Core().compile_model(
        converted(ExportedAnatomy([network]), [1, 3, size, size]), "CPU", {"INFERENCE_NUM_THREADS": 1}
    )

    def shares(row: int, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.array(model(prepared(pixels, Preparation(size=size))[None])[0][0, 0], np.float32)

    return shares


def _draft(recipe: AnatomyRecipe, out: Path, compiled: openvino.CompiledModel) -> AnatomyCard:
    """Return the card before anything is measured."""
    given = np.array(compiled(prepared(golden_film(GOLDEN_SIDE), Preparation(size=recipe.size))[None])[0][0])
    return AnatomyCard(
        id="vision-anatomy",
        version=VERSION,
        title="Lungs and heart on frontal chest films of adults",
        licence="research and non-commercial use",
        input=Preparation(size=recipe.size).as_card(),
        training_data=DATA,
        limits=LIMITS,
        files=hashes(out),
        printed_by="cds evaluate vision --data DATA; made by cds train vision --task anatomy --data DATA --out FOLDER",
        folds=recipe.folds,
        members=given.shape[0],
        population=PopulationOfModel(
            name="adult", age_from=18, age_to=None, views=("PA", "AP"), note="frontal chest films of adults"
        ),
        golden=GoldenShares(side=GOLDEN_SIDE, shares=golden_shares(given.mean(0))),
        metrics={},
        transfer={},
    )
