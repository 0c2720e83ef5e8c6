"""The labelled films that models are made from and measured on: a table of paths, targets and the patient of each.

A target is 1, 0 or NaN (not known); one in between is a weak label, to train on but never to measure with. Knows no
network and no pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
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
            "rate": 0.5,
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
