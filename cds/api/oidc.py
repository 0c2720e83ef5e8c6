"""Tokens of an OpenID provider, for people and clients of REST and the pages: who they are and in which roles.

Everything that is wrong with a token ends in TokenError; its code is for the log and never leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from cds.hooks.errors import TokenError
from cds.hooks.keysets import KeySets
from cds.hooks.tokens import SKEW_SECONDS, moment, unverified
from cds.roles import ROLES, Role
from cds.settings import Settings

ALGORITHMS = ("RS256", "RS384", "ES256", "ES384")
_TYPES = ("JWT", "at+jwt", None)
_LONGEST_NAME = 255


class OidcVerifier:
    """Checks bearer tokens against the issuers that are allowed."""

    def __init__(
        self, settings: Settings, keysets: KeySets | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = settings.oidc_issuers
        self._audience = settings.oidc_audience or settings.base_url
        self._claim = settings.oidc_roles_claim
        self._names: Mapping[str, Role] = settings.oidc_roles or {role: role for role in ROLES}
        self._keysets = keysets or KeySets(settings.oidc_issuers)
        self._clock = clock

    @property
    def is_configured(self) -> bool:
        """Whether any issuer is allowed."""
        return bool(self._issuers)

    async def verified(self, token: str) -> tuple[str, frozenset[Role]]:
        """Return who a token is of, "subject at issuer", and their roles. Raises TokenError."""
        header, claims = unverified(token)
        issuer, algorithm, kid = claims.get("iss"), header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenError("algorithm_refused")
        if header.get("typ") not in _TYPES or not isinstance(kid, str) or "crit" in header:
            raise TokenError("header_wrong")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            raise TokenError("issuer_unknown")
        key = await self._keysets.key(issuer, kid, str(algorithm))
        if key is None:
            raise TokenError("key_unknown")
        try:
            jws.deserialize_compact(token, key, algorithms=[str(algorithm)])
        except (JoseError, ValueError):
            raise TokenError("signature_wrong") from None
        self._check(claims)
        return f"{claims['sub']} at {issuer}", self._roles(claims)

    def _check(self, claims: Mapping[str, Any]) -> None:
        now, audience, subject = self._clock(), claims.get("aud"), claims.get("sub")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise TokenError("audience_wrong")
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_NAME:
            raise TokenError("subject_wrong")
        expires, earliest = moment(claims, "exp"), moment(claims, "nbf")
        if expires is None or (earliest is None and "nbf" in claims):
            raise TokenError("times_absent")
        if now >= expires + SKEW_SECONDS:
            raise TokenError("expired")
        if (earliest or 0) > now + SKEW_SECONDS:
            raise TokenError("not_yet_valid")

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        found: Any = claims
        for part in self._claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        named = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        return frozenset(self._names[name] for name in named if isinstance(name, str) and name in self._names)
