"""A picture of calibration: observed against predicted risk in bins of equal mass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

SIDE_INCHES = 5


def draw_calibration(bins: Sequence[dict[str, float]], title: str, path: Path) -> None:
    """Write the picture of calibration bins (predicted, observed, count); the format is that of the suffix."""
    figure = Figure(figsize=(SIDE_INCHES, SIDE_INCHES), layout="constrained")
    axes = figure.add_subplot()
    top = max(max(b["predicted"], b["observed"]) for b in bins) * 1.1
    axes.plot([0, top], [0, top], color="0.7", linewidth=1, label="perfect")
    axes.plot([b["predicted"] for b in bins], [b["observed"] for b in bins], marker="o", label="observed")
    axes.set(xlabel="predicted risk", ylabel="observed risk", title=title, xlim=(0, top), ylim=(0, top))
    axes.legend()
    figure.savefig(path)
