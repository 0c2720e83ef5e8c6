"""Who may call REST and the pages, and in which roles: clients with a configured key, and people with an OIDC token.

A key comes as `Authorization: Bearer <key>`, or from a browser as HTTP Basic with the client's name and its key; a
token comes as Bearer. Without keys and issuers the service is open, and `cds serve` then refuses to listen beyond
loopback.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass

from fastapi import HTTPException, Request

from cds.api.oidc import OidcVerifier
from cds.audit import note_access
from cds.hooks.errors import TokenError
from cds.operating.logs import logger
from cds.roles import EVERY_ROLE, Role, needed, permits, roles_with
from cds.settings import Settings

ANYONE = "anyone"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Roentgen CDS", charset="UTF-8"'}
_log = logger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who a request was let in for."""

    name: str
    roles: frozenset[Role]


class ClientAccess:
    """A FastAPI dependency that returns the caller's name, or answers 401 or 403."""

    def __init__(self, settings: Settings, oidc: OidcVerifier | None = None) -> None:
        self._keys = {name: key.get_secret_value().encode() for name, key in settings.api_keys.items()}
        self._roles = {name: frozenset(roles) for name, roles in settings.api_roles.items()}
        self._oidc = oidc or OidcVerifier(settings)
        self._clinicians_judge = settings.clinicians_judge

    async def __call__(self, request: Request) -> str:
        caller = await self._caller(request)
        roles = ",".join(sorted(caller.roles)) or None
        if caller.name != ANYONE:
            request.state.client = caller.name
            note_access(client=caller.name, role=roles)
        permission = needed(request.method, request.scope["route"].path)
        if not permits(caller.roles, permission, clinicians_judge=self._clinicians_judge):
            may = " or ".join(roles_with(permission)) if permission else "any"
            raise HTTPException(403, f"this needs the role {may}")
        return caller.name

    async def _caller(self, request: Request) -> Caller:
        if not self._keys and not self._oidc.is_configured:
            return Caller(ANYONE, EVERY_ROLE)
        claimed, given = _credentials(request.headers.get("authorization", ""))
        matched = [name for name, key in self._keys.items() if hmac.compare_digest(key, given)]
        if matched and claimed in (None, matched[0]):
            return Caller(matched[0], self._roles.get(matched[0], frozenset()) if self._roles else EVERY_ROLE)
        if claimed is None and given.count(b".") == 2 and self._oidc.is_configured:
            try:
                name, roles = await self._oidc.verified(given.decode("ascii", "replace"))
            except TokenError as error:
                _log.warning("token refused", code=error.code)
            else:
                return Caller(name, roles)
        raise HTTPException(401, headers=_CHALLENGE)


def client_of(request: Request) -> str:
    """Return the name of the client that a request was let in for; `anyone` where no keys are configured."""
    return str(getattr(request.state, "client", ANYONE))


def _credentials(header: str) -> tuple[str | None, bytes]:
    """Return the name, where the scheme carries one, and the key of an Authorization header."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() == "bearer":
        return None, credentials.strip().encode()
    if scheme.lower() == "basic":
        try:
            name, _, key = base64.b64decode(credentials, validate=True).partition(b":")
            return name.decode("utf-8", "replace"), key
        except (binascii.Error, ValueError):
            return "", b""
    return None, b""
