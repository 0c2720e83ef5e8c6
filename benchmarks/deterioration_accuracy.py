"""Accuracy of the risk of in-hospital death on stays whose outcome is known, and its time per patient.

    python benchmarks/deterioration_accuracy.py --data DIR [--model FOLDER] [--sets b] [--transfer]

DIR holds set_NAME.parquet and outcomes_NAME.csv. The packaged model was trained on sets a and b: figures on those
flatter it. With --transfer a model is trained on all sets but the last, and measured on the last (minutes).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from fusion.evaluation import evaluate_deterioration
from fusion.facts import Encounter, Observation, Patient
from fusion.risks import RiskModels
from fusion.training.deterioration_card import train_deterioration

AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
COURSE = {
    "heart_rate": 96.0, "systolic_bp": 104.0, "diastolic_bp": 61.0, "temperature_c": 37.8, "spo2_percent": 93.0,
    "glasgow_coma_scale": 13.0, "bun_mg_dl": 44.0, "creatinine_mg_dl": 1.7, "sodium_mmol_l": 139.0,
    "lactate_mmol_l": 2.4, "leukocytes_10e9_l": 13.0, "platelets_10e9_l": 188.0,
}  # fmt: skip


def patient(*, intensive_care: bool) -> Patient:
    """An adult with twelve parameters every two hours for a day, in intensive care or on a ward."""
    start = AT - timedelta(hours=24)
    return Patient(
        id="p",
        birth_date=date(1950, 1, 1),
        sex="female",
        encounters=(Encounter("IMP", intensive_care, start, None, "Encounter/1"),),
        observations=tuple(
            Observation(key, value, start + timedelta(hours=hour), f"Observation/{key}-{hour}")
            for key, value in COURSE.items()
            for hour in range(0, 24, 2)
        ),
    )


def milliseconds(risks: RiskModels, subject: Patient, repeats: int) -> dict[str, float]:
    """Median and 99th percentile of one assessment, after a first one."""
    risks.assess(subject, None, None, AT)
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        risks.assess(subject, None, None, AT)
        taken.append(1000 * (time.perf_counter() - started))
    return {"median": round(statistics.median(taken), 4), "p99": round(statistics.quantiles(taken, n=100)[98], 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--sets", nargs="+")
    parser.add_argument("--transfer", action="store_true")
    given = parser.parse_args()
    names = tuple(given.sets) if given.sets else None
    result: dict[str, Any] = {}
    if given.transfer:
        with tempfile.TemporaryDirectory() as folder:
            say = lambda line: print(line, file=sys.stderr)  # noqa: E731
            card = train_deterioration(given.data, Path(folder), names=names, say=say)
        result = card.metrics
    else:
        result = evaluate_deterioration(given.data, model=given.model, names=names)
        risks = RiskModels.load()
        result["milliseconds"] = {
            "in intensive care": milliseconds(risks, patient(intensive_care=True), 300),
            "on a ward": milliseconds(risks, patient(intensive_care=False), 3000),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
