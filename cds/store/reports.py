"""Radiology reports in the store: versions, results, and which of them an identifier or a study names."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import bindparam, or_, select, tuple_
from sqlalchemy.orm import Session

from cds.jobs.queue import enqueue
from cds.store.tables import ReportResultRow, ReportRow
from nlp import StructuredReport

ReportStatus = Literal["preliminary", "final", "amended", "corrected", "entered-in-error"]
_RANK = {"preliminary": 0, "final": 1, "amended": 2, "corrected": 2, "entered-in-error": 3}
_NAMED = (
    select(ReportRow)
    .where(
        or_(
            tuple_(ReportRow.identifier_system, ReportRow.identifier_value).in_(
                bindparam("identifiers", expanding=True)
            ),
            ReportRow.identifier_system.is_(None) & ReportRow.identifier_value.in_(bindparam("values", expanding=True)),
            ReportRow.accession.in_(bindparam("accessions", expanding=True)),
            ReportRow.study_instance_uid.in_(bindparam("studies", expanding=True)),
        ),
        ReportRow.superseded_by.is_(None),
        ReportRow.status != "entered-in-error",
    )
    .order_by(ReportRow.issued_at.desc())
)
_RESULTS = select(ReportResultRow.report_id, ReportResultRow.result).where(
    ReportResultRow.report_id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True)
class ReportHeader:
    """What an arrival knows of a report besides its text; `issued_at` and `exam` are None where it does not say."""

    source: str
    source_id: str
    identifier_system: str | None
    identifier_value: str | None
    accession_system: str | None
    accession: str | None
    study_instance_uid: str | None
    birth_date: date | None
    sex: str | None
    status: ReportStatus
    issued_at: datetime | None
    exam: str | None = None


@dataclass(frozen=True)
class StoredReport:
    """A report with its result, if it has one."""

    row: ReportRow
    result: StructuredReport | None


def add_report(session: Session, header: ReportHeader, sha256: str, *, at: datetime) -> tuple[ReportRow, bool]:
    """Store a version of a report and queue its extraction; returns it and whether it is new.

    A later version supersedes earlier ones whatever the order of arrival: by status (preliminary, then final, then
    amended or corrected, then entered-in-error), then by time of issue, then by arrival. The same text with the same
    status about the same patient and study is the same version; sent with a later time of issue, it is current again.
    """
    versions = list(
        session.scalars(
            select(ReportRow).where(ReportRow.source == header.source, ReportRow.source_id == header.source_id)
        )
    )
    report = next((row for row in versions if row.sha256 == sha256 and _is_same(row, header)), None)
    new = report is None
    if report is None:
        report = _row(header, sha256, at)
        session.add(report)
        session.flush()
        versions.append(report)
    elif header.issued_at is not None:
        report.issued_at = max(report.issued_at, header.issued_at)
    newest = max(versions, key=lambda row: (_RANK[row.status], row.issued_at, row.received_at))
    for row in versions:
        row.superseded_by = None if row is newest else newest.id
    if new and report.status != "entered-in-error":
        enqueue(session, "extract_report", report.id, at=at)
    return report, new


def _row(header: ReportHeader, sha256: str, at: datetime) -> ReportRow:
    row = ReportRow(id=str(uuid.uuid4()), sha256=sha256, received_at=at)
    for name in ReportHeader.__dataclass_fields__:
        setattr(row, name, getattr(header, name))
    row.issued_at = header.issued_at or at
    return row


def _is_same(row: ReportRow, header: ReportHeader) -> bool:
    names = set(ReportHeader.__dataclass_fields__) - {"issued_at", "exam"}
    return all(getattr(row, name) == getattr(header, name) for name in names)


def store_report_result(session: Session, report_id: str, result: StructuredReport, *, at: datetime) -> bool:
    """Store the one result of a report; False when it has one already."""
    if session.get(ReportResultRow, report_id) is not None:
        return False
    session.add(ReportResultRow(report_id=report_id, result=result.model_dump(mode="json"), stored_at=at))
    return True


def report_by_id(session: Session, report_id: str) -> StoredReport | None:
    row = session.get(ReportRow, report_id)
    return None if row is None else with_results(session, [row])[0]


def reports_of(
    session: Session,
    identifiers: Iterable[tuple[str, str]],
    *,
    accessions: Sequence[str] = (),
    studies: Sequence[str] = (),
) -> list[StoredReport]:
    """Return current reports that an identifier, an accession number or a study names, newest first, with results."""
    return with_results(session, reports_named(session, identifiers, accessions=accessions, studies=studies))


def reports_named(
    session: Session,
    identifiers: Iterable[tuple[str, str]],
    *,
    accessions: Sequence[str] = (),
    studies: Sequence[str] = (),
) -> Sequence[ReportRow]:
    """Return current reports that an identifier, an accession number or a study names, newest first.

    Whether a report may be joined with a patient is decided by `cds.assessing.identity`, not here.
    """
    wanted = list(identifiers)
    names = {
        "identifiers": wanted,
        "values": [value for _, value in wanted],
        "accessions": list(accessions),
        "studies": list(studies),
    }
    return session.scalars(_NAMED, names).all()


def untold_reports(session: Session, *, limit: int) -> list[StoredReport]:
    """Return current reports in which something critical was read that they do not document as told, newest first."""
    result = ReportResultRow.result
    rows = session.scalars(
        select(ReportRow)
        .join(ReportResultRow, ReportResultRow.report_id == ReportRow.id)
        .where(
            ReportRow.superseded_by.is_(None),
            ReportRow.status != "entered-in-error",
            result["critical"].as_string() != "[]",
            result[("communication", "documented")].as_boolean().is_(False),
        )
        .order_by(ReportRow.issued_at.desc())
        .limit(limit)
    ).all()
    return with_results(session, rows)


def with_results(session: Session, rows: Sequence[ReportRow]) -> list[StoredReport]:
    """Return reports with the results they have."""
    if not rows:
        return []
    results: dict[str, Any] = {
        found[0]: found[1] for found in session.execute(_RESULTS, {"ids": [row.id for row in rows]})
    }
    return [
        StoredReport(row, StructuredReport.model_validate(results[row.id]) if row.id in results else None)
        for row in rows
    ]
