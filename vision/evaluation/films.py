"""The labelled films that models are made from and measured on: a table of paths, targets and the patient of each.

A target is 1, 0 or NaN (not known); one in between is a weak label, to train on but never to measure with. Knows no
network and no pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TARGET, WEIGHT = "target:", "weight:"
NIH_KEYS = {
    "Effusion": "pleural_effusion",
    "Atelectasis": "atelectasis",
    "Edema": "pulmonary_edema",
    "Consolidation": "consolidation",
    "Cardiomegaly": "cardiomegaly",
    "Pneumothorax": "pneumothorax",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Pleural_Thickening": "pleural_thickening",
    "Infiltration": "infiltration",
    "Pneumonia": "pneumonia",
}
ADULT_LABELS = (
    "lung_opacity",
    "abnormal",
    "lung_nodule_or_mass",
    "lung_nodule",
    "lung_mass",
    *NIH_KEYS.values(),
    "tuberculosis",
)
PAEDIATRIC_LABELS = ("paediatric_pneumonia",)
FRACTURE_LABELS = ("fracture",)
MAMMOGRAPHY_LABELS = ("breast_abnormality",)
_MIAS_SIDE = 1024
WEAK_OPACITY = {"Consolidation", "Infiltration", "Pneumonia", "Edema"}
OWN_COLUMNS = ("file", "patient", "sex", "age", "view")


@dataclass(frozen=True)
class LabelledFilms:
    """Films with their labels.

    targets  float32 [N, K], NaN where not known
    weights  float32 [N, K], how much a label counts in training
    groups   patient of each film, unique over sources
    table    path, source and, where known, view, age, sex, rsna_class, boxes and rate of each film
    seen     whether packaged models were made from these films, so that only the member of the other folds counts
    """

    labels: tuple[str, ...]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    groups: NDArray[np.str_]
    table: pd.DataFrame
    seen: bool

    def of(self, chosen: NDArray[np.bool_]) -> LabelledFilms:
        """Return the chosen films."""
        return replace(
            self,
            targets=self.targets[chosen],
            weights=self.weights[chosen],
            groups=self.groups[chosen],
            table=self.table[chosen].reset_index(drop=True),
        )


def fold_of(group: str, folds: int) -> int:
    """Return the fold of a patient, the same on every machine."""
    return int(hashlib.sha256(f"roentgen:{group}".encode()).hexdigest(), 16) % folds


def folds_of(groups: Sequence[str] | NDArray[np.str_], folds: int) -> NDArray[np.int64]:
    """Return the fold of each film's patient."""
    return np.array([fold_of(str(group), folds) for group in groups], np.int64)


def adult_films(data: Path) -> LabelledFilms:
    """Return NIH (adults), Shenzhen (adults or unknown age) and JSRT as one multi-task set.

    data  folder with chest/nih, chest/tuberculosis/shenzhen, chest/jsrt
    """
    parts = [_nih(data / "chest/nih"), _shenzhen(data / "chest/tuberculosis/shenzhen"), _jsrt(data / "chest/jsrt")]
    return _labelled(pd.concat(parts, ignore_index=True), ADULT_LABELS, seen=True)


def paediatric_films(data: Path) -> LabelledFilms:
    """Return the children's films of Kermany 2018.

    data  folder with chest/paediatric_pneumonia
    """
    folder = data / "chest/paediatric_pneumonia"
    labels = pd.read_csv(folder / "labels.csv")
    table = pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "paed:" + labels["group"].astype(str),
            "source": "kermany",
            "kind": labels["kind"],
            "target:paediatric_pneumonia": labels["pneumonia"].astype(float),
        }
    )
    return _labelled(table, PAEDIATRIC_LABELS, seen=True)


