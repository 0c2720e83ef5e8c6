"""What would more patients give? Networks of the packaged recipes, trained on 1/4, 1/2 and all of the patients.

    python benchmarks/vision_learning_curve.py findings --data DATA --out FOLDER [--start P/checkpoints]
    python benchmarks/vision_learning_curve.py outlines --data DATA --out FOLDER

Both need the extra `train`. One network for each share, trained without the patients of fold 0 and judged on them. Each
share lies within the next and takes as many steps as the whole, so only the patients differ.

findings  the network that sees the whole film: AUROC of the radiologists' lung opacity, of tuberculosis inside
          Shenzhen, and the mean of the five findings mined from reports. `--start` as for
          `cds train vision --task adult_film`. About an hour on one thread.
outlines  the network of lungs and heart: Dice, and error of the cardiothoracic ratio (1 where none was found). About
          twenty minutes on one thread.

Every figure has a 95 % interval by resampling the judged patients, and so has the paired gain from one share to the
next. FOLDER keeps checkpoints: a run that was cut off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from vision.evaluation.anatomy import rows_of
from vision.evaluation.films import LabelledFilms, adult_films, folds_of
from vision.evaluation.metrics import auroc, interval, resampled
from vision.evaluation.outlines import SOURCES, outlined_films
from vision.evaluation.unseen import read_film
from vision.prepare import prepared
from vision.training.anatomy import shares_of
from vision.training.anatomy_train import AnatomyRecipe, outline_set
from vision.training.anatomy_train import train_fold as train_outlines
from vision.training.datasets import film_set
from vision.training.export import converted
from vision.training.folds import StepProgress
from vision.training.network import ChestNetwork, ExportedEnsemble
from vision.training.run import RECIPES
from vision.training.train import Recipe, train_fold

SHARES = (0.25, 0.5, 1.0)
FOLD = 0
OPACITY, TUBERCULOSIS = "lung_opacity", "tuberculosis"
FIVE = ("pleural_effusion", "cardiomegaly", "pulmonary_edema", "consolidation", "atelectasis")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """What a share of the patients gave.

    training  how much was trained on
    draws     of each measure: first its value, then that of each draw of the judged patients, [1 + draws]
    """

    training: dict[str, int]
    draws: dict[str, Floats]


def place_of(patient: str) -> float:
    """Return where a patient stands in the order in which patients are added, 0-1, the same on every machine."""
    return int(hashlib.sha256(f"curve:{patient}".encode()).hexdigest(), 16) / 2**256


def findings(data: Path, out: Path, start: Path | None, share: float) -> Judged:
    """Train and judge the network of findings on a share of the patients."""
    recipe = replace(RECIPES["adult_film"], start=None if start is None else str(start))
    films = adult_films(data)
    held_out = folds_of(films.groups, recipe.folds) == FOLD
    chosen = _within(films.groups, share)
    longer = replace(recipe, epochs=round(recipe.epochs / share))
    network = train_fold(
        film_set(films.of(held_out | chosen), recipe.stored_side),
        longer,
        FOLD,
        out / f"{share:g}",
        progress=_told(share),
    )
    judged = films.of(held_out)
    return Judged(_counts(films.of(~held_out & chosen)), _aurocs(judged, _logits(network, judged, recipe)))


def outlines(data: Path, out: Path, share: float) -> Judged:
    """Train and judge the network of outlines on a share of the patients."""
    recipe, films = AnatomyRecipe(), outlined_films(data)
    if films is None:
        raise SystemExit("no films with outlines: chest/jsrt and chest/tuberculosis/shenzhen are wanted")
    held_out = folds_of(films.groups, recipe.folds) == FOLD
    trained = films.of(_within(films.groups, share) & ~held_out)
    longer = replace(recipe, epochs=round(recipe.epochs / share))
    network = train_outlines(outline_set(trained, recipe), longer, FOLD, out / f"{share:g}", progress=_told(share))
    judged = films.of(held_out)
    counts = {source: int((trained.sources == source).sum()) for source in SOURCES}
    return Judged(counts, _dices(rows_of(judged, shares_of(network, recipe.size)), judged.sources))


def curve(judged: Mapping[float, Judged]) -> dict[str, Any]:
    """Return each measure by share, and the paired gains."""
    return {
        **{
            f"{share:g} of the patients": {"training": of.training, **_intervals(of.draws)}
            for share, of in judged.items()
        },
        "gain": {
            f"{few:g} to {more:g}": _intervals(
                {name: judged[more].draws[name] - drawn for name, drawn in judged[few].draws.items()}
            )
            for few, more in pairwise(judged)
        },
    }


def _within(groups: NDArray[np.str_], share: float) -> NDArray[np.bool_]:
    return np.array([place_of(group) for group in groups]) < share


def _told(share: float) -> StepProgress:
    def tell(step: int, steps: int, loss: float) -> None:
        if step % 20 == 0:
            sys.stderr.write(f"{share:g} of the patients: step {step} of {steps}, loss {loss:.3f}\n")

    return tell


def _logits(network: ChestNetwork, films: LabelledFilms, recipe: Recipe) -> NDArray[np.float32]:
    """Return the logits [N, K] of films."""
    shape = [1, 3, recipe.size, recipe.size]
    model = openvino.Core().compile_model(
        converted(ExportedEnsemble([network]), shape), "CPU", {"INFERENCE_NUM_THREADS": 1}
    )
    given = (model(prepared(read_film(path), recipe.preparation)[None])[0][0, 0] for path in films.table["path"])
    return np.array(list(given), np.float32)


def _aurocs(films: LabelledFilms, logits: NDArray[np.float32]) -> dict[str, Floats]:
    weights = np.concatenate([np.ones((1, len(films.groups))), resampled(films.groups)])

    def of(label: str, chosen: NDArray[np.bool_]) -> Floats:
        column = films.labels.index(label)
        known = chosen & np.isin(films.targets[:, column], (0, 1))
        outcome = films.targets[known, column].astype(np.int64)
        return auroc(outcome, logits[known, column].astype(np.float64), weights[:, known])

    everywhere, view = np.ones(len(films.groups), bool), films.table["view"]
    return {
        OPACITY: of(OPACITY, everywhere),
        f"{OPACITY}, AP": of(OPACITY, view.eq("AP").to_numpy(bool)),
        f"{OPACITY}, PA": of(OPACITY, view.eq("PA").to_numpy(bool)),
        "mean of five findings": np.mean([of(label, everywhere) for label in FIVE], 0),
        TUBERCULOSIS: of(TUBERCULOSIS, everywhere),
    }


def _dices(rows: list[dict[str, float]], sources: NDArray[np.str_]) -> dict[str, Floats]:
    """Return the means over the films of a source, each film being of another patient."""

    def of(name: str, source: str) -> Floats:
        values = np.array([abs(row.get(name, 1.0)) for row, its in zip(rows, sources, strict=True) if its == source])
        weights = np.concatenate([np.ones((1, len(values))), resampled(np.arange(len(values)).astype(str))])
        return np.asarray(weights @ values / weights.sum(1))

    return {
        "heart, JSRT": of("heart", "jsrt"),
        "lungs, JSRT": of("lungs", "jsrt"),
        "cardiothoracic ratio, absolute error": of("ratio_error", "jsrt"),
        "lungs, Shenzhen": of("lungs", "shenzhen"),
    }


def _intervals(draws: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    return {name: interval(drawn[0], drawn[1:]) for name, drawn in draws.items()}


def _counts(films: LabelledFilms) -> dict[str, int]:
    """Return films and patients, and those of NIH with a radiologist's opacity, and those of Shenzhen."""
    sick, known = films.targets[:, films.labels.index(OPACITY)] == 1, films.targets[:, films.labels.index(TUBERCULOSIS)]
    return {
        "films": len(films.groups),
        "patients": len(set(films.groups)),
        "opacity_films": int(sick.sum()),
        "opacity_patients": len(set(films.groups[sick])),
        "shenzhen_films": int(np.isin(known, (0, 1)).sum()),
        "tuberculosis_films": int((known == 1).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=("findings", "outlines"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.of == "findings":
        judged = {share: findings(given.data, given.out, given.start, share) for share in SHARES}
    else:
        judged = {share: outlines(given.data, given.out, share) for share in SHARES}
    print(json.dumps(curve(judged), indent=2))


if __name__ == "__main__":
    main()
