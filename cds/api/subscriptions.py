"""REST for being told of results: subscriptions by webhook, and the events themselves as a list to read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from cds.api.access import client_of
from cds.api.paging import Cursor, link_next, position_of
from cds.assessing.assessment import utc_now
from cds.errors import NotFoundError
from cds.hooks.errors import AddressRefusedError
from cds.outputs.webhooks import new_secret
from cds.service import Service
from cds.store.subscriptions import (
    EVENT_TYPES,
    EventType,
    Subscription,
    add_subscription,
    end_subscription,
    events_after,
    subscriptions_of,
)

_MOST = 20
_EXAMPLE: dict[str, Any] = {
    "url": "https://pathway.hospital.example/hooks/roentgen",
    "events": ["film.analysed", "report.extracted"],
}


class SubscriptionRequest(BaseModel):
    """Where to be told, and of what; the host must be in `webhook_hosts`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    url: str = Field(max_length=2048)
    events: tuple[EventType, ...] = Field(default=EVENT_TYPES, min_length=1, max_length=len(EVENT_TYPES))


class SubscriptionState(BaseModel):
    """A subscription; its secret is shown once, when it is made."""

    id: str
    url: str
    events: tuple[EventType, ...]
    created_at: datetime


class NewSubscription(SubscriptionState):
    """A subscription with the secret that its messages are signed with (Standard Webhooks, `whsec_...`)."""

    secret: str


class EventState(BaseModel):
    """That a result was stored; `url` is where it is read."""

    id: str
    type: EventType
    at: datetime
    url: str


def subscriptions_router(service: Service, route_class: type[APIRoute]) -> APIRouter:
    """Return the routes of subscriptions and events."""
    router = APIRouter(prefix="/api/v1", tags=["subscriptions"], route_class=route_class)

    @router.post("/subscriptions", status_code=201)
    async def subscribe(body: Annotated[SubscriptionRequest, Body()], request: Request) -> NewSubscription:
        """Be told of results by webhook: signed, at least once, in no promised order. The secret is shown only here."""
        try:
            await service.webhooks.pinned(body.url)
        except AddressRefusedError as error:
            raise HTTPException(422, f"url: {error.code.replace('_', ' ')}; see the setting webhook_hosts") from None
        kept = await run_sync(_keep, service, client_of(request), body)
        return NewSubscription(**_shown(kept), secret=kept.secret)

    @router.get("/subscriptions")
    def list_subscriptions(request: Request) -> list[SubscriptionState]:
        """Return the caller's own subscriptions."""
        with service.database.reading() as session:
            return [SubscriptionState(**_shown(one)) for one in subscriptions_of(session, client_of(request))]

    @router.delete("/subscriptions/{subscription_id}", status_code=204)
    def unsubscribe(subscription_id: str, request: Request) -> None:
        """End a subscription; what still waits for it is not sent."""
        with service.database.writing() as session:
            if not end_subscription(session, client_of(request), subscription_id):
                raise NotFoundError("no such subscription")

    @router.get("/events")
    def list_events(
        request: Request, response: Response, limit: Annotated[int, Query(ge=1, le=500)] = 100, cursor: Cursor = None
    ) -> list[EventState]:
        """Return results in the order they were stored, for who would rather ask than be told."""
        with service.database.reading() as session:
            events = events_after(session, position_of(cursor), limit=limit)
        link_next(request, response, (events[-1].at, events[-1].id) if len(events) == limit else None)
        return [
            EventState(id=e.id, type=e.type, at=e.at, url=service.webhooks.message(e)["data"]["url"]) for e in events
        ]

    return router


def _keep(service: Service, client: str, body: SubscriptionRequest) -> Subscription:
    with service.database.writing() as session:
        if len(subscriptions_of(session, client)) >= _MOST:
            raise HTTPException(422, f"a client has at most {_MOST} subscriptions; end one first")
        return add_subscription(session, client, body.url, body.events, new_secret(), at=utc_now())


def _shown(subscription: Subscription) -> dict[str, object]:
    return {name: getattr(subscription, name) for name in SubscriptionState.model_fields}
