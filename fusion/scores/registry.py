"""All scores by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusion.errors import ScoreInputError
from fusion.scores import (
    breast,
    embolism,
    heart,
    kidney,
    nodules,
    pleura,
    pneumonia,
    screening,
    sepsis,
    trauma,
    tuberculosis,
)
from fusion.scores.definition import ScoreDefinition

_FAMILIES = (
    pneumonia, sepsis, embolism, nodules, screening, tuberculosis, heart, trauma, breast, kidney, pleura,
)  # fmt: skip

SCORES: Mapping[str, ScoreDefinition] = {
    definition.name: definition for family in _FAMILIES for definition in family.SCORES
}
"""Every score by name."""


def calculate(name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of a score for its inputs, as `cds score --json` prints them.

    Raises ScoreInputError when the score or an input is unknown, of the wrong type or impossible.
    """
    if name not in SCORES:
        raise ScoreInputError(f"unknown score {name[:40]!r}; scores: {', '.join(SCORES)}")
    return SCORES[name].calculate(inputs)
