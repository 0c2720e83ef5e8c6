"""Writes the model folder of deterioration: weights, licence, and a card whose figures were measured on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fusion.evaluation.deterioration import VIEWS, View
from fusion.evaluation.metrics import RESAMPLES, auroc, calibration_bins, measure
from fusion.evaluation.stays import Cohort, read_cohorts
from fusion.risks.boosters import Boosters
from fusion.risks.card import Golden, ModelCard, hashes, write_card
from fusion.risks.deterioration import NAME, DeteriorationModel, Stage
from fusion.risks.events import DESCRIPTORS, SERIES, Array
from fusion.training.checkpoints import Checkpoints, fingerprint
from fusion.training.deterioration import (
    WHOLE,
    Copies,
    Ints,
    Recipe,
    Say,
    calibrated_out_of_fold,
    calibrations,
    fit_stages,
    out_of_fold,
    save_stages,
    stage_for,
)

VERSION = "1.0.0"
_ICU = {1: "coronary", 2: "cardiac surgery", 3: "medical", 4: "surgical"}
_LICENCE = """Weights trained on the PhysioNet/Computing in Cardiology Challenge 2012 data (sets {sets}).

Source: Silva I, Moody G, Scott DJ, Celi LA, Mark RG. Predicting in-hospital mortality of ICU patients: the
PhysioNet/Computing in Cardiology Challenge 2012. Comput Cardiol 2012;39:245-248. PhysioNet, open access (ODC-By 1.0).

