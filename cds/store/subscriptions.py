"""Events of results, and who is told of them: an event and its deliveries are one transaction with the result."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, cast, get_args

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from cds.jobs.queue import Job, enqueue
from cds.store.exchange_tables import EventRow, SubscriptionRow
from cds.store.tables import FilmRow

EventType = Literal["film.analysed", "film.rejected", "report.extracted"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


@dataclass(frozen=True)
class Event:
    """That a result was stored; `item_id` is of the film or the report."""

    id: str
    type: EventType
    item_id: str
    at: datetime


@dataclass(frozen=True)
class Subscription:
    """Who is told of which events, and where."""

    id: str
    client: str
    url: str
    events: tuple[EventType, ...]
    secret: str
    created_at: datetime


def announce(session: Session, job: Job, at: datetime) -> None:
    """Keep that a result was stored, and queue its delivery to every subscription that wants it."""
    event = Event(str(uuid.uuid4()), _type_of(session, job), job.subject_id, at)
    session.add(EventRow(**vars(event)))
    for row in session.scalars(select(SubscriptionRow)):
        if event.type in row.events["types"]:
            enqueue(session, "notify", event.id, destination=row.id, at=at)


def event_by_id(session: Session, event_id: str) -> Event | None:
    row = session.get(EventRow, event_id)
    return None if row is None else _event(row)


def events_after(session: Session, position: tuple[datetime, str] | None, *, limit: int) -> list[Event]:
    """Return events in the order they came, those after a position (time and id of an event)."""
    query = select(EventRow).order_by(EventRow.at, EventRow.id).limit(limit)
    if position is not None:
        query = query.where(tuple_(EventRow.at, EventRow.id) > tuple_(*position))
    return [_event(row) for row in session.scalars(query)]


def add_subscription(
    session: Session, client: str, url: str, events: Sequence[EventType], secret: str, *, at: datetime
) -> Subscription:
    """Keep a subscription; it is told of what comes from now on."""
    subscription = Subscription(str(uuid.uuid4()), client, url, tuple(events), secret, at)
    content = {**vars(subscription), "events": {"types": list(events)}}
    session.add(SubscriptionRow(**content))
    return subscription


def subscription_by_id(session: Session, subscription_id: str) -> Subscription | None:
    row = session.get(SubscriptionRow, subscription_id)
    return None if row is None else _subscription(row)


def subscriptions_of(session: Session, client: str) -> list[Subscription]:
    """Return the subscriptions of one client, the oldest first."""
    query = select(SubscriptionRow).where(SubscriptionRow.client == client).order_by(SubscriptionRow.created_at)
    return [_subscription(row) for row in session.scalars(query)]


def end_subscription(session: Session, client: str, subscription_id: str) -> bool:
    """Remove a subscription of a client; what waits for it is given up. False where the client has no such one."""
    row = session.get(SubscriptionRow, subscription_id)
    if row is None or row.client != client:
        return False
    session.delete(row)
    return True


def _type_of(session: Session, job: Job) -> EventType:
    if job.kind == "extract_report":
        return "report.extracted"
    rejected = session.get_one(FilmRow, job.subject_id).status == "rejected"
    return "film.rejected" if rejected else "film.analysed"


def _event(row: EventRow) -> Event:
    return Event(row.id, cast("EventType", row.type), row.item_id, row.at)


def _subscription(row: SubscriptionRow) -> Subscription:
    return Subscription(row.id, row.client, row.url, tuple(row.events["types"]), row.secret, row.created_at)
