"""Bundles, search pages and prefetch maps -> a flat list of resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 4


def resources_of(document: Any) -> list[dict[str, Any]]:
    """Return the resources of a Bundle, of a single resource, or of a prefetch map of either.

    Entries that are not objects with a resourceType are left out; nested bundles are opened.
    """
    return list(_walk(document, 0))


def _walk(document: Any, depth: int) -> Iterator[dict[str, Any]]:
    if depth > _DEEPEST or not isinstance(document, Mapping):
        return
    kind = document.get("resourceType")
    if kind == "Bundle":
        entries = document.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping):
                yield from _walk(_identified(entry), depth + 1)
    elif isinstance(kind, str):
        yield dict(document)
    elif depth == 0:
        for value in document.values():
            yield from _walk(value, depth + 1)


def _identified(entry: Mapping[str, Any]) -> Any:
    """Return the resource of an entry, with the id of its fullUrl where it has none of its own (transactions)."""
    resource, address = entry.get("resource"), entry.get("fullUrl")
    if not isinstance(resource, Mapping) or resource.get("id") or not isinstance(address, str):
        return resource
    return {**resource, "id": address.rsplit("/", 1)[-1].removeprefix("urn:uuid:")}
