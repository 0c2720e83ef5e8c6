"""Answers to requests that carried an Idempotency-Key, kept for a day, so that a repeat gets the same answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.orm import Session

from cds.store.exchange_tables import IdempotencyRow

KEPT = timedelta(hours=24)
_IN_WORK = timedelta(minutes=2)
_NO_ANSWER_YET = 0


@dataclass(frozen=True)
class KeptAnswer:
    """An answer as it left."""

    status: int
    media_type: str
    body: bytes


def begin(
    session: Session, client: str, key: str, fingerprint: str, *, at: datetime
) -> KeptAnswer | Literal["new", "in_work", "other"]:
    """Return the answer that is kept, or whether the request is new, still in work, or another under the same key.

    fingerprint  of the whole request; a new one is reserved, until `keep` or `release`
    """
    session.execute(delete(IdempotencyRow).where(IdempotencyRow.stored_at < at - KEPT))
    row = session.get(IdempotencyRow, (client, key))
    if row is not None and row.fingerprint != fingerprint:
        return "other"
    if row is not None and row.status != _NO_ANSWER_YET:
        return KeptAnswer(row.status, row.media_type, row.body)
    if row is not None and row.stored_at > at - _IN_WORK:
        return "in_work"
    reserved = IdempotencyRow(
        client=client, key=key, fingerprint=fingerprint, status=_NO_ANSWER_YET, media_type="", body=b"", stored_at=at
    )
    session.merge(reserved)
    return "new"


def keep(session: Session, client: str, key: str, answer: KeptAnswer) -> None:
    """Keep the answer to a request that was begun."""
    row = session.get(IdempotencyRow, (client, key))
    if row is not None:
        row.status, row.media_type, row.body = answer.status, answer.media_type, answer.body


def release(session: Session, client: str, key: str) -> None:
    """Forget a request that was begun and got no answer, so that it can be sent again."""
    session.execute(
        delete(IdempotencyRow).where(
            IdempotencyRow.client == client, IdempotencyRow.key == key, IdempotencyRow.status == _NO_ANSWER_YET
        )
    )
