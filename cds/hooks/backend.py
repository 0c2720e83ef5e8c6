"""SMART Backend Services as a client: a token of our own where a hook brings none, for configured FHIR servers.

Client credentials with a signed assertion (private_key_jwt, ES384 or RS384). A token is kept in memory until shortly
before it expires, and is never logged. Where none can be had, prefetch is fetched without one, and fails as it would.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from pydantic_core import from_json

from cds.errors import ConfigurationError
from cds.hooks.addresses import Pinned
from cds.hooks.errors import AddressRefusedError
from cds.operating.logs import logger
from cds.settings import Settings

_DISCOVERY = "/.well-known/smart-configuration"
SCOPE = "system/*.rs"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE_SECONDS = 240
_EARLY_SECONDS = 30
_RETRY_SECONDS = 30.0
_MOST_BYTES = 64 * 1024
_NO_TOKEN = (AddressRefusedError, httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, KeyError, TypeError)
_log = logger(__name__)

Pin = Callable[[str], Awaitable[Pinned]]


@dataclass(frozen=True)
class _Kept:
    token: str | None
    until: float


class ClientKey:
    """Our private key, from a file with one JWK: EC on P-384 or RSA. Raises ConfigurationError."""

    def __init__(self, file: Path) -> None:
        try:
            entry = json.loads(file.read_text(encoding="utf-8"))
            kind: Any = {"EC": ECKey, "RSA": RSAKey}[entry["kty"]]
            self._key: Any = kind.import_key(entry)
            self.kid = str(entry["kid"])
        except (OSError, ValueError, KeyError, TypeError, JoseError):
            raise ConfigurationError(f"fhir_client_key {file}: not a private JWK with kid (EC P-384 or RSA)") from None
        if not self._key.is_private or entry.get("crv", "P-384") != "P-384":
            raise ConfigurationError(f"fhir_client_key {file}: needs a private key, EC on P-384 or RSA")
        self.algorithm = "ES384" if entry["kty"] == "EC" else "RS384"

    def public_set(self) -> dict[str, Any]:
        """Return the key set that FHIR servers register for us."""
        public = self._key.as_dict(private=False)
        return {"keys": [{**public, "kid": self.kid, "use": "sig", "alg": self.algorithm}]}

    def assertion(self, client_id: str, audience: str) -> str:
        """Return the signed assertion of one token request."""
        now = int(time.time())
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": now,
            "exp": now + _LIFE_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}
        return jws.serialize_compact(header, json.dumps(claims), self._key, algorithms=[self.algorithm])


def client_key(settings: Settings) -> ClientKey | None:
    """Return our key; None where no FHIR server knows us. Raises ConfigurationError."""
    if settings.fhir_clients and settings.fhir_client_key is None:
        raise ConfigurationError("fhir_clients: fhir_client_key is not set, so nothing can be signed")
    return ClientKey(settings.fhir_client_key) if settings.fhir_client_key is not None else None


class BackendTokens:
    """Tokens of the FHIR servers at which we are registered.

    clients  base URL of a FHIR server -> our client id there
    clock    monotonic seconds
    """

    def __init__(self, clients: Mapping[str, str], key: ClientKey, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients = {base.rstrip("/"): client for base, client in clients.items()}
        self._key = key
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def token(self, server: str, client: httpx.AsyncClient, pin: Pin) -> str | None:
        """Return a token for a FHIR server; None where we are not registered or none can be had.

        pin  checks an address before it is called, as `cds.hooks.addresses` does
        """
        base = server.rstrip("/")
        if base not in self._clients:
            return None
        async with self._locks.setdefault(base, asyncio.Lock()):
            kept = self._kept.get(base)
            if kept is None or self._clock() >= kept.until:
                self._kept[base] = kept = await self._asked(base, client, pin)
        return kept.token

    async def _asked(self, base: str, client: httpx.AsyncClient, pin: Pin) -> _Kept:
        try:
            found = await _json(client, (await pin(base)).request(client, httpx.URL(f"{base}{_DISCOVERY}"), {}))
            endpoint = str(found["token_endpoint"])
            form = {
                "grant_type": "client_credentials",
                "scope": SCOPE,
                "client_assertion_type": _ASSERTION,
                "client_assertion": self._key.assertion(self._clients[base], endpoint),
            }
            answer = await _json(client, (await pin(endpoint)).post(client, httpx.URL(endpoint), form))
            token, lives = answer["access_token"], float(answer.get("expires_in", 300))
            if not isinstance(token, str) or str(answer.get("token_type", "")).lower() != "bearer":
                raise ValueError("no bearer token")
        except _NO_TOKEN as error:
            _log.warning("no token of a FHIR server", error_type=type(error).__name__)
            return _Kept(None, self._clock() + _RETRY_SECONDS)
        return _Kept(token, self._clock() + max(0.0, lives - _EARLY_SECONDS))


async def _json(client: httpx.AsyncClient, request: httpx.Request) -> dict[str, Any]:
    response = await client.send(request, stream=True)
    try:
        body = b""
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MOST_BYTES:
                raise ValueError("too large")
    finally:
        await response.aclose()
    document = from_json(body)
    if response.status_code != httpx.codes.OK or not isinstance(document, dict):
        raise ValueError("refused")
    return document
