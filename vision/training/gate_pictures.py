"""The pictures a gate learns from: chest films, what else a PACS may send, and what has no business there.

Every picture carries the group that stays on one side of the split. Films of unknown licence are kept for evaluation.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vision.evaluation.films import fold_of
from vision.training.gate_drawings import ct_slice, drawing

Pixels = NDArray[np.float32]
FOLDS = 5
TEST_FOLD, CALIBRATION_FOLD = 0, 1
CHILDREN = 1500
DRAWN_SLICES = 900
DRAWINGS = 1200
CROPS = 40
"""Crops taken from each photograph."""
HELD_OUT_PHOTOGRAPHS = frozenset({"flower", "camera", "grace_hopper", "chelsea", "moon", "retina", "motorcycle_right"})
_PHOTOGRAPHS = {
    "sklearn": "datasets/images/*.jpg",
    "matplotlib": "mpl-data/sample_data/*.jpg",
    "skimage": "data/*.[pj][np]g",
}
_NOT_PHOTOGRAPHS = frozenset({"phantom", "horse", "chessboard_GRAY", "chessboard_RGB", "clock_motion", "multipage"})


@dataclass(frozen=True)
class Picture:
    """One picture of the gate's world.

    kind    chest, limb, breast, slice or other
    source  where it comes from, for figures by source
    split   train, calibration, test, or evaluation (never learned from, whatever the fold)
    view    PA or AP where known
    load    returns its pixels, 0-1
    """

    kind: str
    source: str
    split: str
    load: Callable[[], Pixels]
    view: str | None = None


def pictures(data: Path) -> list[Picture]:
    """Return every picture under the folder of development data, in installed packages, and drawn."""
    return [
        *_nih(data / "chest/nih"),
        *_children(data / "chest/paediatric_pneumonia"),
        *_listed(data / "chest/tuberculosis/shenzhen", "chest", "shenzhen", "file"),
        *_listed(data / "chest/jsrt", "chest", "jsrt", "file", view="PA"),
        *_cohort(data / "chest/covid_cohort"),
        *_listed(data / "bone/fracture", "limb", "fracture", "group"),
        *_listed(data / "mammography/mias", "breast", "mias", "patient_pair"),
        *_brain_slices(),
        *_photographs(),
        *_drawn(),
    ]


def _split(group: str) -> str:
    return {TEST_FOLD: "test", CALIBRATION_FOLD: "calibration"}.get(fold_of(group, FOLDS), "train")


def _reader(path: Path) -> Callable[[], Pixels]:
    def read() -> Pixels:
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if pixels is None:
            raise FileNotFoundError(path)
        return np.asarray(pixels, np.float32) / np.float32(255)

    return read


def _listed(folder: Path, kind: str, source: str, group: str, view: str | None = None) -> Iterator[Picture]:
    for row in pd.read_csv(folder / "labels.csv").to_dict("records"):
        split = _split(f"{source}:{row[group]}")
        yield Picture(kind, source, split, _reader(folder / "images" / str(row["file"])), view)


def _nih(folder: Path) -> Iterator[Picture]:
    for row in pd.read_csv(folder / "labels.csv").to_dict("records"):
        split = _split(f"nih:{row['patient']}")
        yield Picture(
            "chest", f"nih_{row['source_side']}", split, _reader(folder / "images" / row["file"]), row["view"]
        )


def _children(folder: Path) -> Iterator[Picture]:
    table = pd.read_csv(folder / "labels.csv")
    splits = [_split(f"paed:{group}") for group in table["group"]]
    learned = table.index[[split != "test" for split in splits]]
    chosen = set(np.random.default_rng(0).permutation(learned)[:CHILDREN].tolist())
    for position, name in enumerate(table["file"]):
        if splits[position] == "test" or position in chosen:
            yield Picture("chest", "kermany", splits[position], _reader(folder / "images" / name))


def _cohort(folder: Path) -> Iterator[Picture]:
    for row in pd.read_csv(folder / "cohort.csv").to_dict("records"):
        licensed = isinstance(row["license"], str)
        split = _split(f"covid:{row['patientid']}") if licensed else "evaluation"
        source = "covid_cohort" if licensed else "covid_cohort_unlicensed"
        view = {"PA": "PA", "AP": "AP", "AP Supine": "AP"}.get(row["view"])
        yield Picture("chest", source, split, _reader(folder / "images" / row["file"]), view)


def _package_files(package: str, pattern: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    return sorted(path for folder in folders for path in Path(folder).glob(pattern))


def _brain_slices() -> Iterator[Picture]:
    """Yield slices of the MNI152 template that nilearn carries; the three planes are three groups."""
    for path in _package_files("nilearn", "datasets/data/mni_icbm152_t1_*.nii.gz"):
        volume = _nifti(path)
        for axis, split in enumerate(("train", "test", "calibration")):
            for place in range(volume.shape[axis] // 5, volume.shape[axis] * 4 // 5, 2 if split == "train" else 6):
                plane = np.rot90(np.take(volume, place, axis)).astype(np.float32)
                yield Picture("slice", "mni152", split, _constant(plane))


def _nifti(path: Path) -> Pixels:
    """Return the volume in a NIfTI-1 file, 0-1."""
    data = gzip.decompress(path.read_bytes())
    shape = tuple(int(n) for n in np.frombuffer(data, "<i2", 8, 40)[1:4])
    kind = {2: "u1", 4: "<i2", 16: "<f4", 64: "<f8"}[int(np.frombuffer(data, "<i2", 1, 70)[0])]
    offset = int(np.frombuffer(data, "<f4", 1, 108)[0])
    volume = np.frombuffer(data, kind, int(np.prod(shape)), offset).reshape(shape, order="F").astype(np.float32)
    scaled: Pixels = np.clip(volume / np.percentile(volume, 99.8), 0, 1)
    return scaled


def _constant(pixels: Pixels) -> Callable[[], Pixels]:
    return lambda: pixels


def _photographs() -> Iterator[Picture]:
    for package, pattern in _PHOTOGRAPHS.items():
        for path in _package_files(package, pattern):
            if path.stem in _NOT_PHOTOGRAPHS:
                continue
            split = "test" if path.stem in HELD_OUT_PHOTOGRAPHS else "train"
            yield Picture("other", "photograph", split, _reader(path))
            for crop in range(CROPS):
                yield Picture("other", "photograph", split, _crop(path, crop))


def _crop(path: Path, seed: int) -> Callable[[], Pixels]:
    def read() -> Pixels:
        random = np.random.default_rng(seed)
        pixels = _reader(path)()
        side = max(int(min(pixels.shape) * random.uniform(0.35, 1)), 48)
        top, left = (int(random.integers(0, max(length - side, 0) + 1)) for length in pixels.shape)
        return pixels[top : top + side, left : left + side]

    return read


def _drawn() -> Iterator[Picture]:
    for seed in range(DRAWN_SLICES):
        yield Picture("slice", "drawn_ct", _split(f"ct:{seed}"), _seeded(ct_slice, seed))
    for seed in range(DRAWINGS):
        yield Picture("other", "drawing", _split(f"drawing:{seed}"), _seeded(drawing, seed))


def _seeded(draw: Callable[[np.random.Generator], Pixels], seed: int) -> Callable[[], Pixels]:
    return lambda: draw(np.random.default_rng(seed))
