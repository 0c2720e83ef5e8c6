"""What is kept how long, and its removal: by age as the settings say, or all of one patient on request.

What hangs on a film or report goes with it: every table that refers to one is found by its foreign keys. A file is
removed when no row names it any more and it has lain for an hour, for an arrival may be about to name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.orm import Session

from cds.audit import Access, AuditTrail
from cds.errors import NotFoundError
from cds.site.configuration import IdentityTable
from cds.store import BlobFolder, Database
from cds.store import pacs_tables as _pacs_tables  # noqa: F401 - its tables belong to the metadata
from cds.store import reading_tables as _reading_tables  # noqa: F401 - its tables belong to the metadata
from cds.store.deidentified_tables import PseudonymRow
from cds.store.exchange_tables import (
    EventRow,
    IdempotencyRow,
    IdentityDecisionRow,
    PatientAliasRow,
    PatientMergeRow,
    PatientRow,
)
from cds.store.merges import with_merged
from cds.store.tables import (
    AssessmentRow,
    Base,
    CardRow,
    FeedbackRow,
    FilmRow,
    FollowUpRow,
    JobRow,
    ReportRow,
)

_LAIN = timedelta(hours=1)
_BATCH = 500
_TABLES: dict[str, Table] = dict(Base.metadata.tables)


@dataclass(frozen=True)
class Purged:
    """How many rows and files were removed, or would be."""

    films: int = 0
    reports: int = 0
    cases: int = 0
    cards: int = 0
    audit: int = 0
    files: int = 0


class Retention:
    """Removes what is not to be kept.

    days     kind -> days it is kept; what is not named is kept for ever
    issuers  how DICOM names the issuers of record numbers, as the registers of de-identified projects do
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobFolder,
        audit: AuditTrail,
        days: Mapping[Any, int],
        issuers: IdentityTable,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._audit = audit
        self._days = days
        self._issuers = issuers

    def purge(self, *, at: datetime, by: str, dry_run: bool) -> Purged:
        """Remove what is older than the settings keep it, and files that nothing names.

        by  who does it, for the audit trail
        """
        cutoffs = {kind: at - timedelta(days=days) for kind, days in self._days.items()}
        with self._database.writing() as session:
            films = _ids(session, FilmRow, FilmRow.received_at, cutoffs.get("films"))
            reports = _ids(session, ReportRow, ReportRow.received_at, cutoffs.get("reports"))
            cards = _ids(session, CardRow, CardRow.shown_at, cutoffs.get("cards"), CardRow.uuid)
            cases, closed = _old_cases(session, cutoffs.get("cases"))
            counts = Purged(len(films), len(reports), len(cases) + len(closed), len(cards))
            if dry_run:
                return counts
            if counts != Purged():
                self._audit.record(Access(by, "delete", "cds purge"))
            _remove_items(session, films, reports)
            _remove_cards(session, cards)
            _remove(session, AssessmentRow.subject, cases)
            _remove(session, FollowUpRow.id, closed)
        files = self.sweep_files(at=at)
        audit = self._audit.purge_before(cutoffs["audit"], Access(by, "delete", "x")) if "audit" in cutoffs else 0
        return Purged(**{**asdict(counts), "files": files, "audit": audit})

    def remove_patient(self, subject: str, *, at: datetime, by: str, dry_run: bool) -> Purged:
        """Remove everything kept of one patient, under every number that is known to be theirs; not the audit trail.

        subject  "system|value", as the record or the sender numbers them

        Raises NotFoundError when nothing is kept of such a patient.
        """
        if not dry_run:
            self._audit.record(Access(by, "delete", "cds purge --patient", patient=subject))
        with self._database.writing() as session:
            subjects, identifiers = _names_of(session, subject)
            films = _of_identifiers(session, FilmRow, identifiers)
            reports = _of_identifiers(session, ReportRow, identifiers)
            cases = list(session.scalars(select(AssessmentRow.subject).where(AssessmentRow.subject.in_(subjects))))
            due = list(session.scalars(select(FollowUpRow.id).where(FollowUpRow.subject.in_(subjects))))
            cards = list(session.scalars(select(CardRow.uuid).where(CardRow.subject.in_(subjects))))
            counts = Purged(len(films), len(reports), len(cases) + len(due), len(cards))
            if counts == Purged():
                raise NotFoundError("nothing is kept of a patient with this identifier")
            if dry_run:
                return counts
            _remove_items(session, films, reports)
            _remove_cards(session, cards)
            _remove(session, AssessmentRow.subject, cases)
            _remove(session, FollowUpRow.id, due)
            _remove(session, PatientAliasRow.subject, subjects)
            _remove(session, PatientRow.subject, subjects)
            pairs = list(identifiers)
            for named in (
                tuple_(PatientMergeRow.system, PatientMergeRow.old),
                tuple_(PatientMergeRow.system, PatientMergeRow.new),
            ):
                session.execute(delete(PatientMergeRow).where(named.in_(pairs)))
            decided = tuple_(IdentityDecisionRow.identifier_system, IdentityDecisionRow.identifier_value)
            session.execute(delete(IdentityDecisionRow).where(decided.in_(pairs)))
            session.execute(delete(IdempotencyRow))
            _remove(session, PseudonymRow.identity, self._header_identities(identifiers))
        return Purged(**{**asdict(counts), "files": self.sweep_files(at=at)})

    def _header_identities(self, identifiers: Iterable[tuple[str, str]]) -> list[str]:
        """Return "issuer|number" as headers of a patient's films may have it; no issuer where its AEs are known."""
        found: set[str] = set()
        for system, value in identifiers:
            issuer = self._issuers.for_system(system)
            if issuer is not None and issuer.dicom_issuer is not None:
                found.add(f"{issuer.dicom_issuer}|{value}")
            if issuer is not None and issuer.calling_aes:
                found.add(f"|{value}")
        return sorted(found)

    def sweep_files(self, *, at: datetime) -> int:
        """Remove files that no row names and that have lain for an hour; returns how many."""
        named: set[str] = set()
        removed = 0
        with self._database.writing() as session:
            for table in _TABLES.values():
                if "sha256" in table.c and table.name != "verdict":
                    named.update(value for value in session.scalars(select(table.c.sha256)) if value)
            for digest in list(self._blobs.digests()):
                if digest not in named and self._blobs.lain_since(digest) < at - _LAIN:
                    self._blobs.remove(digest)
                    removed += 1
        return removed


