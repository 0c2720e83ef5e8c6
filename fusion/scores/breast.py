"""Breast: what a BI-RADS category asks for."""

from __future__ import annotations

from fusion.scores.definition import Formula, Population, Results, ScoreDefinition, Values
from fusion.scores.inputs import choice

_NEXT = {
    "0": "additional imaging/prior comparison",
    "1": "routine screening",
    "2": "routine screening",
    "3": "short-interval imaging",
    "4": "tissue diagnosis",
    "4A": "tissue diagnosis",
    "4B": "tissue diagnosis",
    "4C": "tissue diagnosis",
    "5": "tissue diagnosis",
    "6": "treatment",
}


def _management(values: Values) -> Results:
    return {"score": _NEXT.get(values["category"])}


BIRADS = ScoreDefinition(
    "birads_management",
    "BI-RADS management",
    (choice("category", tuple(_NEXT), fact="birads"),),
    Formula(_management),
    "ACR BI-RADS Atlas, 5th edition",
    number=None,
    band="score",
    bands="0 incomplete; 1, 2 benign; 3 probably benign (6 months); 4, 5 tissue; 6 proven",
    population=Population("mammography of adults", None),
)

SCORES = (BIRADS,)
