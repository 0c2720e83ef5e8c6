"""When a next step is due: `in 6 to 8 weeks`, `a 3-month follow-up`, `in 6/52`, `by 3/15/2020`.

Knows plain text, and the day of the report where that is known. Days count from the report: a week
has 7, a month 30, a year 365.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date, timedelta

from nlp.due_dates import DueDate, Order, due_dates_in

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
_FRACTION = re.compile(
    r"\b(?:in|after|within|at)\s(?P<low>\d{1,2})(?:\s?(?:-|–|to)\s?(?P<high>\d{1,2}))?/(?P<unit>7|52|12)(?![\d/])",
    re.IGNORECASE,
)
_FRACTION_UNITS = {"7": "day", "52": "week", "12": "month"}
_AGO = re.compile(r"\s*(?:ago|earlier|prior|old|previously|of age|history)\b", re.IGNORECASE)
_SINCE = re.compile(r"(?:over|for|since|past|last|aged?|within the (?:past|last))\s+(?:the\s+)?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `days_min` to `days_max` days, or between two dates, said at the character offsets `start` to `end`."""

    days_min: int | None
    days_max: int | None
    start: int
    end: int
    due_from: date | None = None
    due_until: date | None = None


def intervals_in(
    text: str, start: int, end: int, reported_on: date | None = None, order: Order | None = None
) -> list[Interval]:
    """Every time ahead between two character offsets; ages, and times of the past, are left out."""
    spans = [on_calendar(span, reported_on) for span in _spans(text, start, end)]
    dates = [
        _counted(due, reported_on)
        for due in due_dates_in(text, start, end, reported_on, order)
        if not any(due.start < span.end and span.start < due.end for span in spans)
    ]
    return spans + dates


def on_calendar(interval: Interval, reported_on: date | None) -> Interval:
    """The interval with its first and last day, where the day of the report is known."""
    if reported_on is None or interval.days_min is None or interval.days_max is None:
        return interval
    first, last = (reported_on + timedelta(days=days) for days in (interval.days_min, interval.days_max))
    return replace(interval, due_from=first, due_until=last)


def _counted(due: DueDate, reported_on: date | None) -> Interval:
    """A date with its days from the report, where that is known: `by` a day is from none to that many."""
    low = high = None
    if reported_on is not None:
        low = max(0, (due.first - reported_on).days) if due.first else 0 if due.last else None
        high = (due.last - reported_on).days if due.last else None
    return Interval(low, high, due.start, due.end, due.first, due.last)


def _spans(text: str, start: int, end: int) -> list[Interval]:
    worded = [
        _interval(match, match["unit"])
        for match in _SPAN.finditer(text, start, end)
        if not _AGO.match(text, match.end()) and not _SINCE.search(text, max(start, match.start() - 25), match.start())
    ]
    return worded + [_interval(match, _FRACTION_UNITS[match["unit"]]) for match in _FRACTION.finditer(text, start, end)]


def _interval(match: re.Match[str], unit: str) -> Interval:
    low = _days(match["low"], unit)
    high = _days(match["high"], unit) if match["high"] else low
    return Interval(min(low, high), max(low, high), match.start(), match.end())


def _days(number: str, unit: str) -> int:
    folded = number.casefold()
    count = int(folded) if folded.isdigit() else _WORDS[folded]
    name = unit.casefold()
    return (count + 23) // 24 if name == "hour" else count * _DAYS[name]
