"""Sizes written in a report: numbers with mm or cm, one to three axes, now or on an earlier examination.

Knows plain text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_NUMBER = r"\d{1,4}(?:\.\d{1,3})?"
_UNIT = r"(?:millimet(?:er|re)s?|centimet(?:er|re)s?|mm|cm)"
_SIZE = re.compile(
    rf"(?<![\d.])(?P<axes>{_NUMBER}(?:\s?{_UNIT})?(?:\s?(?:x|by|×)\s?{_NUMBER}(?:\s?{_UNIT})?){{0,2}})\s?-?(?P<unit>{_UNIT})?(?![A-Za-z])",
    re.IGNORECASE,
)
_AXIS = re.compile(rf"(?P<value>{_NUMBER})\s?(?P<unit>{_UNIT})?", re.IGNORECASE)
_PRIOR = re.compile(
    r"\b(?:previously|prior(?:ly)?|formerly|was|compared (?:to|with)|versus|vs\.?|from|earlier|before)\b[^.;,]{0,30}$",
    re.IGNORECASE,
)
_PRIOR_AFTER = re.compile(r"^\s?(?:previously|on (?:the )?prior|before|formerly)\b", re.IGNORECASE)
_MM_PER_CM = 10.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """Axes in mm at the character offsets `start` to `end` of the plain text."""

    values_mm: tuple[float, ...]
    prior: bool
    start: int
    end: int


def measurements_in(text: str, start: int, end: int) -> list[Measurement]:
    """Every size between two character offsets."""
    part = text[start:end]
    if "m" not in part and "M" not in part and "c" not in part:
        return []
    return list(_measurements(part, start))


def _measurements(part: str, offset: int) -> Iterator[Measurement]:
    for match in _SIZE.finditer(part):
        axes = list(_AXIS.finditer(match["axes"]))
        common = match["unit"] or axes[-1]["unit"]
        if common is None:
            continue
        values = tuple(_millimetres(axis["value"], axis["unit"] or common) for axis in axes)
        prior = bool(_PRIOR.search(part, 0, match.start())) or bool(_PRIOR_AFTER.match(part[match.end() :]))
        yield Measurement(values, prior, offset + match.start(), offset + match.end())


def _millimetres(value: str, unit: str) -> float:
    factor = _MM_PER_CM if unit.casefold().startswith("c") else 1.0
    return round(float(value) * factor, 3)
