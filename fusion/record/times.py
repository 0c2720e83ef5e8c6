"""FHIR dates and times -> aware datetimes. A date without a time counts from its start, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

_MONTH_LENGTH = len("2026-06")
_PARTIAL = re.compile(r"^(\d{4})(?:-(\d{2}))?$")


def moment(value: Any) -> datetime | None:
    """Return a FHIR date, dateTime or instant as an aware time; None when it is not one."""
    if not isinstance(value, str):
        return None
    partial = _PARTIAL.match(value) if len(value) <= _MONTH_LENGTH else None
    try:
        if partial:
            return datetime(int(partial[1]), int(partial[2] or 1), 1, tzinfo=UTC)
        parsed = datetime.fromisoformat(value)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def day(value: Any) -> date | None:
    """Return the calendar date of a FHIR date or dateTime, as written."""
    parsed = moment(value)
    return parsed.date() if parsed else None


def full_date(value: Any) -> date | None:
    """Return a complete FHIR date (birthDate); a year or a month alone is not one."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def effective(resource: Any, *names: str) -> datetime | None:
    """Return the first of some elements that holds a time; a Period counts by its end, else its start."""
    for name in names:
        value = resource.get(name)
        if value is None:
            continue
        found = moment(value.get("end")) or moment(value.get("start")) if isinstance(value, dict) else moment(value)
        if found is not None:
            return found
    return None
