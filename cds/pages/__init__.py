"""The pages for people: worklist and case page."""

from __future__ import annotations

from cds.pages.routes import mount_pages

__all__ = ["mount_pages"]
