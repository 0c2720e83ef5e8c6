"""The key sets of registered issuers, from the addresses an operator configured and from nowhere else.

Kept for an hour; an unknown key id makes one early refresh a minute, so keys can rotate and nobody can make us
fetch at will.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode
from pydantic_core import from_json

from cds.operating.logs import logger

MAX_AGE_SECONDS = 3600.0
RETRY_SECONDS = 60.0
_FETCH_SECONDS = 3.0
_MAX_BYTES = 256 * 1024
_FEWEST_RSA_BITS = 2048
_CURVES = {"ES384": "P-384", "ES256": "P-256"}
_RSA = ("RS384", "RS256")
_log = logger(__name__)

PublicKey = ECKey | RSAKey


@dataclass
class _Kept:
    keys: list[PublicKey]
    loaded: float
    tried: float


class KeySets:
    """Public keys by issuer and key id.

    sources    issuer -> address (https of an authority that this machine trusts, or http on loopback) or file of its
               key set
    transport  of httpx, for tests
    clock      monotonic seconds
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._transport = transport
        self._tls = ssl.create_default_context()
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def key(self, issuer: str, kid: str, algorithm: str) -> PublicKey | None:
        """Return the issuer's key with this id that is made for this algorithm, or None."""
        kept = self._kept.get(issuer)
        found = _find(kept, kid, algorithm)
        if kept is None or self._is_due(kept, found is not None):
            lock = self._locks.setdefault(issuer, asyncio.Lock())
            async with lock:
                await self._refresh(issuer, found is not None)
            found = _find(self._kept.get(issuer), kid, algorithm)
        return found

    def _is_due(self, kept: _Kept, found: bool) -> bool:
        now = self._clock()
        stale = now - kept.loaded > MAX_AGE_SECONDS
        return (stale or not found) and now - kept.tried > RETRY_SECONDS

    async def _refresh(self, issuer: str, found: bool) -> None:
        kept = self._kept.get(issuer)
        if kept is not None and not self._is_due(kept, found):
            return
        now = self._clock()
        try:
            keys = public_keys(await self._document(self._sources[issuer]))
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            _log.error("key set not loaded", error_type=type(error).__name__)
            self._kept[issuer] = _Kept(kept.keys if kept else [], kept.loaded if kept else now, now)
        else:
            self._kept[issuer] = _Kept(keys, now, now)

    async def _document(self, source: str) -> Any:
        address = urlsplit(source)
        if address.scheme not in ("http", "https"):
            path = Path(address.path if address.scheme == "file" else source)
            return from_json(await anyio.to_thread.run_sync(path.read_bytes))
        if address.scheme == "http" and not _on_loopback(address.hostname):
            raise ValueError("a key set beyond loopback needs https")
        async with (
            httpx.AsyncClient(
                transport=self._transport, verify=self._tls, timeout=_FETCH_SECONDS, trust_env=False
            ) as client,
            client.stream("GET", source, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise ValueError("the address of the key set did not answer 200")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise ValueError("the key set is too large")
        return from_json(body)


def public_keys(document: Any) -> list[PublicKey]:
    """Return the keys of a JWK set that can verify ES384, ES256, RS384 or RS256; others are passed over."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("not a key set")
    return [key for entry in listed if isinstance(entry, dict) and (key := _public_key(entry)) is not None]


def _public_key(entry: dict[str, Any]) -> PublicKey | None:
    usable = entry.get("use", "sig") == "sig" and isinstance(entry.get("kid"), str)
    try:
        if usable and entry.get("kty") == "EC" and entry.get("crv") in _CURVES.values():
            return ECKey.import_key({name: entry[name] for name in ("kty", "crv", "x", "y", "kid")})
        if usable and entry.get("kty") == "RSA" and _bits(entry["n"]) >= _FEWEST_RSA_BITS:
            return RSAKey.import_key({name: entry[name] for name in ("kty", "n", "e", "kid")})
    except (AttributeError, JoseError, KeyError, TypeError, ValueError):
        return None
    return None


def _bits(modulus: str) -> int:
    return int.from_bytes(urlsafe_b64decode(modulus.encode("ascii")), "big").bit_length()


def _find(kept: _Kept | None, kid: str, algorithm: str) -> PublicKey | None:
    matching = [key for key in (kept.keys if kept else ()) if key.kid == kid and _is_for(key, algorithm)]
    return matching[0] if len(matching) == 1 else None


def _is_for(key: PublicKey, algorithm: str) -> bool:
    if isinstance(key, ECKey):
        return key.curve_name == _CURVES.get(algorithm)
    return algorithm in _RSA


def _on_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
