"""Time spans of recommendations in words: `in 6 to 8 weeks`, `a 3-month follow-up`, `annual`.

Knows plain text only. Days count from the report: a week has 7, a month 30, a year 365.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "twelve": 12, "eighteen": 18, "twenty four": 24,
}  # fmt: skip
_DAYS = {"hour": 0, "day": 1, "week": 7, "wk": 7, "month": 30, "mo": 30, "year": 365, "yr": 365}
_NUMBER = r"(?:\d{1,3}|" + "|".join(sorted(_WORDS, key=len, reverse=True)) + ")"
_SPAN = re.compile(
    rf"\b(?P<low>{_NUMBER})(?:\s?(?:-|–|to|or)\s?(?P<high>{_NUMBER}))?[\s-]{{0,2}}(?P<unit>hour|day|week|wk|month|mo|year|yr)s?\b",
    re.IGNORECASE,
)
_AGO = re.compile(r"\s*(?:ago|earlier|prior|old|previously|of age|history)\b", re.IGNORECASE)
_SINCE = re.compile(r"(?:over|for|since|past|last|aged?|within the (?:past|last))\s+(?:the\s+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `days_min` to `days_max` days, said at the character offsets `start` to `end`."""

    days_min: int
    days_max: int
    start: int
    end: int


def intervals_in(text: str, start: int, end: int) -> list[Interval]:
    """Every time span ahead between two character offsets; ages and spans of the past are left out."""
    found = []
    for match in _SPAN.finditer(text, start, end):
        if _AGO.match(text, match.end()) or _SINCE.search(text, max(start, match.start() - 25), match.start()):
            continue
        low = _days(match["low"], match["unit"])
        high = _days(match["high"], match["unit"]) if match["high"] else low
        found.append(Interval(min(low, high), max(low, high), match.start(), match.end()))
    return found


def _days(number: str, unit: str) -> int:
    folded = number.casefold()
    count = int(folded) if folded.isdigit() else _WORDS[folded]
    name = unit.casefold()
    return (count + 23) // 24 if name == "hour" else count * _DAYS[name]
