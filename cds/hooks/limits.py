"""Limits on what a body may cost: its bytes, and how deep its JSON is nested, before anything parses it."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds.fhir import Issue, operation_outcome

MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
_FHIR_PATHS = ("/cds-services", "/fhir")
_ALL_BUT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_CLOSE = ((b"connection", b"close"),)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class BodyLimitMiddleware:
    """Refuses bodies that are too large with 413, and JSON that is nested too deep with 400.

    max_bytes  largest body of any kind; JSON may have at most `max_json_bytes` of them
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_json_bytes: int = MAX_JSON_BYTES,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_json_bytes = min(max_bytes, max_json_bytes)
        self._max_depth = max_depth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        is_json = b"json" in headers.get(b"content-type", b"json")
        limit = self._max_json_bytes if is_json else self._max_bytes
        body = await _read(receive, headers.get(b"content-length", b""), limit)
        if body is None:
            await refuse(scope, send, 413, "too-long", f"the body is larger than {limit} bytes", _CLOSE)
        elif is_json and not nests_within(body, self._max_depth):
            await refuse(
                scope, send, 400, "structure", f"the JSON is nested deeper than {self._max_depth} levels", _CLOSE
            )
        else:
            await self._app(scope, _Replay(body, receive), send)


def nests_within(body: bytes, limit: int) -> bool:
    """Whether arrays and objects of a JSON text are nested at most `limit` deep; text in quotes does not count."""
    if b"\\" in body:
        body = re.sub(rb"\\.", b"", body, flags=re.DOTALL)
    structure = body.translate(None, _ALL_BUT_STRUCTURE).replace(b'""', b"")
    structure = re.sub(rb'"[^"]*"?', b"", structure).translate(_ONE_KIND)
    for _ in range(limit):
        shallower = structure.replace(b"[]", b"")
        if shallower == structure:
            break
        structure = shallower
    return structure.count(b"[") <= limit and b"[]" not in structure


class _Replay:
    """Hands a body that was read on to the application, then whatever the connection says."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._message: Message | None = {"type": "http.request", "body": body, "more_body": False}
        self._receive = receive

    async def __call__(self) -> MutableMapping[str, Any]:
        message, self._message = self._message, None
        return message if message is not None else await self._receive()


async def _read(receive: Receive, declared: bytes, limit: int) -> bytes | None:
    if declared.isdigit() and int(declared[:20]) > limit:
        return None
    chunks, size = [], 0
    while True:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(chunks)


async def refuse(
    scope: Scope, send: Send, status: int, code: str, reason: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer before the application does: an OperationOutcome where FHIR is spoken, else problem details."""
    if scope["path"].startswith(_FHIR_PATHS):
        body, kind = to_json(operation_outcome([Issue(code, reason)])), b"application/json"
    else:
        problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": reason}
        body, kind = to_json(problem), b"application/problem+json"
    told = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