def fracture_films(data: Path) -> LabelledFilms:
    """Return limb films with and without fracture; most of those without come from one source.

    data  folder with bone/fracture
    """
    folder = data / "bone/fracture"
    labels = pd.read_csv(folder / "labels.csv")
    table = pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "bone:" + labels["group"].astype(str),
            "source": labels["source"].str.lower(),
            "target:fracture": labels["fractured"].astype(float),
        }
    )
    return _labelled(table, FRACTURE_LABELS, seen=True)


def mammography_films(data: Path) -> LabelledFilms:
    """Return the mammograms of mini-MIAS, left and right breast of a woman as one patient, with boxes of the lesions.

    data  folder with mammography/mias
    """
    folder = data / "mammography/mias"
    labels = pd.read_csv(folder / "labels.csv")
    normal = labels["abnormality"].eq("NORM")
    table = pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "mias:" + labels["patient_pair"].astype(str),
            "source": "mias",
            "boxes": [
                _boxes_of(circles, normal=healthy)
                for circles, healthy in zip(labels["lesions_xyr_1024"], normal, strict=True)
            ],
            "target:breast_abnormality": (~normal).astype(float),
        }
    )
    return _labelled(table, MAMMOGRAPHY_LABELS, seen=True)


def _boxes_of(circles: str, *, normal: bool) -> str | None:
    """Return the boxes around lesions as JSON of x, y, width, height; None where an abnormal film has none marked.

    circles  JSON of x, y, radius, the origin at the lower left as in the readme of mini-MIAS
    """
    boxes = []
    for x, y, radius in json.loads(circles):
        left, top = max(x - radius, 0), max(_MIAS_SIDE - y - radius, 0)
        right, bottom = min(x + radius, _MIAS_SIDE), min(_MIAS_SIDE - y + radius, _MIAS_SIDE)
        boxes.append([left, top, right - left, bottom - top])
    return json.dumps(boxes) if boxes or normal else None


def own_films(folder: Path, labels: Sequence[str]) -> LabelledFilms:
    """Return the films of a hospital's own folder.

    folder  images/ and labels.csv with the columns file, patient and a column 1/0/empty for each known finding key;
            sex, age and view if known
    labels  finding keys to take; those without a column stay unknown
    """
    given = pd.read_csv(folder / "labels.csv", dtype={"file": str, "patient": str})
    table = pd.DataFrame(
        {
            "path": [folder / "images" / name for name in given["file"]],
            "group": "own:" + given["patient"],
            "source": folder.name,
        }
    )
    for column in ("sex", "age", "view"):
        if column in given:
            table[column] = given[column]
    for label in labels:
        if label in given:
            table[TARGET + label] = pd.to_numeric(given[label])
    return _labelled(table, tuple(labels), seen=False)


def _nih(folder: Path) -> pd.DataFrame:
    labels = pd.read_csv(folder / "labels.csv")
    labels = labels[labels["adult"] == 1].reset_index(drop=True)
    found = labels["findings"].fillna("").str.split("|").map(set)
    table = pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "nih:" + labels["patient"].astype(str),
            "source": "nih_" + labels["source_side"].astype(str),
            "view": labels["view"],
            "age": labels["age"],
            "sex": labels["sex"],
            "rsna_class": labels["rsna_class"],
        }
    )
    for name, key in NIH_KEYS.items():
        table[f"target:{key}"] = [float(name in names) for names in found]
    table["target:lung_nodule_or_mass"] = [float(bool(names & {"Nodule", "Mass"})) for names in found]
    table["target:lung_nodule"] = [float("Nodule" in names) for names in found]
    table["target:lung_mass"] = [float("Mass" in names) for names in found]
    table["boxes"] = labels["rsna_boxes_1024"]
    table["rate"] = np.where(labels["rsna_class"].notna(), 2.0, 1.0)
    normal = labels["rsna_class"].eq("Normal")
    healthy = np.array([names == {"No Finding"} for names in found])
    table["target:abnormal"] = np.where(normal, 0.0, np.where(labels["rsna_class"].notna(), 1.0, ~healthy))
    opacity = np.where(labels["rsna_class"].notna(), labels["rsna_class"].eq("Lung Opacity").astype(float), np.nan)
    read = labels["adjudicated_airspace_opacity"]
    opacity = np.where(np.isnan(opacity) & read.notna(), read.eq("YES").astype(float), opacity)
    weak = np.isnan(opacity)
    weak_positive = np.array([bool(names & WEAK_OPACITY) for names in found])
    table["target:lung_opacity"] = np.where(
        weak, np.where(weak_positive, 0.6, np.where(healthy, 0.05, np.nan)), opacity
    )
    table["weight:lung_opacity"] = np.where(weak, 0.3, 2.0)
    return table


