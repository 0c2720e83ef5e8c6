"""Cards shown and what became of them, and the token ids already seen."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import CursorResult, bindparam, delete, exists, insert, select
from sqlalchemy.orm import Session

from cds.store.tables import CardRow, FeedbackRow, ReplayRow

_OVERRIDDEN = (
    select(CardRow.key)
    .join(FeedbackRow, FeedbackRow.card_uuid == CardRow.uuid)
    .where(
        CardRow.subject == bindparam("subject"),
        FeedbackRow.outcome == "overridden",
        FeedbackRow.outcome_timestamp >= bindparam("since"),
    )
)
_SHOWN = select(CardRow.key).where(CardRow.subject == bindparam("subject"), CardRow.silent.is_(False)).distinct()
_SHOWN_SINCE = _SHOWN.where(CardRow.shown_at >= bindparam("since"))
_SHOWN_IN_ENCOUNTER = _SHOWN.where(CardRow.encounter == bindparam("encounter"))
_ADD = insert(CardRow.__table__)  # type: ignore[arg-type]
_FORGOTTEN = {"issuer": "", "jti": ""}
"""The row that says which tokens may have been forgotten: those that expire before it. No token has an empty id."""
_TOKEN = {name: bindparam(name, type_=getattr(ReplayRow, name).type) for name in ("issuer", "jti", "expires_at")}
_IS_FORGOTTEN = exists().where(
    *(getattr(ReplayRow, name) == value for name, value in _FORGOTTEN.items()),
    ReplayRow.expires_at > _TOKEN["expires_at"],
)
_USE = insert(ReplayRow.__table__).from_select(list(_TOKEN), select(*_TOKEN.values()).where(~_IS_FORGOTTEN))  # type: ignore[arg-type]


@dataclass(frozen=True)
class ShownCard:
    """A card as it is kept: enough to tie feedback to its rule and models, nothing of its text."""

    uuid: str
    service: str
    hook: str
    hook_instance: str
    subject: str
    encounter: str | None
    key: str
    rule_id: str
    rule_version: str
    models: dict[str, Any]
    indicator: str
    silent: bool
    role: str | None = None


@dataclass(frozen=True)
class Feedback:
    """What a clinician did with one card; `detail` holds accepted suggestions or the reason of an override."""

    card: str
    outcome: Literal["accepted", "overridden"]
    at: datetime
    detail: dict[str, Any]


def add_cards(session: Session, cards: Iterable[ShownCard], *, at: datetime) -> None:
    """Keep cards, so that feedback finds them."""
    session.execute(_ADD, [{**vars(card), "shown_at": at} for card in cards])


def overridden_since(session: Session, subject: str, since: datetime) -> frozenset[str]:
    """Return the keys of a subject's cards that were overridden after a time, whichever service showed them."""
    return frozenset(session.scalars(_OVERRIDDEN, {"subject": subject, "since": since}))


def shown_keys(session: Session, subject: str, *, encounter: str | None, since: datetime) -> frozenset[str]:
    """Return the keys of cards shown to a subject in an encounter, or, without an encounter, after a time."""
    if encounter is None:
        return frozenset(session.scalars(_SHOWN_SINCE, {"subject": subject, "since": since}))
    return frozenset(session.scalars(_SHOWN_IN_ENCOUNTER, {"subject": subject, "encounter": encounter}))


def add_feedback(session: Session, service: str, items: Sequence[Feedback], *, at: datetime) -> int:
    """Keep feedback and return how much of it was new; the same outcome of a card at the same time is kept once.

    Feedback of a card that is not in the store is kept too: the client must not lose it because we did.
    """
    new = 0
    for item in items:
        known = session.scalar(
            select(FeedbackRow.id).where(
                FeedbackRow.card_uuid == item.card,
                FeedbackRow.outcome == item.outcome,
                FeedbackRow.outcome_timestamp == item.at,
            )
        )
        if known is None:
            new += 1
            session.add(
                FeedbackRow(
                    id=str(uuid.uuid4()),
                    card_uuid=item.card,
                    service=service,
                    outcome=item.outcome,
                    outcome_timestamp=item.at,
                    detail=item.detail,
                    received_at=at,
                )
            )
            session.flush()
    return new


def keep_token(session: Session, issuer: str, jti: str, *, expires_at: datetime) -> bool:
    """Keep the id of a token that is used; False when tokens that expire so early have been forgotten.

    Raises sqlalchemy.exc.IntegrityError when it was used before.
    """
    kept = session.execute(_USE, {"issuer": issuer, "jti": jti, "expires_at": expires_at})
    return bool(cast("CursorResult[Any]", kept).rowcount)


def forget_tokens(session: Session, *, before: datetime) -> None:
    """Remove the ids of tokens that expired before a time, and keep that they are forgotten, should it come again."""
    removed = session.execute(delete(ReplayRow).where(ReplayRow.expires_at < before))
    if cast("CursorResult[Any]", removed).rowcount:
        session.merge(ReplayRow(**_FORGOTTEN, expires_at=before))
