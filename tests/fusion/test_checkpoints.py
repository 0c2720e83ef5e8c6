"""A training run that was stopped goes on from what it had finished, and from nothing that was made for another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion.training.checkpoints import FOLDER, Checkpoints, Part, fingerprint


class Work:
    """Makes a part, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> Part:
        self.times += 1
        return {"first 48 h": np.arange(3.0)}


def test_a_finished_part_is_not_made_again(tmp_path: Path) -> None:
    work = Work()
    for _ in range(2):
        found = Checkpoints(tmp_path, "run").part("fold 1", work)
        assert found["first 48 h"].tolist() == [0.0, 1.0, 2.0]
    assert work.times == 1


def test_a_part_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    def interrupted() -> Part:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Checkpoints(tmp_path, "run").part("fold 1", interrupted)
    work = Work()
    Checkpoints(tmp_path, "run").part("fold 1", work)
    assert work.times == 1


def test_parts_of_another_recipe_or_other_data_are_dropped(tmp_path: Path) -> None:
    work = Work()
    for recipe, data in (("a", [1.0]), ("b", [1.0]), ("b", [2.0]), ("b", [2.0])):
        Checkpoints(tmp_path, fingerprint(recipe, np.array(data))).part("fold 1", work)
    assert work.times == 3


def test_a_finished_run_leaves_nothing(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    checkpoints.part("fold 1", Work())
    checkpoints.done()
    assert not (tmp_path / FOLDER).exists()
