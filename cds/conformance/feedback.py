"""Items 31 to 34: feedback on cards."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx

from cds.conformance.model import CannotSeeError, check
from cds.conformance.target import Json, Target

_WHEN = "2026-03-01T10:00:00Z"


@check(32, "M", "feedback of an override is accepted")
def overrides_are_accepted(target: Target) -> Iterator[str]:
    path, card = _card(target)
    yield from _not_accepted(target, path, _overridden(card), "overridden")


@check(33, "M", "feedback of accepted suggestions is accepted")
def acceptance_is_accepted(target: Target) -> Iterator[str]:
    path, card = _card(target)
    yield from _not_accepted(target, path, _accepted(card), "accepted")


@check(33, "M", "an override may carry a reason, a comment, or both")
def override_reasons_are_accepted(target: Target) -> Iterator[str]:
    path, card = _card(target)
    reason = {"code": "later", "system": "urn:example:reasons"}
    for given in ({"reason": reason}, {"userComment": "later"}, {"reason": reason, "userComment": "later"}):
        feedback = {**_overridden(card), "overrideReason": given}
        yield from _not_accepted(target, path, feedback, " and ".join(given))


@check(34, "M", "feedback may come again for one card, and for several cards at once")
def feedback_may_repeat(target: Target) -> Iterator[str]:
    path, card = _card(target)
    for _ in range(2):
        yield from _not_accepted(target, path, _overridden(card), "again")
    response = target.post(path, {"feedback": [_overridden(card), _accepted(card)]})
    if response.status_code != httpx.codes.OK:
        yield f"two at once: {response.status_code}"


@check(32, "M", "incomplete feedback is refused")
def incomplete_feedback_is_refused(target: Target) -> Iterator[str]:
    path, card = _card(target)
    for name in ("card", "outcome", "outcomeTimestamp"):
        feedback = {key: value for key, value in _overridden(card).items() if key != name}
        yield from _accepted_wrongly(target, path, {"feedback": [feedback]}, f"without {name}")
    unknown = {**_overridden(card), "outcome": "ignored"}
    yield from _accepted_wrongly(target, path, {"feedback": [unknown]}, "outcome ignored")
    yield from _accepted_wrongly(target, path, {}, "without feedback")


@check(33, "S", "an acceptance without acceptedSuggestions is refused")
def acceptance_needs_suggestions(target: Target) -> Iterator[str]:
    path, card = _card(target)
    feedback = {key: value for key, value in _accepted(card).items() if key != "acceptedSuggestions"}
    yield from _accepted_wrongly(target, path, {"feedback": [feedback]}, "without acceptedSuggestions")


@check(32, "S", "a time that is no RFC 3339 time is refused")
def times_are_checked(target: Target) -> Iterator[str]:
    path, card = _card(target)
    feedback = {**_overridden(card), "outcomeTimestamp": "yesterday"}
    yield from _accepted_wrongly(target, path, {"feedback": [feedback]}, "outcomeTimestamp yesterday")


def _card(target: Target) -> tuple[str, str]:
    """Return the feedback address of a service and the uuid of a card of it."""
    for called in target.calls:
        for card in called.cards:
            if card.get("uuid"):
                return f"/cds-services/{called.service['id']}/feedback", str(card["uuid"])
    raise CannotSeeError("no card with a uuid was answered")


def _overridden(card: str) -> Json:
    return {"card": card, "outcome": "overridden", "outcomeTimestamp": _WHEN}


def _accepted(card: str) -> Json:
    accepted = [{"id": str(uuid.uuid4())}]
    return {"card": card, "outcome": "accepted", "outcomeTimestamp": _WHEN, "acceptedSuggestions": accepted}


def _not_accepted(target: Target, path: str, feedback: Json, text: str) -> Iterator[str]:
    response = target.post(path, {"feedback": [feedback]})
    if response.status_code != httpx.codes.OK:
        yield f"{text}: {response.status_code}"


def _accepted_wrongly(target: Target, path: str, body: Json, text: str) -> Iterator[str]:
    response = target.post(path, body)
    if not response.is_client_error:
        yield f"{text}: {response.status_code}"
