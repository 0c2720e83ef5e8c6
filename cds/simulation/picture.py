"""The simulation as a picture: how many of the gravest findings are read within how long, and p90 by finding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cds.simulation.figures import Simulation
from cds.simulation.queueing import POLICIES

_COLOURS = {POLICIES[0]: "#6b7785", POLICIES[1]: "#d08a17", POLICIES[2]: "#0f766e"}


def draw(simulation: Simulation, path: Path) -> None:
    """Write the picture; the suffix names the format (PNG, SVG or PDF)."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, minutes in simulation.sample.items():
        ordered = np.sort(minutes)
        left.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), color=_COLOURS[name], label=name, lw=2)
    left.axhline(0.9, color="#999", lw=0.8, ls=":")
    left.set(
        xlabel="minutes from arrival to the end of reading",
        ylabel="share of films",
        title="Films with the gravest findings",
        xlim=(0, float(np.percentile(simulation.sample[POLICIES[0]], 99.5))),
        ylim=(0, 1),
    )
    left.legend(loc="lower right", frameon=False)
    findings = list(dict.fromkeys(row.finding for row in simulation.rows))
    for number, name in enumerate(POLICIES):
        values = [row.p90 for row in simulation.rows if row.policy == name]
        right.barh(np.arange(len(findings)) + 0.27 * (number - 1), values, 0.25, color=_COLOURS[name], label=name)
    right.set_yticks(np.arange(len(findings)), [finding.replace("_", " ") for finding in findings])
    right.invert_yaxis()
    right.set(xlabel="90th percentile of turnaround, minutes", title=f"Load {simulation.load:.0%}")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
