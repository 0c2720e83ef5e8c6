"""Tokens of OpenID providers: bearer tokens of clients of REST, ID tokens of people who sign in.

Everything that is wrong with a token ends in TokenError; its code is for the log and never leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import compare_digest
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from pydantic_core import from_json

from cds.hooks.errors import TokenError
from cds.hooks.keysets import KeySets
from cds.hooks.tokens import SKEW_SECONDS, moment
from cds.roles import ROLES, Role
from cds.settings import Settings

ALGORITHMS = ("RS256", "RS384", "ES256", "ES384")
LONGEST_NAME = 255
_TYPES = ("JWT", "at+jwt", None)
_LONGEST_BEARER, _LONGEST_ID_TOKEN = 8 * 1024, 64 * 1024
_OLDEST_SECONDS = 600
_LONGEST_SHOWN = 100
_Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """Who a token is of.

    name   "subject at issuer"
    shown  the name people know them by, where the token has one
    """

    name: str
    shown: str | None
    roles: frozenset[Role]


class OidcVerifier:
    """Checks bearer tokens against the issuers that are allowed."""

    def __init__(
        self, settings: Settings, keysets: KeySets | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._issuers = settings.oidc_issuers
        self._audience = settings.oidc_audience or settings.base_url
        self._keysets = keysets or KeySets(settings.oidc_issuers)
        self._clock = clock

    @property
    def is_configured(self) -> bool:
        """Whether any issuer is allowed."""
        return bool(self._issuers)

    async def verified(self, token: str) -> Person:
        """Return who a token is of. Raises TokenError."""
        if len(token) > _LONGEST_BEARER:
            raise TokenError("token_malformed")
        claims = await _signed(token, self._issuers, self._keysets)
        _check_for(self._audience, claims)
        _check_times(claims, self._clock())
        return _person(claims, self._settings)


async def signed_in(
    id_token: Any, *, nonce: str, issuer: str, settings: Settings, keysets: KeySets, now: float
) -> Person:
    """Return who an ID token is of, by the checks of OpenID Connect Core 3.1.3.7.

    nonce    what was sent when the browser went to the provider
    keysets  the keys of the issuer
    now      seconds of the wall clock

    Raises TokenError.
    """
    client = settings.signin_client_id
    if not isinstance(id_token, str) or len(id_token) > _LONGEST_ID_TOKEN or client is None:
        raise TokenError("token_malformed")
    claims = await _signed(id_token, (issuer,), keysets)
    _check_for(client, claims)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client:
        raise TokenError("party_wrong")
    repeated = claims.get("nonce")
    if not isinstance(repeated, str) or not compare_digest(repeated.encode(), nonce.encode()):
        raise TokenError("nonce_wrong")
    _check_times(claims, now)
    issued = moment(claims, "iat")
    if issued is None:
        raise TokenError("times_absent")
    if not now - _OLDEST_SECONDS <= issued <= now + SKEW_SECONDS:
        raise TokenError("not_fresh")
    return _person(claims, settings)


async def _signed(token: str, issuers: Any, keysets: KeySets) -> _Claims:
    """Return the claims of a token that one of the issuers signed."""
    try:
        signature = jws.extract_compact(token.encode("ascii"))
        header, claims = signature.headers(), from_json(signature.payload)
    except (JoseError, ValueError):
        raise TokenError("token_malformed") from None
    if not isinstance(claims, dict):
        raise TokenError("token_malformed")
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if algorithm not in ALGORITHMS:
        raise TokenError("algorithm_refused")
    if header.get("typ") not in _TYPES or not isinstance(kid, str) or "crit" in header:
        raise TokenError("header_wrong")
    if not isinstance(issuer, str) or issuer not in issuers:
        raise TokenError("issuer_unknown")
    key = await keysets.key(issuer, kid, str(algorithm))
    if key is None:
        raise TokenError("key_unknown")
    try:
        valid = jws.validate_compact(signature, key, algorithms=[str(algorithm)])
    except (JoseError, ValueError):
        valid = False
    if not valid:
        raise TokenError("signature_wrong")
    return claims


def _check_for(audience: str, claims: _Claims) -> None:
    named = claims.get("aud")
    if audience not in (named if isinstance(named, list) else [named]):
        raise TokenError("audience_wrong")


def _check_times(claims: _Claims, now: float) -> None:
    expires, earliest = moment(claims, "exp"), moment(claims, "nbf")
    if expires is None or (earliest is None and "nbf" in claims):
        raise TokenError("times_absent")
    if now >= expires + SKEW_SECONDS:
        raise TokenError("expired")
    if (earliest or 0) > now + SKEW_SECONDS:
        raise TokenError("not_yet_valid")


def _person(claims: _Claims, settings: Settings) -> Person:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not subject:
        raise TokenError("subject_wrong")
    name = f"{subject} at {claims['iss']}"
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise TokenError("subject_wrong")
    return Person(name, _shown(claims), _roles(claims, settings))


def _shown(claims: _Claims) -> str | None:
    for claim in ("name", "preferred_username"):
        value = claims.get(claim)
        if isinstance(value, str) and value.strip() and value.isprintable():
            return value.strip()[:_LONGEST_SHOWN]
    return None


def _roles(claims: _Claims, settings: Settings) -> frozenset[Role]:
    names: Mapping[str, Role] = settings.oidc_roles or {role: role for role in ROLES}
    found: Any = claims
    for part in settings.oidc_roles_claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    named = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(names[name] for name in named if isinstance(name, str) and name in names)
