"""How good a risk is, measured where outcomes are known; never imported when serving."""

from __future__ import annotations

from fusion.evaluation.deterioration import evaluate_deterioration
from fusion.evaluation.metrics import METRICS, calibration_bins, difference, measure
from fusion.evaluation.picture import draw_bars, draw_calibration

__all__ = [
    "METRICS",
    "calibration_bins",
    "difference",
    "draw_bars",
    "draw_calibration",
    "evaluate_deterioration",
    "measure",
]
