"""Keeps the finished parts of a training run beside what it writes, so that a run that was stopped goes on.

A part is a mapping of arrays, kept as one file without code. What was made for other data or another recipe is dropped.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

FOLDER = ".progress"
_MADE_FOR = "made_for.txt"
Part = Mapping[str, npt.NDArray[np.float64]]


def fingerprint(recipe: object, *arrays: npt.NDArray[np.generic]) -> str:
    """Return what tells one run from another: the recipe as it prints, and the data."""
    digest = hashlib.sha256(repr(recipe).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Checkpoints:
    """The finished parts of one run."""

    def __init__(self, out: Path, made_for: str) -> None:
        self._folder = out / FOLDER
        note = self._folder / _MADE_FOR
        if self._folder.is_dir() and (not note.is_file() or note.read_text("utf-8") != made_for):
            shutil.rmtree(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        note.write_text(made_for, "utf-8")

    def part(self, name: str, make: Callable[[], Part]) -> dict[str, npt.NDArray[np.float64]]:
        """Return a part as it was kept, else make it and keep it."""
        file = self._folder / f"{name}.npz"
        if not file.is_file():
            unfinished = self._folder / f"{name}.unfinished.npz"
            np.savez(unfinished, **dict(make()))  # type: ignore[arg-type]
            unfinished.replace(file)
        with np.load(file, allow_pickle=False) as kept:
            return {key: kept[key] for key in kept.files}

    def done(self) -> None:
        """Forget the parts: the run is finished."""
        shutil.rmtree(self._folder)
