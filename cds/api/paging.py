"""Pages of listings: an opaque cursor of time and id, and a Link header (RFC 8288) to the next page."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated

from fastapi import HTTPException, Query, Request, Response

Cursor = Annotated[
    str | None, Query(max_length=255, description="Where the page before ended, as its Link header says.")
]
Position = tuple[datetime, str]


def position_of(cursor: str | None) -> Position | None:
    """Return the time and id that a cursor stands for. Raises HTTPException for one that is none of ours."""
    if cursor is None:
        return None
    try:
        moment, _, identifier = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().partition("|")
        return datetime.fromisoformat(moment).astimezone(UTC), identifier
    except (ValueError, OverflowError, binascii.Error):
        raise HTTPException(422, "cursor: is none that this service gave") from None


def link_next(request: Request, response: Response, last: Position | None) -> None:
    """Name the page after the one that ends with `last`, if there is one."""
    if last is None:
        return
    cursor = base64.urlsafe_b64encode(f"{last[0].isoformat()}|{last[1]}".encode()).decode().rstrip("=")
    response.headers["Link"] = f'<{request.url.path}?{_query(request, cursor)}>; rel="next"'


def _query(request: Request, cursor: str) -> str:
    return str(request.url.remove_query_params(["cursor", "before"]).include_query_params(cursor=cursor).query)
