"""Order codes at the edge: what an EHR drafts -> orderable keys, and keys -> what the site can order.

The table is `configs/orders.csv`; a site's own rows are laid over the packaged ones by (system, code). An order that
is not in the table is counted and named, never guessed; a suggestion without a code stays text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from cds.errors import ConfigurationError
from cds.fhir import RequestFrame, service_request
from fusion import DraftOrder
from fusion.orderables import Orderable

COLUMNS = ("system", "code", "orderable", "modality", "region", "contrast", "laterality", "display", "suggest")
_CONTRAST = ("", "with", "without")
_SIDES = ("left", "right", "bilateral")
_SIDE_CODES = {"7771000": "left", "24028007": "right", "51440002": "bilateral"}


@dataclass(frozen=True)
class _Row:
    line: int
    values: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.values[column]


class OrderTable:
    """What can be ordered, by key and by code."""

    def __init__(
        self, orderables: Mapping[str, Orderable], suggested: Mapping[str, tuple[tuple[str, str], ...]]
    ) -> None:
        self.orderables = orderables
        self._suggested = suggested
        self._by_code = {code: orderable for orderable in orderables.values() for code in orderable.codes}

    @classmethod
    def from_csv(cls, text: str, site: str = "") -> OrderTable:
        """Return the table of a CSV text with the columns of `COLUMNS`.

        text  the packaged table; the first row of an orderable describes it, further rows add codes
        site  a site's own table: its descriptions replace, its rows win over packaged rows of the same code, and its
              `suggest` codes come first

        Raises ConfigurationError naming line and column.
        """
        packaged, own = list(_rows(text, "orders.csv")), list(_rows(site, "site/orders.csv"))
        taken = {(row["system"], row["code"]) for row in own if row["code"]}
        rows = [*own, *(row for row in packaged if (row["system"], row["code"]) not in taken)]
        described: dict[str, Orderable] = {}
        for row in [*packaged, *own]:
            described[row["orderable"]] = _described(row, described.get(row["orderable"]))
        lacking = [key for key, orderable in described.items() if not orderable.modality or not orderable.display]
        if lacking:
            raise ConfigurationError(f"orders.csv: orderable {lacking[0]!r} has no row with modality and display")
        orderables = {
            key: replace(orderable, codes=frozenset(_codes(rows, key, wanted=False)))
            for key, orderable in described.items()
        }
        return cls(orderables, {key: tuple(_codes(rows, key, wanted=True)) for key in described})

    def read_drafts(
        self, drafts: Iterable[Any], selections: Sequence[str] | None = None
    ) -> tuple[list[DraftOrder], list[str]]:
        """Return the drafted orders, and the references of those that no row of the table maps.

        drafts      resources of `draftOrders`; only ServiceRequests are orders here
        selections  references ("ServiceRequest/1") of those selected; None means all
        """
        orders, unmapped = [], []
        for number, resource in enumerate(drafts):
            if not isinstance(resource, Mapping) or resource.get("resourceType") != "ServiceRequest":
                continue
            if resource.get("doNotPerform") is True:
                continue
            order = self._draft(resource, number, selections)
            orders.append(order)
            if order.orderable is None:
                unmapped.append(order.id)
        return orders, unmapped

    def orderable_of(self, concept: Any) -> Orderable | None:
        """Return the orderable that one of the codes of a CodeableConcept stands for."""
        return next((self._by_code[code] for code in _codings(concept) if code in self._by_code), None)

    def concept(self, key: str) -> dict[str, Any] | None:
        """Return an orderable as a CodeableConcept in the site's codes; None when it has none to suggest."""
        codes = self._suggested.get(key)
        if not codes:
            return None
        display = self.orderables[key].display
        return {
            "coding": [{"system": system, "code": code, "display": display} for system, code in codes],
            "text": display,
        }

    def service_request(self, key: str, frame: RequestFrame, **details: Any) -> dict[str, Any] | None:
        """Return a draft ServiceRequest for an orderable, or None when the site has no code for it.

        details  as of `cds.fhir.service_request`
        """
        concept = self.concept(key)
        return None if concept is None else service_request(concept, frame, **details)

    def _draft(self, resource: Mapping[str, Any], number: int, selections: Sequence[str] | None) -> DraftOrder:
        identifier = resource.get("id")
        reference = f"ServiceRequest/{identifier if isinstance(identifier, str) else f'#{number}'}"[:128]
        orderable = self.orderable_of(resource.get("code"))
        reasons = resource.get("reasonCode")
        reasons = reasons if isinstance(reasons, list) else []
        return DraftOrder(
            id=reference,
            orderable=orderable.key if orderable else None,
            modality=orderable.modality if orderable else None,
            region=orderable.region if orderable else None,
            contrast=orderable.contrast if orderable else None,
            laterality=_side(resource) or (orderable.laterality if orderable else None),
            reason_text="; ".join(_texts(reasons))[:500] or None,
            reason_codes=tuple(code for reason in reasons for _, code in _codings(reason)),
            selected=selections is None or reference in selections,
        )


