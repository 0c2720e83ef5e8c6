"""Bundles, search pages and prefetch maps -> a flat list of resources, and which types were searched for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_DEEPEST = 4
_WHOLE = frozenset({"patient", "subject", "status", "clinical-status", "verification-status"})


def resources_of(document: Any) -> list[dict[str, Any]]:
    """Return the resources of a Bundle, of a single resource, or of a prefetch map of either.

    Entries that are not objects with a resourceType are left out; nested bundles are opened.
    """
    found: list[dict[str, Any]] = []
    _gather(document, 0, found)
    return found


def searched_types(document: Any) -> frozenset[str]:
    """Return the resource types whose search is answered in a document: of a type that is not there, none is recorded.

    A search is known by the `self` link of its Bundle; one that narrows what of the patient it asks for, and one with
    further pages, answers nothing.
    """
    return frozenset(filter(None, map(_searched_type, _bundles(document, 0))))


def searched_type(address: str) -> str | None:
    """Return the resource type that a search ("Condition?patient=1") asks for all of, None where it narrows it."""
    parts = urlsplit(address)
    names = {name.split(":")[0] for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    narrowing = {name for name in names if not name.startswith("_")} - _WHOLE
    whole = names & {"patient", "subject"} and not narrowing and "_lastUpdated" not in names
    return parts.path.rstrip("/").rsplit("/", 1)[-1] if whole else None


def _searched_type(bundle: Mapping[str, Any]) -> str | None:
    links = bundle.get("link")
    addresses = {
        link.get("relation"): link.get("url")
        for link in (links if isinstance(links, list) else ())
        if isinstance(link, Mapping) and isinstance(link.get("url"), str)
    }
    if bundle.get("type") != "searchset" or "self" not in addresses or "next" in addresses:
        return None
    try:
        return searched_type(str(addresses["self"]))
    except ValueError:
        return None


def _bundles(document: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    if depth > _DEEPEST or not isinstance(document, Mapping):
        return
    kind = document.get("resourceType")
    if kind == "Bundle":
        yield document
        entries = document.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping):
                yield from _bundles(entry.get("resource"), depth + 1)
    elif kind is None and depth == 0:
        for value in document.values():
            yield from _bundles(value, depth + 1)


def _gather(document: Any, depth: int, found: list[dict[str, Any]]) -> None:
    """Add the resources of a document to those found; what JSON calls an object is a dict here."""
    if depth > _DEEPEST or not isinstance(document, dict):
        return
    kind = document.get("resourceType")
    if kind == "Bundle":
        entries = document.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                _gather(_identified(entry), depth + 1, found)
    elif isinstance(kind, str):
        found.append(document)
    elif depth == 0:
        for value in document.values():
            _gather(value, depth + 1, found)


def _identified(entry: Mapping[str, Any]) -> Any:
    """Return the resource of an entry, with the id of its fullUrl where it has none of its own (transactions)."""
    resource, address = entry.get("resource"), entry.get("fullUrl")
    if not isinstance(resource, Mapping) or resource.get("id") or not isinstance(address, str):
        return resource
    return {**resource, "id": address.rsplit("/", 1)[-1].removeprefix("urn:uuid:")}
