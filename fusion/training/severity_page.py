"""The figures of a severity card as a page to read, written into the model folder each time it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusion.risks.card import ModelCard

FIGURES = "figures.md"


def page_of(card: ModelCard) -> str:
    """Return the page: each variant of the cohort, and the calibration of every set of modalities."""
    standing = "served" if card.enabled else f"off: {card.reason}"
    variants = {name: figures for name, figures in card.metrics.items() if "fused_minus" in figures}
    rows = [_compared(name, figures) for name, figures in variants.items()]
    lines = [
        "# Severity: figures",
        "",
        f"Written by `cds train fusion --task severity`. Standing: {standing}.",
        "",
        "AUROC with 95 % interval by resampling patients, repeated cross-validation by patient:",
        "",
        "| cases | fused | film only | note only | record only | fused minus best single |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    everyone = card.metrics.get("all patients", {})
    if "calibrated_within_subset" in everyone:
        lines += [
            "",
            "Any set of modalities answers, by a calibration of its own. Patients who have them all; the calibration",
            "is fitted and measured on different patients. By chance: the 95 % range of the error that a perfect model",
            "shows with as many patients, by outcomes drawn from its probabilities.",
            "",
            "| modalities used | patients (severe) | mean probability | frequency | calibration error | by chance |",
            "|---|---|---|---|---|---|",
            *(_calibrated(name, found) for name, found in everyone["calibrated_within_subset"].items()),
        ]
    return "\n".join(lines) + "\n"


def _compared(name: str, figures: Mapping[str, Any]) -> str:
    areas = figures["auroc"]
    singles = {key: value for key, value in areas.items() if key != "fused"}
    best = max(singles, key=lambda key: float(singles[key]["value"]))
    cells = [_interval(areas[key]) for key in ("fused", "image only", "text only", "record only")]
    return f"| {name} ({figures['patients']}) | {' | '.join(cells)} | {_interval(figures['fused_minus'][best])} |"


def _calibrated(name: str, found: Mapping[str, Any]) -> str:
    patients = f"{found['patients']} ({found['severe']})"
    if "calibration_error" not in found:
        return f"| {name} | {patients} | {found['note']} | | | |"
    chance = found["calibration_error_by_chance"]
    cells = (
        f"{found['mean_probability']:.3f}",
        f"{found['frequency']:.3f}",
        _interval(found["calibration_error"]),
        f"{chance['low']:.3f} to {chance['high']:.3f}",
    )
    return f"| {name} | {patients} | {' | '.join(cells)} |"


def _interval(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
