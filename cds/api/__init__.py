"""The web side: one FastAPI application of hooks, REST, pages and health."""

from __future__ import annotations

from cds.api.app import create_app

__all__ = ["create_app"]
