"""The objects that were made of films: which are valid, and which of an instance are ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.store.pacs_tables import DicomObjectRow
from cds.store.tables import FilmRow


def valid_objects(session: Session, film_ids: Sequence[str]) -> list[DicomObjectRow]:
    """Return the objects of films that were not withdrawn, in the order they were made."""
    query = select(DicomObjectRow).where(DicomObjectRow.film_id.in_(film_ids), DicomObjectRow.withdrawn_at.is_(None))
    return list(session.scalars(query.order_by(DicomObjectRow.made_at, DicomObjectRow.sop_instance_uid)))


def last_revision(session: Session, film_id: str) -> int:
    """Return how often objects of a film were made."""
    highest = session.scalar(select(func.max(DicomObjectRow.revision)).where(DicomObjectRow.film_id == film_id))
    return highest or 0


def is_ours(session: Session, sop_instance_uid: str) -> bool:
    """Whether an instance was made here."""
    return session.get(DicomObjectRow, sop_instance_uid) is not None


def withdraw(session: Session, objects: Sequence[DicomObjectRow], *, at: datetime) -> None:
    """Mark objects as not valid any more."""
    for row in objects:
        session.get_one(DicomObjectRow, row.sop_instance_uid).withdrawn_at = at


def versions_of(session: Session, film: FilmRow) -> list[str]:
    """Return the ids of a film and of the earlier versions that it corrects."""
    rows = session.scalars(select(FilmRow.id).where(FilmRow.sop_instance_uid == film.sop_instance_uid))
    return list(rows)
