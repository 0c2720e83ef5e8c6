"""Client JWTs of CDS Hooks ("Trusting CDS Clients"): ES384 and RS384, for the endpoint called, used once.

Everything that is wrong with a token ends in the same TokenError; its code is for the log and never leaves.
"""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import anyio.to_thread
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode
from pydantic_core import from_json
from sqlalchemy.exc import IntegrityError

from cds.hooks.errors import TokenError
from cds.hooks.keysets import KeySets
from cds.store import Database
from cds.store.cards import forget_tokens, keep_token

ALGORITHMS = ("ES384", "RS384")
SKEW_SECONDS = 30
LONGEST_LIFE_SECONDS = 3600
_LONGEST_TOKEN = 8192
_LONGEST_ID = 255
_REMEMBERED_SECONDS = 3600  # after a token has expired
_FORGETS_EVERY_SECONDS = 60
_PATIENCE_MS = 1_000


class TokenVerifier:
    """Checks the Authorization header of calls of /cds-services.

    issuers   issuer -> address of its key set, as configured; a `jku` in a token may repeat it and nothing else
    base_url  what clients call us, the start of every audience
    clock, steady  seconds of the wall clock, which may jump, and of one that never does
    """

    def __init__(
        self,
        issuers: dict[str, str],
        base_url: str,
        database: Callable[[], Database],
        keysets: KeySets | None = None,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = issuers
        self._base_url = base_url
        self._database = database
        self._keysets = keysets or KeySets(issuers)
        self._clock = clock
        self._steady = steady
        self._offset, self._forgets_at = clock() - steady(), steady() + _REMEMBERED_SECONDS

    async def issuer_of(self, authorization: str | None, path: str) -> str | None:
        """Return who calls `path`; None where no issuer is configured and the service is open.

        Raises TokenError.
        """
        if not self._issuers:
            return None
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenError("token_absent")
        header, claims = unverified(token.strip())
        issuer, algorithm = self._checked_header(header, claims)
        key = await self._keysets.key(issuer, header["kid"], algorithm)
        if key is None:
            raise TokenError("key_unknown")
        try:
            jws.deserialize_compact(token.strip(), key, algorithms=[algorithm])
        except (JoseError, ValueError):
            raise TokenError("signature_wrong") from None
        self._check_claims(claims, path)
        await anyio.to_thread.run_sync(self._use_once, issuer, claims["jti"], claims["exp"])
        return issuer

    def _checked_header(self, header: dict[str, Any], claims: dict[str, Any]) -> tuple[str, str]:
        algorithm, issuer = header.get("alg"), claims.get("iss")
        if algorithm not in ALGORITHMS:
            raise TokenError("algorithm_refused")
        if header.get("typ") != "JWT" or not isinstance(header.get("kid"), str) or "crit" in header:
            raise TokenError("header_wrong")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise TokenError("issuer_unknown")
        if "jku" in header and header["jku"] != self._issuers[issuer]:
            raise TokenError("jku_refused")
        return issuer, algorithm

    def _check_claims(self, claims: dict[str, Any], path: str) -> None:
        now = self._clock()
        audience, jti = claims.get("aud"), claims.get("jti")
        if f"{self._base_url}{path}" not in (audience if isinstance(audience, list) else [audience]):
            raise TokenError("audience_wrong")
        if not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_ID:
            raise TokenError("jti_wrong")
        expires, issued, earliest = (moment(claims, name) for name in ("exp", "iat", "nbf"))
        if expires is None or issued is None or (earliest is None and "nbf" in claims):
            raise TokenError("times_absent")
        if now >= expires + SKEW_SECONDS:
            raise TokenError("expired")
        if issued > now + SKEW_SECONDS or (earliest or 0) > now + SKEW_SECONDS:
            raise TokenError("not_yet_valid")
        if expires > now + LONGEST_LIFE_SECONDS + SKEW_SECONDS:
            raise TokenError("life_too_long")

    def _use_once(self, issuer: str, jti: str, expires: float) -> None:
        expires_at, before = datetime.fromtimestamp(expires + SKEW_SECONDS, UTC), self._forgettable()
        try:
            with self._database().writing(patience_ms=_PATIENCE_MS) as session:
                kept = keep_token(session, issuer, jti, expires_at=expires_at)
                if before is not None:
                    forget_tokens(session, before=before)
        except IntegrityError:
            raise TokenError("replayed") from None
        if not kept:
            raise TokenError("forgotten")

    def _forgettable(self) -> datetime | None:
        """Return the time before which tokens expired that may be forgotten now.

        None when it is not time for it, or the wall clock has jumped in the last hour: a clock that comes back must
        find the tokens of before.
        """
        now, steady = self._clock(), self._steady()
        if abs(now - steady - self._offset) > SKEW_SECONDS:
            self._offset, self._forgets_at = now - steady, steady + _REMEMBERED_SECONDS
        if steady < self._forgets_at:
            return None
        self._forgets_at = steady + _FORGETS_EVERY_SECONDS
        return datetime.fromtimestamp(now - _REMEMBERED_SECONDS, UTC)


def unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims as they stand in the token, before anything of them is believed."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > _LONGEST_TOKEN:
        raise TokenError("token_malformed")
    try:
        header, claims = (from_json(urlsafe_b64decode(part.encode("ascii"))) for part in parts[:2])
    except (ValueError, binascii.Error):
        raise TokenError("token_malformed") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise TokenError("token_malformed")
    return header, claims


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time claim in seconds; None where it is absent or no time."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e11 else None
