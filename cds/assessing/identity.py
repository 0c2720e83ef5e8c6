"""Who is who: whether a film or a report may be joined with a patient's record.

Identity is (issuer, identifier). Two things are joined only if an identifier matches and neither birth date nor sex
contradicts; never by name. What is near but not joined is unresolved, and a person resolves it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, Protocol, TypeVar


class Identified(Protocol):
    """A row of the store that says whose it is."""

    identifier_system: str | None
    identifier_value: str | None
    birth_date: date | None
    sex: str | None


@dataclass(frozen=True)
class Person:
    """A patient as a record names them: (system, value) identifiers, birth date, administrative gender."""

    identifiers: Collection[tuple[str, str]]
    birth_date: date | None
    sex: str | None


_Row = TypeVar("_Row", bound=Identified)


@dataclass(frozen=True)
class Joined(Generic[_Row]):
    """Candidates of one kind, split into the joined and the unresolved with the reason of each."""

    joined: tuple[_Row, ...]
    unresolved: tuple[tuple[_Row, str], ...]


def contradiction(person: Person, row: Identified) -> str | None:
    """Return why `row` is not this person's, or None when nothing speaks against joining.

    Missing birth date or sex on either side contradicts nothing; the identifier must match in any case.
    """
    if not row.identifier_value:
        return "identifier_missing"
    if not row.identifier_system:
        return "issuer_unknown"
    if (row.identifier_system, row.identifier_value) not in person.identifiers:
        return "identifier_differs"
    if person.birth_date and row.birth_date and person.birth_date != row.birth_date:
        return "birth_date_differs"
    if _known(person.sex) and _known(row.sex) and person.sex != row.sex:
        return "sex_differs"
    return None


def join(person: Person, candidates: Sequence[_Row]) -> Joined[_Row]:
    """Split candidates, which the store found by identifier, accession number or study, into joined and unresolved."""
    reasons = [(row, contradiction(person, row)) for row in candidates]
    return Joined(
        joined=tuple(row for row, reason in reasons if reason is None),
        unresolved=tuple((row, reason) for row, reason in reasons if reason is not None),
    )


def administrative_gender(dicom_sex: str | None) -> str | None:
    """Return the FHIR administrative gender of DICOM PatientSex (0010,0040); None when absent or not a known code."""
    return {"M": "male", "F": "female", "O": "other"}.get((dicom_sex or "").strip().upper())


def _known(sex: str | None) -> bool:
    return sex in ("male", "female")
