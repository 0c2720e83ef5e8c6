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
                yield from _walk(entry.get("resource"), depth + 1)
    elif isinstance(kind, str):
        yield dict(document)
    elif depth == 0:
        for value in document.values():
            yield from _walk(value, depth + 1)
