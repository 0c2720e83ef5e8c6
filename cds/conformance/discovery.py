"""Items 1 to 5 and 10 to 12: what discovery says, and what the prefetch templates ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx

from cds.conformance.model import CannotSeeError, check
from cds.conformance.target import Target, object_of

_TOKEN = re.compile(r"\{\{(.*?)\}\}")
_KNOWN_TOKEN = re.compile(r"context\.\w+|userPractitionerId|userPractitionerRoleId|userPatientId|userRelatedPersonId")
_PARAMETER = re.compile(r"[A-Za-z][\w-]*(:in)?=[^&]*|_sort=-?[\w,-]+|_count=\d+")


@check(1, "M", "GET /cds-services answers 200 with a list of services")
def discovery_answers(target: Target) -> Iterator[str]:
    if target.discovery.status_code != httpx.codes.OK:
        yield f"status {target.discovery.status_code}"
    elif not isinstance(object_of(target.discovery).get("services"), list):
        yield "no JSON object with a list `services`"


@check(2, "M", "each service has hook, id and description")
def services_are_described(target: Target) -> Iterator[str]:
    for service in _listed(target):
        for name in ("hook", "id", "description"):
            if not isinstance(service.get(name), str) or not service[name]:
                yield f"{service.get('id')}: no {name}"


@check(2, "S", "each service has a title")
def services_have_titles(target: Target) -> Iterator[str]:
    yield from (f"{service.get('id')}: no title" for service in _listed(target) if not service.get("title"))


@check(3, "M", "each id and hook of discovery stands once and can be called")
def ids_and_hooks_are_distinct(target: Target) -> Iterator[str]:
    pairs = [(service["id"], service["hook"]) for service in target.services]
    yield from (f"{pair[0]} stands twice on {pair[1]}" for pair in set(pairs) if pairs.count(pair) > 1)
    for called in target.calls:
        if called.response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST):
            yield f"{called.name}: {called.response.status_code}"


@check(4, "M", "answers are JSON")
def answers_are_json(target: Target) -> Iterator[str]:
    for name, response in [("discovery", target.discovery), *((c.name, c.response) for c in target.calls)]:
        if response.is_success and "json" not in response.headers.get("content-type", ""):
            yield f"{name}: content type {response.headers.get('content-type')!r}"


@check(5, "M", "nothing null or empty is sent, except an empty list of cards")
def nothing_is_empty(target: Target) -> Iterator[str]:
    bodies = [("discovery", object_of(target.discovery)), *((c.name, c.body) for c in target.calls)]
    for name, body in bodies:
        for path in empty_places(body):
            if path not in (".cards", ".services"):
                yield f"{name}: {path.lstrip('.')}"


@check(10, "M", "prefetch templates use only known tokens")
def tokens_are_known(target: Target) -> Iterator[str]:
    for name, query in _templates(target):
        yield from (
            f"{name}: {{{{{t}}}}}"
            for t in _TOKEN.findall(query)
            if not t.startswith("context.") and not _KNOWN_TOKEN.fullmatch(t)
        )


@check(11, "S", "prefetch templates name first-level context fields")
def tokens_are_first_level(target: Target) -> Iterator[str]:
    for name, query in _templates(target):
        for token in _TOKEN.findall(query):
            if token.startswith("context.") and not re.fullmatch(r"context\.\w+", token):
                yield f"{name}: {{{{{token}}}}}"


@check(12, "S", "prefetch templates are reads or simple searches by type")
def templates_are_simple(target: Target) -> Iterator[str]:
    for name, query in _templates(target):
        kind, is_search, parameters = query.partition("?")
        if is_search:
            bad = [p for p in parameters.split("&") if not _PARAMETER.fullmatch(_TOKEN.sub("x", p))]
            if bad or not re.fullmatch(r"[A-Z]\w+", kind):
                yield f"{name}: {query[:80]}"
        elif not re.fullmatch(r"[A-Z]\w+/.+", kind):
            yield f"{name}: {query[:80]}"


def empty_places(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of null, "", [] and {} inside a JSON value."""
    if value is None or value in ("", [], {}):
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from empty_places(item, f"{path}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from empty_places(item, f"{path}[{number}]")


def _listed(target: Target) -> list[dict[str, Any]]:
    listed = object_of(target.discovery).get("services")
    if not isinstance(listed, list) or not listed:
        raise CannotSeeError("no services in discovery")
    return [service for service in listed if isinstance(service, dict)]


def _templates(target: Target) -> Iterator[tuple[str, str]]:
    seen = False
    for service in _listed(target):
        templates = service.get("prefetch")
        for key, query in (templates if isinstance(templates, dict) else {}).items():
            seen = True
            yield f"{service.get('id')}.{key}", str(query)
    if not seen:
        raise CannotSeeError("no service has prefetch templates")
