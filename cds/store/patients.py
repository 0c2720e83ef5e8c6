"""Who a subject is to other systems: the names it goes by, and what its record says to contradict a wrong join.

Kept of each record that was assessed, so that a question without a record (a search, an assessment by id) is guarded as
one with it. Names are "system|value" or "server|Patient/id"; no person's name is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from cds.store.exchange_tables import PatientAliasRow, PatientRow
from cds.store.tables import FilmRow, ReportRow

_REFERENCE = "Patient/"
_NAMES = (
    select(PatientRow.birth_date, PatientRow.sex, PatientAliasRow.alias)
    .join(PatientAliasRow, PatientAliasRow.subject == PatientRow.subject)
    .where(PatientRow.subject == bindparam("subject"))
)


@dataclass(frozen=True)
class KnownPatient:
    """A subject with every name that it goes by."""

    subject: str
    aliases: frozenset[str]
    birth_date: date | None = None
    sex: str | None = None

    @property
    def identifiers(self) -> frozenset[tuple[str, str]]:
        """The (system, value) pairs among the names."""
        return frozenset(
            (system, value)
            for system, _, value in (alias.rpartition("|") for alias in self.aliases)
            if not value.startswith(_REFERENCE)
        )

    @property
    def references(self) -> tuple[str, ...]:
        """The absolute references of FHIR Patients among the names."""
        parts = (alias.rpartition("|") for alias in sorted(self.aliases))
        return tuple(f"{server}/{value}" for server, _, value in parts if value.startswith(_REFERENCE))


def is_kept(session: Session, patient: KnownPatient) -> bool:
    """Whether all of it is in the store already."""
    rows = session.execute(_NAMES, {"subject": patient.subject}).all()
    known = {alias for born, sex, alias in rows if (born, sex) == (patient.birth_date, patient.sex)}
    return bool(known) and patient.aliases <= known


def keep_patient(session: Session, patient: KnownPatient, *, at: datetime) -> None:
    """Keep a patient as the record has them now; a name that was another subject's is theirs from now on."""
    row = session.get(PatientRow, patient.subject)
    if row is None:
        row = PatientRow(subject=patient.subject)
        session.add(row)
    row.birth_date, row.sex, row.seen_at = patient.birth_date, patient.sex, at
    session.flush()
    for alias in sorted(patient.aliases):
        value = alias.rpartition("|")[2]
        fhir_id = value.removeprefix(_REFERENCE) if value.startswith(_REFERENCE) else None
        session.merge(PatientAliasRow(alias=alias, subject=patient.subject, fhir_id=fhir_id))


def patient_by_alias(session: Session, alias: str) -> KnownPatient | None:
    """Return who goes by a name."""
    subject = session.scalar(select(PatientAliasRow.subject).where(PatientAliasRow.alias == alias))
    return None if subject is None else _known(session, [subject])[0]


def patients_by_fhir_id(session: Session, fhir_id: str) -> list[KnownPatient]:
    """Return who has an id on any FHIR server."""
    query = select(PatientAliasRow.subject).where(PatientAliasRow.fhir_id == fhir_id).distinct()
    return _known(session, session.scalars(query).all())


def named_patient(session: Session, name: str) -> KnownPatient | None:
    """Return who a name stands for: "system|value", or the absolute reference of a FHIR Patient.

    A record number that only films or reports carry is one too: who it is says the number alone.
    """
    server, slash, fhir_id = name.rpartition("/Patient/")
    alias = f"{server}|Patient/{fhir_id}" if slash else name
    known = patient_by_alias(session, alias)
    system, bar, value = alias.rpartition("|")
    if known is not None or slash or not bar:
        return known
    for table in (FilmRow, ReportRow):
        query = select(table.id).where(table.identifier_system == system, table.identifier_value == value).limit(1)
        if session.scalar(query) is not None:
            return KnownPatient(alias, frozenset({alias}))
    return None


def _known(session: Session, subjects: Sequence[str]) -> list[KnownPatient]:
    rows: Iterable[PatientRow] = session.scalars(select(PatientRow).where(PatientRow.subject.in_(subjects)))
    return [
        KnownPatient(row.subject, _aliases_of(session, row.subject), row.birth_date, row.sex)
        for row in sorted(rows, key=lambda row: row.subject)
    ]


def _aliases_of(session: Session, subject: str) -> frozenset[str]:
    return frozenset(session.scalars(select(PatientAliasRow.alias).where(PatientAliasRow.subject == subject)))
