"""How the tuberculosis score fares away from the hospital it was learned at, without films of tuberculosis from there.

    python benchmarks/vision_tuberculosis.py --data DATA

The label was learned at Shenzhen alone. No other set here knows it, so this is a proxy: how well the score tells films
with an opacity from normal ones at hospitals whose films had no label of tuberculosis in training; the scores of lung
opacity and of abnormality, and their means with it, are beside it. Films of NIH and JSRT are judged by the members that
have not seen the patient, those of the cohort of Cohen 2020 (nearly all viral and bacterial pneumonia) by all: none saw
them. AUROC with 95 % intervals by resampling patients. It says nothing on telling tuberculosis from other opacities.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision.encode import Encoder
from vision.evaluation.evaluate import MODELS
from vision.evaluation.films import LabelledFilms, adult_films
from vision.evaluation.metrics import auroc_interval
from vision.evaluation.unseen import unseen_logits

TUBERCULOSIS = "tuberculosis"
OTHERS = ("lung_opacity", "abnormal")
NOT_SICK = ("todo", "No Finding")

Scored = tuple[NDArray[np.float32], NDArray[np.str_]]
"""Logits [N, 3] of tuberculosis and of the others, and the patient of each film."""


def cohort(data: Path) -> LabelledFilms:
    """Return the films of the cohort with a finding, without targets."""
    folder = data / "chest/covid_cohort"
    table = pd.read_csv(folder / "cohort.csv")
    table = table[~table["finding"].isin(NOT_SICK)].reset_index(drop=True)
    labels = (TUBERCULOSIS, *OTHERS)
    empty = np.full((len(table), len(labels)), np.nan, np.float32)
    groups = ("cohort:" + table["patientid"].astype(str)).to_numpy(str)
    paths = pd.DataFrame({"path": [folder / "images" / name for name in table["file"]]})
    return LabelledFilms(labels, empty, np.ones_like(empty), groups, paths, seen=False)


def scored(encoder: Encoder, films: LabelledFilms) -> Scored:
    columns = [films.labels.index(label) for label in (TUBERCULOSIS, *OTHERS)]
    return unseen_logits(encoder, films)[:, columns], films.groups


def proxies(data: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return the AUROC of each score by the films compared."""
    encoder = Encoder.load(MODELS / "adult", threads=1)
    films = adult_films(data)
    classes, source = films.table["rsna_class"], films.table["source"]
    normal = {
        "normal films of NIH": scored(encoder, films.of(classes.eq("Normal").to_numpy(bool))),
        "JSRT": scored(encoder, films.of(source.eq("jsrt").to_numpy(bool))),
    }
    sick = {
        "opacity in NIH": scored(encoder, films.of(classes.eq("Lung Opacity").to_numpy(bool))),
        "cohort": scored(encoder, cohort(data)),
    }
    return {f"{a}, {b}": _compared(sick[a], normal[b]) for a in sick for b in normal}


def _compared(sick: Scored, normal: Scored) -> dict[str, dict[str, float]]:
    logits, patients = (np.concatenate(parts) for parts in zip(sick, normal, strict=True))
    outcome = np.repeat([1, 0], [len(sick[0]), len(normal[0])])
    scores = {TUBERCULOSIS: logits[:, 0]}
    for number, other in enumerate(OTHERS, start=1):
        scores[other] = logits[:, number]
        scores[f"mean of {TUBERCULOSIS} and {other}"] = logits[:, [0, number]].mean(1)
    return {name: auroc_interval(outcome, of.astype(np.float64), patients) for name, of in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    print(json.dumps(proxies(parser.parse_args().data), indent=2))


if __name__ == "__main__":
    main()
