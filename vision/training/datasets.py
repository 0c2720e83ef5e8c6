"""The development sets as arrays: films, masked targets and the group that must stay on one side of a split.

A target is 1, 0 or NaN (not known); a weight below 1 marks a weak label.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision.prepare import Preparation, stretched

STORED_SIDE = 256
PLACE_SIDE = 64

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
EMPHASIS = {
    "lung_opacity": 4.0,
    "pleural_effusion": 1.5,
    "atelectasis": 1.5,
    "pulmonary_edema": 1.5,
    "consolidation": 1.5,
    "cardiomegaly": 1.5,
    "pneumonia": 0.5,
    "infiltration": 0.5,
}
PAEDIATRIC_LABELS = ("paediatric_pneumonia",)
WEAK_OPACITY = {"Consolidation", "Infiltration", "Pneumonia", "Edema"}


@dataclass(frozen=True)
class FilmSet:
    """Films of one task.

    films    uint8 [N, side, side]
    targets  float32 [N, K], NaN where not known
    weights  float32 [N, K]
    places   uint8 [N, PLACE_SIDE, PLACE_SIDE], 255 inside a radiologist's box of the first label
    placed   bool [N], whether `places` is known (an empty place is an answer too)
    rate     float32 [N], how often a film is shown per epoch
    groups   patient of each film, unique over sources
    table    source, view, age, sex and more of each film, for subgroup figures
    """

    labels: tuple[str, ...]
    films: NDArray[np.uint8]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    places: NDArray[np.uint8]
    placed: NDArray[np.bool_]
    rate: NDArray[np.float32]
    groups: NDArray[np.str_]
    table: pd.DataFrame


def fold_of(group: str, folds: int) -> int:
    """Return the fold of a patient, the same on every machine."""
    return int(hashlib.sha256(f"roentgen:{group}".encode()).hexdigest(), 16) % folds


def load_adult(data: Path) -> FilmSet:
    """Return NIH (adults), Shenzhen (adults or unknown age) and JSRT as one multi-task set.

    data  folder with chest/nih, chest/tuberculosis/shenzhen, chest/jsrt
    """
    parts = [_nih(data / "chest/nih"), _shenzhen(data / "chest/tuberculosis/shenzhen"), _jsrt(data / "chest/jsrt")]
    table = pd.concat([part for part in parts if part is not None], ignore_index=True)
    return _film_set(table, ADULT_LABELS)


def load_paediatric(data: Path) -> FilmSet:
    """Return the children's films."""
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
    return _film_set(table, PAEDIATRIC_LABELS)


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


def _shenzhen(folder: Path) -> pd.DataFrame | None:
    if not (folder / "labels.csv").is_file():
        return None
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


def _jsrt(folder: Path) -> pd.DataFrame | None:
    if not (folder / "labels.csv").is_file():
        return None
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


def _film_set(table: pd.DataFrame, labels: tuple[str, ...]) -> FilmSet:
    films = np.stack([_film(path) for path in table["path"]])
    targets = np.full((len(table), len(labels)), np.nan, np.float32)
    weights = np.ones_like(targets)
    for column, label in enumerate(labels):
        if f"target:{label}" in table:
            targets[:, column] = table[f"target:{label}"]
        if f"weight:{label}" in table:
            weights[:, column] = table[f"weight:{label}"].fillna(1.0)
    weights *= np.array([EMPHASIS.get(label, 1.0) for label in labels], np.float32)
    hidden = [c for c in table if c.startswith(("target:", "weight:"))] + ["path"]
    places, placed = _places(table)
    return FilmSet(
        labels,
        films,
        targets,
        weights,
        places,
        placed,
        table["rate"].fillna(1.0).to_numpy(np.float32) if "rate" in table else np.ones(len(table), np.float32),
        table["group"].to_numpy(str),
        table.drop(columns=hidden),
    )


def _places(table: pd.DataFrame) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return the radiologists' boxes as masks, and for which films they are known."""
    places = np.zeros((len(table), PLACE_SIDE, PLACE_SIDE), np.uint8)
    if "boxes" not in table:
        return places, np.zeros(len(table), bool)
    known = table["boxes"].notna().to_numpy(bool)
    for row in np.flatnonzero(known):
        for x, y, width, height in json.loads(table["boxes"].iloc[row]):
            left, top, right, bottom = np.round(np.array([x, y, x + width, y + height]) * PLACE_SIDE / 1024).astype(int)
            places[row, top:bottom, left:right] = 255
    return places, known


def _film(path: Path) -> NDArray[np.uint8]:
    """Return a film as it is stored for training: scaled and stretched as `vision.prepare` does when serving."""
    pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise FileNotFoundError(path)
    method = cv2.INTER_AREA if min(pixels.shape) >= STORED_SIDE else cv2.INTER_LINEAR
    square = cv2.resize(pixels, (STORED_SIDE, STORED_SIDE), interpolation=method)
    return np.round(stretched(square.astype(np.float32) / 255, Preparation()) * 255).astype(np.uint8)