def _shenzhen(folder: Path) -> pd.DataFrame:
    labels = pd.read_csv(folder / "labels.csv")
    labels = labels[~(pd.to_numeric(labels["age"], errors="coerce") < 18)].reset_index(drop=True)
    sick = labels["tuberculosis"].astype(float)
    return pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "shenzhen:" + labels["file"],
            "source": "shenzhen",
            "age": pd.to_numeric(labels["age"], errors="coerce"),
            "sex": labels["sex"],
            "target:tuberculosis": sick,
            "target:abnormal": sick,
        }
    )


def _jsrt(folder: Path) -> pd.DataFrame:
    labels = pd.read_csv(folder / "labels.csv")
    return pd.DataFrame(
        {
            "path": [folder / "images" / name for name in labels["file"]],
            "group": "jsrt:" + labels["file"],
            "source": "jsrt",
            "view": "PA",
            "target:lung_nodule_or_mass": labels["nodule"].astype(float),
            "target:lung_nodule": labels["nodule"].astype(float),
            "target:abnormal": labels["nodule"].astype(float),
        }
    )


def _labelled(table: pd.DataFrame, labels: tuple[str, ...], *, seen: bool) -> LabelledFilms:
    targets = np.full((len(table), len(labels)), np.nan, np.float32)
    weights = np.ones_like(targets)
    for column, label in enumerate(labels):
        if TARGET + label in table:
            targets[:, column] = table[TARGET + label]
        if WEIGHT + label in table:
            weights[:, column] = table[WEIGHT + label].fillna(1.0)
    plain = table.drop(columns=[c for c in table if str(c).startswith((TARGET, WEIGHT))])
    return LabelledFilms(labels, targets, weights, table["group"].to_numpy(str), plain, seen)


@dataclass(frozen=True)
class Task:
    """What a model learns: its labels, and the development set it was made from.

    marker  file that tells the development set
    """

    labels: tuple[str, ...]
    marker: str
    development: Callable[[Path], LabelledFilms]


TASKS: Mapping[str, Task] = {
    "adult": Task(ADULT_LABELS, "chest/nih/labels.csv", adult_films),
    "paediatric": Task(PAEDIATRIC_LABELS, "chest/paediatric_pneumonia/labels.csv", paediatric_films),
    "fracture": Task(FRACTURE_LABELS, "bone/fracture/labels.csv", fracture_films),
    "mammography": Task(MAMMOGRAPHY_LABELS, "mammography/mias/labels.csv", mammography_films),
}


def task_films(name: str, data: Path, learned_from: Collection[str] = ()) -> LabelledFilms | None:
    """Return the films of a task in a folder: its development set, or a hospital's own; None where there is neither.

    learned_from  hashes of the labels that a model was made from (`labels_sha256`); a hospital's own films are judged
                  by the member that has not seen their patient where theirs is among them
    """
    task = TASKS[name]
    if (data / task.marker).is_file():
        return task.development(data)
    if not (data / "labels.csv").is_file():
        return None
    films = replace(own_films(data, task.labels), seen=labels_sha256(data) in learned_from)
    return films if np.isfinite(films.targets).any() else None


def labels_sha256(data: Path) -> str:
    """Return the hash of the labels of a hospital's own folder."""
    return hashlib.sha256((data / "labels.csv").read_bytes()).hexdigest()
