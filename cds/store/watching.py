"""What the monitoring of models and turnaround reads of the store: verdicts, scores and passages of films."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.oversight.monitoring import Judged, Passage, Scored
from cds.store.reading_tables import ReadingEventRow
from cds.store.tables import FilmRow, ImagingResultRow, VerdictRow


def judged_since(session: Session, since: datetime) -> list[Judged]:
    """Return the last word on each finding of each film that was said after a time."""
    rows = session.scalars(select(VerdictRow).where(VerdictRow.said_at >= since).order_by(VerdictRow.said_at))
    last = {(row.film_id, row.finding): row for row in rows}
    return [
        Judged(row.finding, f"{row.model} {row.model_version}", row.score, row.label, row.verdict, row.said_at)
        for row in last.values()
    ]


def scored_since(session: Session, since: datetime) -> Iterator[Scored]:
    """Yield every score given after a time; only the findings of each result are read."""
    rows = session.execute(
        select(ImagingResultRow.result["findings"], ImagingResultRow.stored_at).where(
            ImagingResultRow.stored_at >= since, ImagingResultRow.rejected.is_(None)
        )
    )
    for findings, stored_at in rows:
        for finding in findings or ():
            model = finding["model"]
            yield Scored(
                finding["key"], f"{model['id']} {model['version']}", finding["score"], finding["label"], stored_at
            )


def passages_since(session: Session, since: datetime) -> list[Passage]:
    """Return when films that arrived after a time reached each stage."""
    first = {kind: _first(session, kind, since) for kind in ("opened", "read")}
    verdicts = session.execute(
        select(VerdictRow.film_id, func.min(VerdictRow.said_at))
        .where(VerdictRow.said_at >= since)
        .group_by(VerdictRow.film_id)
    )
    said = {str(film_id): at for film_id, at in verdicts}
    rows = session.execute(
        select(FilmRow.id, FilmRow.received_at, ImagingResultRow.stored_at)
        .outerjoin(ImagingResultRow, ImagingResultRow.film_id == FilmRow.id)
        .where(FilmRow.received_at >= since, FilmRow.superseded_by.is_(None))
    )
    return [
        Passage(
            received_at,
            {
                "result": stored_at,
                "opened": first["opened"].get(film_id),
                "verdict": said.get(film_id),
                "read": first["read"].get(film_id),
            },
        )
        for film_id, received_at, stored_at in rows
    ]


def _first(session: Session, kind: str, since: datetime) -> dict[str, datetime]:
    rows = session.execute(
        select(ReadingEventRow.film_id, func.min(ReadingEventRow.said_at))
        .where(ReadingEventRow.kind == kind, ReadingEventRow.said_at >= since, ReadingEventRow.film_id.is_not(None))
        .group_by(ReadingEventRow.film_id)
    )
    return {str(film_id): at for film_id, at in rows}
