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

_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Roentgen CDS", charset="UTF-8"'}


class KeyAccess:
    """A FastAPI dependency that returns the client's name or answers 401."""

    def __init__(self, keys: Mapping[str, SecretStr]) -> None:
        self._keys = {name: key.get_secret_value().encode() for name, key in keys.items()}

    async def __call__(self, request: Request) -> str:
        if not self._keys:
            return "anyone"
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        given = _basic_password(credentials) if scheme.lower() == "basic" else credentials.encode()
        matched = [name for name, key in self._keys.items() if hmac.compare_digest(key, given)]
        if not matched:
            raise HTTPException(401, headers=_CHALLENGE)
        return matched[0]


def _basic_password(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
