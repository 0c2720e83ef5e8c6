"""Items 19 to 31 and 42: what cards look like."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from cds.conformance.model import CannotSeeError, check
from cds.conformance.target import Json, Target

_INDICATORS = ("info", "warning", "critical")
_BEHAVIORS = ("at-most-one", "any")
_ACTIONS = ("create", "update", "delete")
_HTML = re.compile(r"<\s*/?\s*(script|iframe|img|object|embed|style|svg|a)\b", re.IGNORECASE)


@check(19, "M", "a summary has fewer than 140 characters")
def summaries_are_short(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        summary = card.get("summary")
        if not isinstance(summary, str) or not summary:
            yield f"{name}: no summary"
        elif len(summary) >= 140:
            yield f"{name}: {len(summary)} characters"


@check(20, "M", "a card has an indicator and a source with a label")
def cards_have_indicator_and_source(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        if card.get("indicator") not in _INDICATORS:
            yield f"{name}: indicator {card.get('indicator')!r}"
        source = card.get("source")
        if not isinstance(source, dict) or not source.get("label"):
            yield f"{name}: no source.label"


@check(21, "M", "detail is Markdown without active HTML")
def details_are_markdown(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        detail = card.get("detail", "")
        if not isinstance(detail, str):
            yield f"{name}: detail is no text"
        elif _HTML.search(detail):
            yield f"{name}: HTML in detail"


@check(22, "M", "suggestions come with selectionBehavior")
def suggestions_have_behavior(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        if card.get("suggestions") and card.get("selectionBehavior") not in _BEHAVIORS:
            yield f"{name}: selectionBehavior {card.get('selectionBehavior')!r}"


@check(23, "M", "with at-most-one, at most one suggestion is recommended")
def one_is_recommended(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        recommended = [s for s in _parts(card, "suggestions") if s.get("isRecommended") is True]
        if card.get("selectionBehavior") == "at-most-one" and len(recommended) > 1:
            yield f"{name}: {len(recommended)} recommended"


@check(24, "M", "suggestions have a label, actions a type and a description")
def suggestions_are_complete(target: Target) -> Iterator[str]:
    for name, suggestion in _suggestions(target):
        if not suggestion.get("label"):
            yield f"{name}: a suggestion without label"
        for action in _parts(suggestion, "actions"):
            if action.get("type") not in _ACTIONS:
                yield f"{name}: action type {action.get('type')!r}"
            if not action.get("description"):
                yield f"{name}: an action without description"


@check(25, "M", "create and update carry a whole resource")
def actions_carry_resources(target: Target) -> Iterator[str]:
    for name, action in _actions(target):
        resource = action.get("resource")
        if action.get("type") in ("create", "update") and not (
            isinstance(resource, dict) and resource.get("resourceType")
        ):
            yield f"{name}: {action.get('type')} without resource"


@check(25, "S", "delete names its resource by resourceId")
def deletions_have_ids(target: Target) -> Iterator[str]:
    for name, action in _actions(target):
        if action.get("type") == "delete" and not action.get("resourceId"):
            yield f"{name}: delete without resourceId"


@check(26, "M", "actionSelectionBehavior is sent to clients that support it only")
def no_action_selection(target: Target) -> Iterator[str]:
    yield from (f"{name}: sent" for name, s in _suggestions(target) if "actionSelectionBehavior" in s)


@check(27, "M", "override reasons have code, system and display")
def override_reasons_are_coded(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        for reason in _parts(card, "overrideReasons"):
            yield from (
                f"{name}: a reason without {part}" for part in ("code", "system", "display") if not reason.get(part)
            )


@check(28, "M", "links are labelled, absolute, of a known type, and have appContext with smart only")
def links_are_absolute(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        for link in _parts(card, "links"):
            address = urlsplit(str(link.get("url")))
            if not link.get("label"):
                yield f"{name}: a link without label"
            if not (address.scheme and address.netloc):
                yield f"{name}: a link that is not absolute"
            if link.get("type") not in ("absolute", "smart"):
                yield f"{name}: link type {link.get('type')!r}"
            if "appContext" in link and link.get("type") != "smart":
                yield f"{name}: appContext on an absolute link"


@check(29, "S", "a link that launches itself leaves no guidance in the card alone")
def no_link_launches_itself(target: Target) -> Iterator[str]:
    for name, card in target.cards():
        launching = [link for link in _parts(card, "links") if link.get("autolaunchable")]
        if launching and card.get("suggestions"):
            yield f"{name}: suggestions beside an autolaunchable link"


@check(30, "S", "no systemActions without agreement")
def no_system_actions(target: Target) -> Iterator[str]:
    for called in target.calls:
        if called.body.get("systemActions"):
            yield f"{called.name}: systemActions"


@check(31, "S", "each card has a uuid of its own")
def cards_have_ids(target: Target) -> Iterator[str]:
    seen: set[str] = set()
    for name, card in target.cards():
        identifier = card.get("uuid")
        if not _is_uuid(identifier):
            yield f"{name}: uuid {identifier!r}"
        elif identifier in seen:
            yield f"{name}: a uuid that another card has"
        seen.add(str(identifier))


@check(42, "M", "extension is an object")
def extensions_are_objects(target: Target) -> Iterator[str]:
    for name, extension in _extensions(target):
        if not isinstance(extension, dict):
            yield f"{name}: extension is no object"


@check(42, "S", "extension keys are reverse domain names")
def extension_keys_are_domains(target: Target) -> Iterator[str]:
    for name, extension in _extensions(target):
        keys = extension if isinstance(extension, dict) else ()
        yield from (f"{name}: {key}" for key in keys if not re.fullmatch(r"[\w-]+(\.[\w-]+)+", key))


@check(42, "M", "an extension in a request that is no object is no error of the server")
def request_extensions_are_survived(target: Target) -> Iterator[str]:
    path, request = target.example()
    response = target.post(path, {**request, "extension": "text"})
    if response.is_server_error:
        yield f"status {response.status_code}"


def _extensions(target: Target) -> list[tuple[str, Any]]:
    places = [(called.name, called.body) for called in target.calls]
    places += [(f"discovery of {service['id']}", service) for service in target.services]
    places += [(called.name, card) for called in target.calls for card in called.cards]
    found = [(name, body["extension"]) for name, body in places if "extension" in body]
    if not found:
        raise CannotSeeError("no extension was sent")
    return found


def _suggestions(target: Target) -> list[tuple[str, Json]]:
    found = [(name, suggestion) for name, card in target.cards() for suggestion in _parts(card, "suggestions")]
    if not found:
        raise CannotSeeError("no card has suggestions; give requests that make the services suggest")
    return found


def _actions(target: Target) -> list[tuple[str, Json]]:
    return [(name, action) for name, suggestion in _suggestions(target) for action in _parts(suggestion, "actions")]


def _parts(owner: Json, name: str) -> list[Json]:
    parts = owner.get(name)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _is_uuid(value: Any) -> bool:
    try:
        return bool(uuid.UUID(str(value)))
    except ValueError:
        return False
