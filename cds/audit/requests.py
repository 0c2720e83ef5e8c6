"""One audit entry for each request that may touch patient data, on disk before the answer leaves.

Knows routes by their templates only; what a handler knows beyond that, it adds by `note_access`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from anyio.to_thread import run_sync
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds.audit.trail import Access, Action, AuditTrail, Outcome
from cds.errors import AuditError
from cds.hooks.limits import refuse
from cds.operating.logs import logger

_notes: ContextVar[dict[str, Any] | None] = ContextVar("audit_notes", default=None)
_METHODS: dict[str, Action] = {
    "GET": "read", "HEAD": "read", "POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete",
}  # fmt: skip
_NO_PATIENT_DATA = (
    "/static", "/health", "/metrics", "/docs", "/redoc", "/openapi.json", "/favicon.ico", "/fhir/metadata",
    "/.well-known", "/api/v1/models", "/api/v1/scores",
)  # fmt: skip
_DISCOVERY = "/cds-services"
_RETRY_AFTER = ((b"retry-after", b"5"),)
_UNAVAILABLE = "the audit trail cannot be written; nothing is answered without it, try again"
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_log = logger(__name__)


def note_access(
    *, patient: str | None = None, thing: str | None = None, user: str | None = None,
    client: str | None = None, role: str | None = None, action: Action | None = None,
) -> None:  # fmt: skip
    """Add to the entry of the request in hand what only its handler knows; see `Access` for what each is.

    Outside a request it does nothing.
    """
    notes = _notes.get()
    given = {"patient": patient, "thing": thing, "user": user, "client": client, "role": role, "action": action}
    if notes is not None:
        notes.update({name: value for name, value in given.items() if value is not None})


class AuditMiddleware:
    """Writes the entry of a request when its answer is ready; an answer that cannot be audited becomes a 503."""

    def __init__(self, app: ASGIApp, *, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_audited(scope):
            await self._app(scope, receive, send)
            return
        notes: dict[str, Any] = {}
        _notes.set(notes)
        refused = False

        async def audited(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                try:
                    await run_sync(self._trail.record, _access(scope, notes, int(message["status"])))
                except AuditError:
                    _log.error("request not audited, refused", route=_template(scope))
                    refused = True
                    await refuse(scope, send, 503, "transient", _UNAVAILABLE, _RETRY_AFTER)
            if not refused:
                await send(message)

        await self._app(scope, receive, audited)


def _is_audited(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] == "OPTIONS":
        return False
    path = scope["path"]
    return path != _DISCOVERY and not any(path == open_ or path.startswith(f"{open_}/") for open_ in _NO_PATIENT_DATA)


def _access(scope: Scope, notes: Mapping[str, Any], status: int) -> Access:
    return Access(
        client=notes.get("client", "anyone"),
        action=notes.get("action") or _METHODS.get(scope["method"], "execute"),
        what=f"{scope['method']} {_template(scope)}",
        outcome=_outcome(status),
        role=notes.get("role"),
        user=notes.get("user"),
        thing=notes.get("thing") or _thing(scope),
        patient=notes.get("patient"),
    )


def _template(scope: Scope) -> str:
    return str(getattr(scope.get("route"), "path", "unmatched"))


def _thing(scope: Scope) -> str | None:
    """Return the ids in the path; what is no id is left out, for anything may stand in a path."""
    values = scope.get("path_params", {}).values()
    return "/".join(value for value in values if isinstance(value, str) and _IDENTIFIER.fullmatch(value)) or None


def _outcome(status: int) -> Outcome:
    return "ok" if status < 400 else "refused" if status < 500 else "failed"