The weights may be used, changed and passed on under the Open Data Commons Attribution License 1.0 with this notice.
They are decision support for professionals, not a diagnosis, and come without warranty.
"""
_LIMITS = [
    "Only intensive care stays of 48 hours or more were in the development data: whoever died or left earlier was not.",
    "One hospital, 2001 to 2008; treatment and measuring habits have changed. Validate and recalibrate on site.",
    "The oxygen saturation of a record is mostly SpO2; the development data hold SaO2 of blood gases.",
    "How often something is measured is a feature: other charting habits change the risk.",
    "Never trained on SAPS-I, SOFA or length of stay. It knows no diagnosis, no drugs and no limits of treatment.",
]


def train_deterioration(
    data: Path,
    out: Path,
    *,
    recipe: Recipe | None = None,
    names: tuple[str, ...] | None = None,
    resamples: int = RESAMPLES,
    say: Say = print,
) -> ModelCard:
    """Train on the sets of a folder, write the model folder, and return its card.

    data  folder of set_NAME.parquet (record, minute, parameter, value) and outcomes_NAME.csv
    With several sets, a model of all but the last is also tested on the last, for the card. A run that was stopped
    goes on from the folds that are kept in `out`.
    """
    chosen = recipe or Recipe()
    cohorts = read_cohorts(data, names)
    copies = Copies(cohorts)
    outcome = copies.outcome
    say(f"{len(outcome)} stays, {int(outcome.sum())} deaths")
    checkpoints = Checkpoints(out, fingerprint(chosen, outcome, *_values(cohorts)))
    raw = out_of_fold(chosen, copies, outcome, checkpoints, say)
    everyone = np.arange(len(outcome))
    stages = _fitted(chosen, copies, outcome, everyone, raw)
    say("fitted on all stays")
    metrics: dict[str, Any] = {
        "cross_validated": _by_view(outcome, calibrated_out_of_fold(chosen, raw, outcome), resamples)
    }
    if len(cohorts) > 1:
        metrics["trained_on_others_tested_on_last"] = _transferred(chosen, copies, cohorts, resamples, checkpoints, say)
    out.mkdir(parents=True, exist_ok=True)
    entries = save_stages(stages, out)
    set_names = ", ".join(cohort.name for cohort in cohorts)
    (out / "LICENSE").write_text(_LICENCE.format(sets=set_names), "utf-8")
    full = calibrated_out_of_fold(chosen, raw, outcome)[WHOLE]
    card = ModelCard(
        id=NAME,
        version=VERSION,
        title="In-hospital death (intensive care)",
        outcome="in-hospital death",
        population="adults in intensive care; developed on stays of 48 hours or more",
        inputs=[*DESCRIPTORS, *SERIES],
        sha256=hashes(out, [name for entry in entries for name in entry["files"]]),
        golden=[Golden(input=given, output=_golden_output(stages, given)) for given in _invented_stays()],
        calibration={"stages": entries, "bins": calibration_bins(outcome, full)},
        development={
            "stays": len(outcome),
            "deaths": int(outcome.sum()),
            "prevalence": float(outcome.mean()),
            "resamples": resamples,
        },
        training_data=[
            {
                "name": f"PhysioNet/CinC Challenge 2012, sets {set_names}",
                "licence": "ODC-By 1.0 (PhysioNet open access)",
                "citation": "Silva I, Comput Cardiol 2012;39:245",
            }
        ],
        metrics=metrics,
        subgroups=_by_subgroup(cohorts, outcome, full, resamples),
        limits=_LIMITS,
    )
    write_card(out, card)
    checkpoints.done()
    return card


def _values(cohorts: Sequence[Cohort]) -> Iterator[Array]:
    for cohort in cohorts:
        for stay, minute, value in cohort.stays.series.values():
            yield from (stay.astype(np.float64), minute, value)


def _fitted(recipe: Recipe, copies: Copies, outcome: Ints, rows: Ints, raw: dict[View, Array]) -> list[Stage]:
    fitted = zip(fit_stages(recipe, copies, outcome, rows), calibrations(recipe, raw, outcome[rows]), strict=True)
    return [
        Stage(stage.from_hours, Boosters(boosters, slope, intercept))
        for stage, (boosters, (slope, intercept)) in zip(recipe.stages, fitted, strict=True)
    ]


def _transferred(
    recipe: Recipe, copies: Copies, cohorts: Sequence[Cohort], resamples: int, checkpoints: Checkpoints, say: Say
) -> dict[str, Any]:
    """Return the figures on the last set of a model, calibration included, made from the others only."""
    development = Copies(cohorts[:-1])
    outcome = development.outcome
    raw = out_of_fold(recipe, development, outcome, checkpoints, say, name="fold of the others")
    stages = _fitted(recipe, development, outcome, np.arange(len(outcome)), raw)
    say(f"fitted without set {cohorts[-1].name}")
    last = np.arange(len(outcome), len(copies.outcome))
    probability = {
        view: stages[stage_for(recipe, view.hours)].boosters.probability(copies.at(view).iloc[last]) for view in VIEWS
    }
    return _by_view(copies.outcome[last], probability, resamples)


def _by_view(outcome: Ints, probability: dict[View, Array], resamples: int) -> dict[str, Any]:
    return {str(view): _rounded(measure(outcome, probability[view], resamples=resamples)) for view in VIEWS}


def _rounded(measured: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {key: round(value, 4) for key, value in entry.items()} for name, entry in measured.items()}


def _by_subgroup(cohorts: Sequence[Cohort], outcome: Ints, probability: Array, resamples: int) -> dict[str, Any]:
    described = {name: np.concatenate([c.stays.descriptors[name] for c in cohorts]) for name in DESCRIPTORS}
    age, sex, icu = described["Age"], described["Gender"], described["ICUType"]
    groups = {
        "women": sex == 0,
        "men": sex == 1,
        "under 50": age < 50,
        "50 to 64": (age >= 50) & (age < 65),
        "65 to 79": (age >= 65) & (age < 80),
        "80 and over": age >= 80,
        **{f"{words} unit": icu == code for code, words in _ICU.items()},
    }
    return {
        name: {
            "stays": int(rows.sum()),
            "deaths": int(outcome[rows].sum()),
            "mean_predicted": round(float(probability[rows].mean()), 4),
            **_rounded(measure(outcome[rows], probability[rows], metrics={"auroc": auroc}, resamples=resamples)),
        }
        for name, rows in groups.items()
        if 0 < outcome[rows].sum() < rows.sum()
    }


def _golden_output(stages: Sequence[Stage], given: dict[str, Any]) -> float:
    model = DeteriorationModel(_no_card(), tuple(stages))
    events = pd.DataFrame(given["events"], columns=["record", "minute", "parameter", "value"])
    return round(float(model.predict(events)["probability"].iloc[0]), 6)


def _no_card() -> ModelCard:
    return ModelCard(
        id=NAME, version="", title="", outcome="", population="", inputs=[], sha256={}, golden=[], calibration={},
        development={}, training_data=[], metrics={}, limits=[],
    )  # fmt: skip


def _invented_stays() -> list[dict[str, Any]]:
    """Return two stays that nobody had: one that goes badly over two days, one of six calm hours."""
    bad: list[list[Any]] = [[1, 0, "Age", 81.0], [1, 0, "Gender", 1.0], [1, 0, "ICUType", 3.0]]
    for hour in range(0, 48, 4):
        bad += [
            [1, hour * 60 + 5, "HR", 95.0 + hour],
            [1, hour * 60 + 5, "SysABP", 118.0 - hour],
            [1, hour * 60 + 5, "GCS", 12.0 - hour // 8],
            [1, hour * 60 + 5, "Urine", 60.0 - hour],
        ]
    bad += [[1, 60 + 720 * step, name, value + step * rise] for step in range(4) for name, value, rise in _WORSENING]
    calm: list[list[Any]] = [[1, 0, "Age", 45.0], [1, 0, "Gender", 0.0], [1, 0, "ICUType", 2.0]]
    for hour in range(6):
        calm += [[1, hour * 60 + 9, name, value] for name, value in _CALM]
    return [{"events": bad}, {"events": calm}]


_WORSENING = (("BUN", 40.0, 8.0), ("Lactate", 3.0, 1.2), ("Creatinine", 1.6, 0.5), ("pH", 7.34, -0.03))
_CALM = (("HR", 78.0), ("SysABP", 124.0), ("DiasABP", 66.0), ("GCS", 15.0), ("Temp", 36.9), ("Urine", 90.0))
