"""FHIR R4 search, as far as we answer it: parameters in, a page of a searchset out.

What is asked for and not understood is an error, never passed over: a filter that is dropped shows too much.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic_core import to_json

from cds.fhir.outcomes import Issue

COMMON_PARAMETERS = ("patient", "patient:identifier", "identifier", "_id", "_lastUpdated", "_count", "_cursor")
_WITHOUT_MEANING = ("_format", "_pretty")
_DEFAULT_COUNT, _MOST = 50, 200
_MOST_VALUES = 50
_DATE = re.compile(
    r"(eq|ne|gt|lt|ge|le|sa|eb)?(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d:\d\d))?)?)?"
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_Json = dict[str, Any]


class SearchError(Exception):
    """A search that cannot be answered; `issue` says which parameter and why."""

    def __init__(self, code: str, reason: str, parameter: str | None = None) -> None:
        super().__init__(reason)
        self.issue = Issue(code, reason, parameter)


@dataclass(frozen=True)
class Published:
    """One resource as it is published: without `meta`, and when it was last changed."""

    resource: _Json
    updated: datetime

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def version(self) -> str:
        """The version id: the same for the same content."""
        return hashlib.sha256(to_json([self.resource, self.updated])).hexdigest()[:16]

    @property
    def complete(self) -> _Json:
        """The resource with its `meta`."""
        meta = {"versionId": self.version, "lastUpdated": self.updated.isoformat()}
        kind = {"resourceType": self.resource["resourceType"], "id": self.id, "meta": meta}
        return {**kind, **self.resource}


@dataclass(frozen=True)
class _Period:
    prefix: str
    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        within = self.start <= moment < self.end
        return {
            "eq": within,
            "ne": not within,
            "gt": moment >= self.end,
            "sa": moment >= self.end,
            "lt": moment < self.start,
            "eb": moment < self.start,
            "ge": moment >= self.start,
            "le": moment < self.end,
        }[self.prefix]


@dataclass(frozen=True)
class Search:
    """A search that was understood.

    patients     references or ids of Patients
    people       identifiers (system, value) of patients
    identifiers  identifiers (system or None for any, value) of the resources
    ids          logical ids; None means any
    """

    parameters: tuple[tuple[str, str], ...]
    patients: tuple[str, ...]
    people: tuple[tuple[str, str], ...]
    identifiers: tuple[tuple[str | None, str], ...]
    ids: frozenset[str] | None
    periods: tuple[_Period, ...]
    count: int
    after: tuple[datetime, str] | None

    def page(self, kind: str, found: Iterable[Published], base: str) -> _Json:
        """Return one page of what was found, the last changed first, as a searchset.

        kind  resource type
        base  address of the FHIR base
        """
        distinct = {item.id: item for item in found if self._wants(item)}
        matches = sorted(distinct.values(), key=lambda item: (-item.updated.timestamp(), item.id))
        rest = [item for item in matches if self.after is None or _is_after(item, self.after)]
        shown = rest[: self.count]
        links = [("self", self.parameters)]
        if len(rest) > len(shown) > 0:
            cursor = ("_cursor", _cursor(shown[-1]))
            links.append(("next", (*(pair for pair in self.parameters if pair[0] != "_cursor"), cursor)))
        return {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": len(matches),
            "link": [{"relation": name, "url": f"{base}/{kind}?{urlencode(query)}"} for name, query in links],
            "entry": [
                {"fullUrl": f"{base}/{kind}/{item.id}", "resource": item.complete, "search": {"mode": "match"}}
                for item in shown
            ],
        }

    def _wants(self, item: Published) -> bool:
        if self.ids is not None and item.id not in self.ids:
            return False
        named = {(i.get("system"), i["value"]) for i in item.resource.get("identifier", ())}
        by_identifier = not self.identifiers or any(
            value == wanted and (system is None or system == of)
            for system, wanted in self.identifiers
            for of, value in named
        )
        return by_identifier and all(period.holds(item.updated) for period in self.periods)


def read_search(parameters: Sequence[tuple[str, str]], *, with_identifier: bool) -> Search:
    """Return the search that parameters (names and values as decoded) ask for.

    with_identifier  whether resources of this type have identifiers

    Raises SearchError.
    """
    asked: dict[str, list[str]] = {}
    for name, value in parameters:
        known = {"subject": "patient", "subject:identifier": "patient:identifier"}.get(name, name)
        known = "patient" if known == "patient:Patient" else known
        if known in _WITHOUT_MEANING:
            continue
        if known not in COMMON_PARAMETERS or (known == "identifier" and not with_identifier):
            raise SearchError("not-supported", "this parameter is not supported", name[:60])
        asked.setdefault(known, []).append(value)
    for name in ("patient", "patient:identifier", "identifier", "_id", "_count", "_cursor"):
        if len(asked.get(name, ())) > 1:
            raise SearchError("not-supported", "may be given once; separate alternatives by commas", name)
    search = Search(
        parameters=tuple((name, value) for name, value in parameters if name not in _WITHOUT_MEANING),
        patients=tuple(_alternatives(asked, "patient")),
        people=tuple(_person(token) for token in _alternatives(asked, "patient:identifier")),
        identifiers=tuple(_token(token) for token in _alternatives(asked, "identifier")),
        ids=_ids(asked),
        periods=tuple(_period(value) for value in asked.get("_lastUpdated", ())),
        count=_count(asked),
        after=_position(asked),
    )
    if not (search.patients or search.people or search.identifiers or search.ids):
        raise SearchError("required", "say of whom: patient, patient:identifier, identifier or _id", "patient")
    return search


def _alternatives(asked: dict[str, list[str]], name: str) -> list[str]:
    values = [value for given in asked.get(name, ()) for value in given.split(",")]
    if any(not value for value in values) or len(values) > _MOST_VALUES:
        raise SearchError("value", f"one to {_MOST_VALUES} values, none of them empty", name)
    return values


def _token(token: str) -> tuple[str | None, str]:
    system, bar, value = token.rpartition("|")
    if not value:
        raise SearchError("value", "an identifier is system|value or value", "identifier")
    return (system if bar else None), value


def _person(token: str) -> tuple[str, str]:
    system, _, value = token.rpartition("|")
    if not system or not value:
        raise SearchError("value", "the identifier of a patient is system|value", "patient:identifier")
    return system, value


def _ids(asked: dict[str, list[str]]) -> frozenset[str] | None:
    ids = _alternatives(asked, "_id")
    if any(not _ID.fullmatch(one) for one in ids):
        raise SearchError("value", "an id has 1 to 64 letters, digits, hyphens and dots", "_id")
    return frozenset(ids) or None


def _count(asked: dict[str, list[str]]) -> int:
    given = asked.get("_count", [str(_DEFAULT_COUNT)])[0]
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise SearchError("value", "must be a number, 0 or more", "_count")
    return min(int(given), _MOST)


def _period(text: str) -> _Period:
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise SearchError("value", "must be a date, or a time with its zone, such as ge2026-03-01", "_lastUpdated")
    prefix, year, month, day, clock, zone = matched.groups()
    try:
        if clock:
            start = datetime.fromisoformat(f"{year}-{month}-{day}T{clock}{zone}").astimezone(UTC)
            end = start + (
                timedelta(microseconds=1) if "." in clock else timedelta(seconds=1 if clock.count(":") == 2 else 60)
            )
        else:
            start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
            end = start + timedelta(days=1) if day else _next(start, by_month=bool(month))
    except (ValueError, OverflowError):
        raise SearchError("value", "is no date of the calendar", "_lastUpdated") from None
    return _Period(prefix or "eq", start, end)


def _next(start: datetime, *, by_month: bool) -> datetime:
    year, month = (start.year + start.month // 12, start.month % 12 + 1) if by_month else (start.year + 1, 1)
    return start.replace(year=year, month=month)


def _cursor(item: Published) -> str:
    return base64.urlsafe_b64encode(f"{item.updated.isoformat()}|{item.id}".encode()).decode().rstrip("=")


def _position(asked: dict[str, list[str]]) -> tuple[datetime, str] | None:
    if "_cursor" not in asked:
        return None
    given = asked["_cursor"][0]
    try:
        moment, _, identifier = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode().partition("|")
        return datetime.fromisoformat(moment).astimezone(UTC), identifier
    except (ValueError, OverflowError, binascii.Error):
        raise SearchError("value", "is none that this server gave", "_cursor") from None


def _is_after(item: Published, position: tuple[datetime, str]) -> bool:
    return (-item.updated.timestamp(), item.id) > (-position[0].timestamp(), position[1])