def _ids(session: Session, row: type[Any], when: Any, cutoff: datetime | None, key: Any = None) -> list[str]:
    if cutoff is None:
        return []
    return list(session.scalars(select(row.id if key is None else key).where(when < cutoff)))


def _old_cases(session: Session, cutoff: datetime | None) -> tuple[list[str], list[str]]:
    """Return subjects of old assessments, and ids of closed follow-ups; what is open stays, however old."""
    if cutoff is None:
        return [], []
    open_ones = select(FollowUpRow.subject).where(FollowUpRow.state != "closed")
    cases = select(AssessmentRow.subject).where(
        AssessmentRow.assessed_at < cutoff, AssessmentRow.subject.not_in(open_ones)
    )
    closed = select(FollowUpRow.id).where(FollowUpRow.state == "closed", FollowUpRow.changed_at < cutoff)
    return list(session.scalars(cases)), list(session.scalars(closed))


def _names_of(session: Session, subject: str) -> tuple[list[str], frozenset[tuple[str, str]]]:
    """Return every subject and every (system, value) under which a patient is known."""
    subjects = {subject}
    of_alias = select(PatientAliasRow.subject).where(PatientAliasRow.alias == subject)
    for found in session.scalars(of_alias).all():
        subjects.add(found)
    aliases = session.scalars(select(PatientAliasRow.alias).where(PatientAliasRow.subject.in_(list(subjects)))).all()
    subjects.update(aliases)
    pairs = {(system, value) for system, _, value in (name.rpartition("|") for name in subjects) if system and value}
    identifiers = with_merged(session, pairs)
    subjects.update(f"{system}|{value}" for system, value in identifiers)
    return sorted(subjects), identifiers


def _of_identifiers(
    session: Session, row: type[FilmRow | ReportRow], identifiers: Iterable[tuple[str, str]]
) -> list[str]:
    named = tuple_(row.identifier_system, row.identifier_value)
    return list(session.scalars(select(row.id).where(named.in_(list(identifiers)))))


def _remove_items(session: Session, films: Sequence[str], reports: Sequence[str]) -> None:
    """Remove films and reports with every row that refers to them, and the versions that they superseded."""
    for root, ids in ((_TABLES["film"], films), (_TABLES["report"], reports)):
        whole = _with_superseded(session, root, ids)
        for table in _TABLES.values():
            for column in table.columns:
                if table is not root and any(key.column.table is root for key in column.foreign_keys):
                    _remove(session, column, whole)
        for owner in (JobRow.subject_id, EventRow.item_id, IdentityDecisionRow.item_id):
            _remove(session, owner, whole)
        for part in _parts(whole):
            session.execute(root.update().where(root.c.id.in_(part)).values(superseded_by=None))
        _remove(session, root.c.id, whole)


def _with_superseded(session: Session, root: Table, ids: Sequence[str]) -> list[str]:
    whole, frontier = set(ids), set(ids)
    while frontier:
        found: set[str] = set()
        for part in _parts(sorted(frontier)):
            found.update(session.scalars(select(root.c.id).where(root.c.superseded_by.in_(part))))
        frontier = found - whole
        whole |= frontier
    return sorted(whole)


def _remove_cards(session: Session, uuids: Sequence[str]) -> None:
    _remove(session, FeedbackRow.card_uuid, uuids)
    _remove(session, CardRow.uuid, uuids)


def _remove(session: Session, column: Any, values: Sequence[str]) -> None:
    table = column.table if hasattr(column, "table") else column.class_.__table__
    matched: ColumnElement[bool]
    for part in _parts(values):
        matched = column.in_(part)
        session.execute(delete(table).where(matched))


def _parts(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
