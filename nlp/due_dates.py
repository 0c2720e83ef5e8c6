"""Dates by which a next step is asked for: `by 3/15/2020`, `before 1 June 2021`, `in March 2021`.

Knows plain text and the day of the report, where that is known. Of numbers that could be two days
(`4/3/2025`) one is taken only where the order is known; a date without a year is read only beside the
day of the report, as the next one after it.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DATE = re.compile(
    r"\b(?P<word>by|before|until|till|no later than|not later than|in|on|around|during|after|from|for)\s"
    r"(?:(?:early|mid|late|about|approximately|the (?:start|beginning|middle|end) of)[\s-])?"
    r"(?:(?P<iso>\d{4}-\d{2}-\d{2})\b"
    r"|(?P<one>\d{1,2})/(?P<two>\d{1,2})(?:/(?P<year>\d{4}|\d{2}))?(?![\d/])"
    rf"|(?P<month>{_MONTH})(?:\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?%))?(?:,?\s(?P<month_year>\d{{4}}))?"
    rf"|(?P<first_day>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<day_month>{_MONTH})(?:,?\s(?P<day_year>\d{{4}}))?)",
    re.IGNORECASE,
)
_UNTIL = frozenset({"by", "before", "until", "till", "no later than", "not later than"})
_SINCE = frozenset({"after", "from"})
_PAST = re.compile(
    r"\b(?:perform\w*|obtain\w*|done|seen|dated?|prior|previous(?:ly)?|compar\w+|since|was|were|last|old|earlier)\b[^.;]{0,30}$",
    re.IGNORECASE,
)
_PAST_REACH = 45
_CENTURY = 2000

Order = Literal["month_first", "day_first"]


@dataclass(frozen=True, slots=True)
class DueDate:
    """From `first` to `last`, either open, said at the character offsets `start` to `end`.

    Both are open where it cannot be told which day is meant.
    """

    first: date | None
    last: date | None
    start: int
    end: int


def due_dates_in(
    text: str, start: int, end: int, reported_on: date | None, order: Order | None = None
) -> list[DueDate]:
    """Every date ahead between two character offsets.

    Dates of the past, or that do not exist, are left out; one that could be two days is open without an `order`.
    """
    return list(_due_dates(text, start, end, reported_on, order))


def _due_dates(text: str, start: int, end: int, reported_on: date | None, order: Order | None) -> Iterator[DueDate]:
    for match in _DATE.finditer(text, start, end):
        if _PAST.search(text, max(start, match.start() - _PAST_REACH), match.start()):
            continue
        if order is None and _could_be_two_days(match):
            yield DueDate(None, None, match.start(), match.end())
            continue
        window = _window(match, reported_on, order)
        if window is None:
            continue
        first, last = window
        if reported_on is not None and last < reported_on:
            continue
        word = match["word"].casefold()
        if word in _UNTIL:
            yield DueDate(None, last, match.start(), match.end())
        elif word in _SINCE:
            yield DueDate(first, None, match.start(), match.end())
        else:
            yield DueDate(first, last, match.start(), match.end())


def _could_be_two_days(match: re.Match[str]) -> bool:
    return (
        bool(match["one"])
        and match["one"] != match["two"]
        and max(int(match["one"]), int(match["two"])) <= len(_MONTHS)
    )


def _window(match: re.Match[str], reported_on: date | None, order: Order | None) -> tuple[date, date] | None:
    """The first and the last day that the words can mean."""
    try:
        if match["iso"]:
            day = date.fromisoformat(match["iso"])
            return day, day
        if match["one"]:
            month, number = int(match["one"]), int(match["two"])
            if month > len(_MONTHS) or (order == "day_first" and number <= len(_MONTHS)):
                month, number = number, month
            return _days(match["year"], month, number, reported_on)
        name = match["month"] or match["day_month"]
        month = _MONTHS.index(name[:3].casefold()) + 1
        number = int(match["day"] or match["first_day"] or 0)
        return _days(match["month_year"] or match["day_year"], month, number, reported_on)
    except ValueError:
        return None


def _days(year: str | None, month: int, day: int, reported_on: date | None) -> tuple[date, date] | None:
    """One day, or the whole month where `day` is 0; without a year the next one after the report."""
    if year is None and reported_on is None:
        return None
    number = int(year) + (_CENTURY if len(year) == 2 else 0) if year else reported_on.year if reported_on else 0
    window = _in_year(number, month, day)
    if year is None and reported_on is not None and window[1] < reported_on:
        window = _in_year(number + 1, month, day)
    return window


def _in_year(year: int, month: int, day: int) -> tuple[date, date]:
    return date(year, month, day or 1), date(year, month, day or monthrange(year, month)[1])
