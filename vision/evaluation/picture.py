"""Figures of an evaluation -> a picture: AUROC of each finding with its interval, and calibration curves."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_ROW_INCHES = 0.32


def picture(figures: dict[str, Any]) -> bytes:
    """Return a PNG of what `evaluate` measured, one row of panels per population."""
    most = max(len(part.get("findings", ())) for part in figures.values())
    height = 1.2 + _ROW_INCHES * max(most, 9)
    figure = Figure(figsize=(11, height * len(figures)), layout="constrained")
    panels = figure.subplots(len(figures), 2, squeeze=False)
    for (bars, curves), (population, part) in zip(panels, figures.items(), strict=True):
        if "structures" in part:
            _draw_overlaps(bars, part["structures"])
            curves.set_axis_off()
            continue
        _draw_areas(bars, population, part["findings"])
        _draw_calibration(curves, {name: one for name, one in part["findings"].items() if one["served"]})
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_areas(axes: Axes, population: str, findings: dict[str, Any]) -> None:
    ranked = sorted(findings.items(), key=lambda item: item[1]["auroc"]["value"])
    for row, (_, one) in enumerate(ranked):
        area, colour = one["auroc"], "tab:blue" if one["served"] else "0.65"
        axes.plot([area["low"], area["high"]], [row, row], color=colour, linewidth=2)
        axes.plot(area["value"], row, "o", color=colour)
    axes.set_yticks(range(len(ranked)), [f"{name} ({one['positive_patients']})" for name, one in ranked])
    axes.axvline(0.5, color="0.85", linewidth=1, zorder=0)
    axes.set(title=f"{population}: AUROC, 95 % interval (positive patients); grey: not served", xlim=(0.4, 1))


def _draw_overlaps(axes: Axes, sources: dict[str, Any]) -> None:
    rows = [
        (f"{source}, {name.removeprefix('dice_').replace('_', ' ')}", one)
        for source, structures in sources.items()
        for name, one in structures.items()
        if name.startswith("dice_")
    ]
    for row, (_, one) in enumerate(rows):
        axes.plot([one["low"], one["high"]], [row, row], color="tab:blue")
        axes.plot(one["value"], row, "o", color="tab:blue")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_title("anatomy")
    axes.set_xlabel("Dice with 95 % interval")


def _draw_calibration(axes: Axes, findings: dict[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for name, one in findings.items():
        bins = one["calibration"]
        axes.plot([b["predicted"] for b in bins], [b["observed"] for b in bins], marker=".", label=name)
    axes.set(title="calibration, 10 bins of equal mass", xlabel="score", ylabel="observed", xlim=(0, 1), ylim=(0, 1))
    if findings:
        axes.legend(fontsize="small")
