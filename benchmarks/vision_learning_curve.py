"""What would more patients give? Networks of the adult recipe, trained on 1/4, 1/2 and all of the patients.

    python benchmarks/vision_learning_curve.py --data DATA --out FOLDER [--start P/checkpoints]     needs `train`

One network that sees the whole film for each share, on the training patients of fold 0, each share within the next;
all take as many steps as the packaged recipe, so only the patients differ. They are judged on the patients of fold 0,
whom none has seen: AUROC of the radiologists' lung opacity and the mean of the five findings mined from reports, with
95 % intervals by resampling patients, and the paired gain from one share to the next. FOLDER keeps checkpoints: a run
that was cut off goes on. `--start` as for `cds train vision --task adult_film`. About an hour on one thread.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from numpy.typing import NDArray

from vision.evaluation.films import LabelledFilms, adult_films, folds_of
from vision.evaluation.metrics import auroc, interval, resampled
from vision.evaluation.unseen import read_film
from vision.prepare import prepared
from vision.training.datasets import film_set
from vision.training.export import converted
from vision.training.network import ChestNetwork, ExportedEnsemble
from vision.training.run import RECIPES
from vision.training.train import Recipe, train_fold

SHARES = (0.25, 0.5, 1.0)
FOLD = 0
OPACITY = "lung_opacity"
FIVE = ("pleural_effusion", "cardiomegaly", "pulmonary_edema", "consolidation", "atelectasis")

Floats = NDArray[np.float64]


def place_of(patient: str) -> float:
    """Return where a patient stands in the order in which patients are added, 0-1, the same on every machine."""
    return int(hashlib.sha256(f"curve:{patient}".encode()).hexdigest(), 16) / 2**256


def trained(films: LabelledFilms, share: float, recipe: Recipe, folder: Path) -> ChestNetwork:
    """Return the network of a share of the patients, after as many steps as the whole recipe takes."""
    longer = replace(recipe, epochs=round(recipe.epochs / share))

    def tell(step: int, steps: int, loss: float) -> None:
        if step % 20 == 0:
            sys.stderr.write(f"{share:g} of the patients: step {step} of {steps}, loss {loss:.3f}\n")

    return train_fold(film_set(films, recipe.stored_side), longer, FOLD, folder, progress=tell)


def logits_of(network: ChestNetwork, films: LabelledFilms, recipe: Recipe) -> NDArray[np.float32]:
    """Return the logits [N, K] of films."""
    shape = [1, 3, recipe.size, recipe.size]
    model = openvino.Core().compile_model(
        converted(ExportedEnsemble([network]), shape), "CPU", {"INFERENCE_NUM_THREADS": 1}
    )
    given = (model(prepared(read_film(path), recipe.preparation)[None])[0][0, 0] for path in films.table["path"])
    return np.array(list(given), np.float32)


def draws_of(films: LabelledFilms, logits: NDArray[np.float32]) -> dict[str, Floats]:
    """Return the AUROC of each measure, first of the films as they are and then of each draw of patients."""
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
    }


def curve(data: Path, out: Path, start: Path | None) -> dict[str, Any]:
    recipe = replace(RECIPES["adult_film"], start=None if start is None else str(start))
    films = adult_films(data)
    held_out = folds_of(films.groups, recipe.folds) == FOLD
    places, judged = np.array([place_of(group) for group in films.groups]), films.of(held_out)
    draws: dict[float, dict[str, Floats]] = {}
    table: dict[str, Any] = {}
    for share in SHARES:
        known = films.of(held_out | (places < share))
        network = trained(known, share, recipe, out / f"{share:g}")
        draws[share] = draws_of(judged, logits_of(network, judged, recipe))
        table[f"{share:g} of the patients"] = {
            "training": _counts(films.of(~held_out & (places < share))),
            **{name: interval(drawn[0], drawn[1:]) for name, drawn in draws[share].items()},
        }
    gains = {
        f"{few:g} to {more:g}": {
            name: interval((draws[more][name] - drawn)[0], (draws[more][name] - drawn)[1:])
            for name, drawn in draws[few].items()
        }
        for few, more in pairwise(SHARES)
    }
    return {"judged": _counts(judged), **table, "gain": gains}


def _counts(films: LabelledFilms) -> dict[str, int]:
    """Return films and patients, and those of NIH with a radiologist's opacity."""
    sick = films.targets[:, films.labels.index(OPACITY)] == 1
    return {
        "films": len(films.groups),
        "patients": len(set(films.groups)),
        "opacity_films": int(sick.sum()),
        "opacity_patients": len(set(films.groups[sick])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(curve(given.data, given.out, given.start), indent=2))


if __name__ == "__main__":
    main()
