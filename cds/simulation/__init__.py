"""What the order of the worklist does to waiting: arrivals in, turnaround by policy out. Knows no store and no web.

arrivals.py  films to come: a replayed log or a stated model, with the findings that are truly there
detector.py  what the packaged model would say of them, by its card
queueing.py  readers, policies, and when each film is read
figures.py   turnaround by finding and policy, with intervals over runs
picture.py   the same as a picture; imported where one is wanted
"""

from __future__ import annotations

from cds.simulation.arrivals import Arrival, ArrivalModel, arrivals_of_log
from cds.simulation.detector import Detector
from cds.simulation.figures import Simulation, simulated
from cds.simulation.queueing import POLICIES, turnarounds

__all__ = [
    "POLICIES",
    "Arrival",
    "ArrivalModel",
    "Detector",
    "Simulation",
    "arrivals_of_log",
    "simulated",
    "turnarounds",
]