def _rows(text: str, name: str) -> Iterator[_Row]:
    if not text.strip():
        return
    reader = csv.DictReader(io.StringIO(text))
    absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise ConfigurationError(f"{name}: column {absent[0]!r} is missing; the columns are {', '.join(COLUMNS)}")
    seen: dict[tuple[str, str], int] = {}
    for line, values in enumerate(reader, 2):
        row = _Row(line, {column: (values[column] or "").strip() for column in COLUMNS})
        problem = _problem(row, seen)
        if problem:
            raise ConfigurationError(f"{name} line {line}: {problem}")
        yield row


def _problem(row: _Row, seen: dict[tuple[str, str], int]) -> str | None:
    if not row["orderable"]:
        return "column 'orderable' is empty"
    if bool(row["system"]) != bool(row["code"]):
        return "a code needs a system, and a system a code"
    if row["contrast"] not in _CONTRAST:
        return "column 'contrast' must be with, without or empty"
    if row["laterality"] not in ("", *_SIDES):
        return "column 'laterality' must be left, right, bilateral or empty"
    if row["suggest"] not in ("", "0", "1"):
        return "column 'suggest' must be 1 or 0"
    code = (row["system"], row["code"])
    if row["code"] and code in seen:
        return f"the code stands in line {seen[code]} too"
    seen[code] = row.line
    return None


def _described(row: _Row, before: Orderable | None) -> Orderable:
    orderable = before or Orderable(key=row["orderable"], display="", modality="")
    given = {name: row[name] for name in ("display", "modality", "region", "contrast", "laterality") if row[name]}
    return replace(orderable, **cast(Any, given))


def _codes(rows: Iterable[_Row], key: str, *, wanted: bool) -> Iterator[tuple[str, str]]:
    for row in rows:
        if row["orderable"] == key and row["code"] and (row["suggest"] == "1" or not wanted):
            yield row["system"], row["code"]


def _codings(concept: Any) -> Iterator[tuple[str, str]]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    for coding in codings if isinstance(codings, list) else ():
        if isinstance(coding, Mapping) and isinstance(coding.get("code"), str):
            system = coding.get("system")
            yield system if isinstance(system, str) else "", coding["code"]


def _texts(concepts: Iterable[Any]) -> Iterator[str]:
    for concept in concepts:
        if not isinstance(concept, Mapping):
            continue
        if isinstance(concept.get("text"), str):
            yield concept["text"]
            continue
        codings = concept.get("coding")
        for coding in codings if isinstance(codings, list) else ():
            if isinstance(coding, Mapping) and isinstance(coding.get("display"), str):
                yield coding["display"]


def _side(resource: Mapping[str, Any]) -> str | None:
    """Return the side that body site or wording name; None when none or more than one is named."""
    sites = resource.get("bodySite")
    sites = sites if isinstance(sites, list) else []
    concepts = [resource.get("code"), *sites]
    sides = {_SIDE_CODES[code] for concept in concepts for _, code in _codings(concept) if code in _SIDE_CODES}
    words = {word for text in _texts(concepts) for word in text.lower().replace(",", " ").split()}
    sides |= words & set(_SIDES)
    return sides.pop() if len(sides) == 1 else None
