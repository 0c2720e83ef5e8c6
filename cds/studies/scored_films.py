"""A hospital's own labelled films, scored by the models in service: the cases of `cds calibrate` and `cds audit`.

Films are read as when serving, so what the gate refuses there has no score here either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cds.errors import ConfigurationError
from vision import Analyzer, Technique, analyze_files
from vision.evaluation.films import own_films

GROUPS = ("sex", "age", "view")


def scored_films(folder: Path, finding: str, analyzer: Analyzer, model: str | None = None) -> tuple[pd.DataFrame, int]:
    """Return the cases of a folder, and how many of its labelled films gave no score.

    folder  images/ and labels.csv: file, patient, a column of the finding with 1, 0 or nothing, and sex, age and view
            where known
    model   id of the model whose scores are wanted; None: whichever is in service for the film

    Columns score, label, patient, and sex, age and view where the folder has them.
    Raises ConfigurationError when the folder has no labels of the finding, or no film of it gave a score.
    """
    if not (folder / "labels.csv").is_file():
        raise ConfigurationError(f"{folder}: no labels.csv")
    films = own_films(folder, (finding,))
    labelled = films.of(np.isin(films.targets[:, 0], (0, 1)))
    if not len(labelled.groups):
        raise ConfigurationError(f"{folder / 'labels.csv'}: no film with 1 or 0 in a column {finding}")
    cases = []
    for row, label in enumerate(labelled.targets[:, 0]):
        given = {name: _known(labelled.table[name].iloc[row]) for name in GROUPS if name in labelled.table}
        score = _score(labelled.table["path"].iloc[row], given, finding, analyzer, model)
        if score is not None:
            cases.append({"score": score, "label": int(label), "patient": labelled.groups[row], **given})
    if not cases:
        raise ConfigurationError(
            f"no film of {folder} was given a score of {finding} by {model or 'a model in service'}"
        )
    return pd.DataFrame(cases), len(labelled.groups) - len(cases)


def _score(path: Path, given: dict[str, Any], finding: str, analyzer: Analyzer, model: str | None) -> float | None:
    age = given.get("age")
    technique = Technique(age_years=age, sex=given.get("sex"), view=given.get("view"), assume_adult=age is None)
    ((_, result),) = analyze_files(analyzer, [path], technique)
    found = result.finding(finding)
    return None if found is None or model not in (None, found.model.id) else found.score


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value
