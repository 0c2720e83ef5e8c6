"""Second opinions: a question to a remote reader about one film, answered once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.store.reading_tables import SecondOpinionRow


@dataclass(frozen=True)
class Opinion:
    """A question and the report that went along, with its answer once it is there."""

    id: str
    film_id: str
    question: str
    asked_by: str
    asked_at: datetime
    report: str | None
    reply: str | None
    replied_by: str | None
    replied_at: datetime | None


def ask(session: Session, film_id: str, question: str, *, report: str | None, by: str, at: datetime) -> Opinion:
    """Keep a question as it is sent; its id says nothing of film or patient."""
    row = SecondOpinionRow(
        id=str(uuid.uuid4()), film_id=film_id, question=question, report=report, asked_by=by, asked_at=at
    )
    session.add(row)
    return _opinion(row)


def answer(session: Session, opinion_id: str, reply: str, *, by: str, at: datetime) -> Opinion:
    """Keep the answer to a question that has none."""
    row = session.get_one(SecondOpinionRow, opinion_id)
    row.reply, row.replied_by, row.replied_at = reply, by, at
    return _opinion(row)


def opinion_by_id(session: Session, opinion_id: str) -> Opinion | None:
    row = session.get(SecondOpinionRow, opinion_id)
    return None if row is None else _opinion(row)


def opinions_of(session: Session, film_id: str) -> list[Opinion]:
    """Return the second opinions on a film, in the order they were asked for."""
    rows = session.scalars(
        select(SecondOpinionRow).where(SecondOpinionRow.film_id == film_id).order_by(SecondOpinionRow.asked_at)
    )
    return [_opinion(row) for row in rows]


def _opinion(row: SecondOpinionRow) -> Opinion:
    return Opinion(**{name: getattr(row, name) for name in Opinion.__dataclass_fields__})
