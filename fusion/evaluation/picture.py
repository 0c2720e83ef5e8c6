"""Pictures of an evaluation: calibration curves, and figures with their intervals side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

SIDE_INCHES = 5
_BAR_INCHES = 0.3


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


def draw_bars(figures: Mapping[str, Mapping[str, float]], title: str, path: Path) -> None:
    """Write a picture of one bar per name; `low` and `high` beside `value` are drawn as its interval."""
    names = list(figures)
    figure = Figure(figsize=(SIDE_INCHES * 1.4, 1 + _BAR_INCHES * len(names)), layout="constrained")
    axes = figure.add_subplot()
    values = [figures[name]["value"] for name in names]
    below = [value - figures[name].get("low", value) for name, value in zip(names, values, strict=True)]
    above = [figures[name].get("high", value) - value for name, value in zip(names, values, strict=True)]
    axes.barh(names, values, xerr=(below, above), color="0.75", ecolor="0.2")
    axes.invert_yaxis()
    axes.set(title=title, xlim=(0, 1))
    figure.savefig(path)
