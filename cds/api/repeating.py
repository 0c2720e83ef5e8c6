"""Requests that may come again: Idempotency-Key for what stores or computes, ETag and If-None-Match for what reads.

The same key with the same request gets the same answer for a day, from whichever process; with another request, 422;
while the first is still in work, 409. Answers of 500 and above are not kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from anyio.to_thread import run_sync
from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute

from cds.api.access import client_of
from cds.assessing.assessment import utc_now
from cds.service import Service
from cds.store.repeats import KeptAnswer, begin, keep, release

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_Work = Callable[[], Awaitable[Response]]


class Repeatable(APIRoute):
    """A route that may be asked again; see `repeatable_route`."""


def repeatable_route(service: Service, access: Callable[[Request], Awaitable[Any]]) -> type[Repeatable]:
    """Return the class of routes whose POSTs take an Idempotency-Key and whose GETs carry an ETag.

    access  lets the caller in, before an answer is taken from those that are kept
    """

    class RepeatableRoute(Repeatable):
        def get_route_handler(self) -> _Handler:
            handle = super().get_route_handler()

            async def answer(request: Request) -> Response:
                if request.method == "GET":
                    return _tagged(await handle(request), request)
                if request.method != "POST" or HEADER not in request.headers:
                    return await handle(request)
                await access(request)
                return await answered_once(service, client_of(request), request, lambda: handle(request))

            return answer

    return RepeatableRoute


async def answered_once(service: Service, client: str, request: Request, work: _Work) -> Response:
    """Return the answer of `work`, or the one that the same request of a client got before.

    Raises HTTPException.
    """
    key = request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise HTTPException(400, f"{HEADER} has 1 to 255 printable characters of ASCII")
    fingerprint = await _fingerprint(request)
    before = await run_sync(_begin, service, client, key, fingerprint)
    if before == "other":
        raise HTTPException(422, f"another request was sent with this {HEADER}; use a new one")
    if before == "in_work":
        raise HTTPException(409, f"the request with this {HEADER} is still in work; try again")
    if isinstance(before, KeptAnswer):
        headers = {"Idempotent-Replayed": "true"}
        return Response(before.body, status_code=before.status, media_type=before.media_type, headers=headers)
    kept: KeptAnswer | None = None
    try:
        response = await work()
        if response.status_code < 500:
            kept = KeptAnswer(response.status_code, response.headers.get("content-type", ""), bytes(response.body))
        return response
    finally:
        await run_sync(_end, service, client, key, kept)


async def _fingerprint(request: Request) -> str:
    digest = hashlib.sha256()
    head = (request.method, request.url.path, request.url.query, request.headers.get("content-type", ""))
    for part in (*(text.encode() for text in head), await request.body()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


def _begin(service: Service, client: str, key: str, fingerprint: str) -> Any:
    with service.database.writing() as session:
        return begin(session, client, key, fingerprint, at=utc_now())


def _end(service: Service, client: str, key: str, answer: KeptAnswer | None) -> None:
    with service.database.writing() as session:
        if answer is None:
            release(session, client, key)
        else:
            keep(session, client, key, answer)


def _tagged(response: Response, request: Request) -> Response:
    """Return an answer with its ETag, or a 304 when the caller has it already."""
    if response.status_code != 200 or not hasattr(response, "body") or "etag" in response.headers:
        return response
    tag = hashlib.sha256(bytes(response.body)).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": response.headers.get("cache-control", "private, no-cache")}
    wanted = request.headers.get("if-none-match", "")
    if wanted.strip() == "*" or tag in re.findall(r'"([^"]*)"', wanted):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response
