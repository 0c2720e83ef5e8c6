"""What people did in the reading room: appended, never changed; the state of a film follows from its events.

opened    someone looked at the film's page
read      someone is done with it; `reopened` takes that back
priority  someone set its urgency, or lifted what was set
told      someone told a critical result of a report
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Subquery, func, select
from sqlalchemy.orm import Session, aliased

from cds.oversight.triage import LEVELS, Override
from cds.store.films import PRIOR
from cds.store.reading_tables import ReadingEventRow
from cds.store.tables import FilmRow, ReportRow

EventKind = Literal["opened", "read", "reopened", "priority", "told"]


@dataclass(frozen=True)
class ReadingState:
    """How far the reading of one film is."""

    opened_at: datetime | None = None
    opened_by: str | None = None
    read_at: datetime | None = None
    read_by: str | None = None
    override: Override | None = None


@dataclass(frozen=True)
class Told:
    """That a critical result was told: by whom and when it was kept, to whom, how and when it was done."""

    finding: str
    said_by: str
    said_at: datetime
    to: str
    how: str
    told_at: datetime


def add_event(
    session: Session,
    kind: EventKind,
    *,
    film_id: str | None = None,
    report_id: str | None = None,
    finding: str | None = None,
    detail: dict[str, Any] | None = None,
    said_by: str,
    at: datetime,
) -> None:
    """Append what someone did."""
    session.add(
        ReadingEventRow(
            id=str(uuid.uuid4()),
            kind=kind,
            film_id=film_id,
            report_id=report_id,
            finding=finding,
            detail=detail or {},
            said_by=said_by,
            said_at=at,
        )
    )


def note_opened(session: Session, film_id: str, *, by: str, at: datetime) -> None:
    """Keep that someone looks at a film, once for each person."""
    seen = select(ReadingEventRow.id).where(
        ReadingEventRow.film_id == film_id, ReadingEventRow.kind == "opened", ReadingEventRow.said_by == by
    )
    if session.scalar(seen.limit(1)) is None:
        add_event(session, "opened", film_id=film_id, said_by=by, at=at)


def reading_states(session: Session, film_ids: Sequence[str]) -> dict[str, ReadingState]:
    """Return how far the reading of each film is; a film without events has none."""
    events: dict[str, list[ReadingEventRow]] = {}
    for row in session.scalars(
        select(ReadingEventRow).where(ReadingEventRow.film_id.in_(film_ids)).order_by(ReadingEventRow.said_at)
    ):
        events.setdefault(str(row.film_id), []).append(row)
    return {film_id: _state(rows) for film_id, rows in events.items()}


def open_films(session: Session, *, newest: int, oldest: int) -> list[FilmRow]:
    """Return current films that nobody is done with: of very many, the newest and the longest waiting."""
    waiting = select(FilmRow).where(*_to_read())
    late = session.scalars(waiting.order_by(FilmRow.received_at).limit(oldest)).all()
    new = session.scalars(waiting.order_by(FilmRow.received_at.desc()).limit(newest)).all()
    return list({row.id: row for row in [*late, *new]}.values())


def count_open(session: Session) -> int:
    """Return how many current films nobody is done with."""
    waiting = select(func.count()).select_from(FilmRow).where(*_to_read())
    return session.scalar(waiting) or 0


def read_films(session: Session, *, limit: int) -> Sequence[FilmRow]:
    """Return films that someone is done with, the latest first."""
    done = _done()
    return session.scalars(
        select(FilmRow).join(done, FilmRow.id == done.c.film_id).order_by(done.c.read_at.desc()).limit(limit)
    ).all()


def told_of(session: Session, reports: Iterable[ReportRow]) -> dict[str, dict[str, Told]]:
    """Return report id -> finding -> how it was told, by any version of the report; the last word counts."""
    versions = {(row.source, row.source_id): row.id for row in reports}
    rows = session.execute(
        select(ReadingEventRow, ReportRow)
        .join(ReportRow, ReadingEventRow.report_id == ReportRow.id)
        .where(ReadingEventRow.kind == "told", ReportRow.source_id.in_([source_id for _, source_id in versions]))
        .order_by(ReadingEventRow.said_at)
    )
    found: dict[str, dict[str, Told]] = {}
    for event, report in rows:
        current = versions.get((report.source, report.source_id))
        if current is not None and event.finding is not None:
            found.setdefault(current, {})[event.finding] = _told(event)
    return found


def _to_read() -> tuple[ColumnElement[bool], ...]:
    """Return what makes a film one to read: current, not fetched for comparison, and nobody is done with it."""
    return FilmRow.superseded_by.is_(None), FilmRow.source != PRIOR, FilmRow.id.not_in(select(_done().c.film_id))


def _done() -> Subquery:
    """Return the films whose reading ended and was not taken up again, with the time of the end."""
    end, again = ReadingEventRow, aliased(ReadingEventRow)
    later = (
        select(again.id)
        .where(again.film_id == end.film_id, again.kind == "reopened", again.said_at > end.said_at)
        .exists()
    )
    return (
        select(end.film_id, func.max(end.said_at).label("read_at"))
        .where(end.kind == "read", end.film_id.is_not(None), ~later)
        .group_by(end.film_id)
        .subquery()
    )


def _state(rows: Sequence[ReadingEventRow]) -> ReadingState:
    opened = next((row for row in rows if row.kind == "opened"), None)
    ended = next((row for row in reversed(rows) if row.kind in ("read", "reopened")), None)
    read = ended if ended is not None and ended.kind == "read" else None
    priority = next((row for row in reversed(rows) if row.kind == "priority"), None)
    return ReadingState(
        opened_at=opened.said_at if opened else None,
        opened_by=opened.said_by if opened else None,
        read_at=read.said_at if read else None,
        read_by=read.said_by if read else None,
        override=_override(priority) if priority else None,
    )


def _override(row: ReadingEventRow) -> Override | None:
    level = row.detail.get("level")
    known = {name: name for name in LEVELS}
    return Override(known[level], str(row.detail.get("reason", "")), row.said_by) if level in known else None


def _told(row: ReadingEventRow) -> Told:
    detail = row.detail
    return Told(
        finding=str(row.finding),
        said_by=row.said_by,
        said_at=row.said_at,
        to=str(detail["to"]),
        how=str(detail["how"]),
        told_at=datetime.fromisoformat(detail["at"]),
    )
