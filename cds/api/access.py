"""Who may call /api/v1 and the pages: clients with a configured key.

A key comes as `Authorization: Bearer <key>`, or from a browser as HTTP Basic with the client's name and its key.
Without configured keys the service is open, and `cds serve` then refuses to listen beyond loopback.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping

from fastapi import HTTPException, Request
from pydantic import SecretStr

from cds.audit import note_access

ANYONE = "anyone"
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Roentgen CDS", charset="UTF-8"'}


class KeyAccess:
    """A FastAPI dependency that returns the client's name or answers 401."""

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = {name: key.get_secret_value().encode() for name, key in keys.items()}

    async def __call__(self, request: Request) -> str:
        if not self._keys:
            return ANYONE
        claimed, given = _credentials(request.headers.get("authorization", ""))
        matched = [name for name, key in self._keys.items() if hmac.compare_digest(key, given)]
        if not matched or claimed not in (None, matched[0]):
            raise HTTPException(401, headers=_CHALLENGE)
        request.state.client = matched[0]
        note_access(client=matched[0])
        return matched[0]


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
