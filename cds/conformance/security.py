"""Items 4 and 35 to 41: whom a server lets in. Most of it needs credentials that the server knows."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc.jwk import ECKey

from cds.conformance.model import CannotSeeError, check
from cds.conformance.target import Credentials, Target

_PATH = "/cds-services"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@check(4, "M", "the server is reached over TLS (or on loopback)")
def tls_is_used(target: Target) -> Iterator[str]:
    address = urlsplit(target.url)
    if address.scheme != "https" and address.hostname not in _LOOPBACK:
        yield f"{address.scheme} on {address.hostname}"


@check(35, "S", "discovery, services and feedback want a token")
def every_endpoint_wants_a_token(target: Target) -> Iterator[str]:
    _credentials(target)
    path, request = target.example()
    calls = [
        ("discovery", target.get(_PATH, token="")),
        ("service", target.post(path, request, token="")),
        ("feedback", target.post(f"{path}/feedback", {"feedback": []}, token="")),
    ]
    yield from (f"{name}: {r.status_code}" for name, r in calls if r.status_code != httpx.codes.UNAUTHORIZED)


@check(36, "M", "tokens without a claim or header field, or for another audience, are refused")
def tokens_are_complete(target: Target) -> Iterator[str]:
    known = _credentials(target)
    audience = target.url + _PATH
    for claim in ("iss", "aud", "exp", "iat", "jti"):
        yield from _let_in(target, known.token(audience, **{claim: None}), f"without {claim}")
    yield from _let_in(target, known.token(audience, header={"kid": None}), "without kid")
    yield from _let_in(target, known.token("https://other.example/cds-services"), "for another audience")
    yield from _let_in(target, known.token(f"{audience}/x"), "for another endpoint")
    yield from _let_in(target, known.token(audience, exp=int(time.time()) - 600), "expired")
    yield from _let_in(target, known.token(audience, iat=int(time.time()) + 6000), "from the future")


@check(36, "M", "an audience may stand alone or in a list")
def audiences_may_be_lists(target: Target) -> Iterator[str]:
    known = _credentials(target)
    for text, audience in (("alone", target.url + _PATH), ("in a list", ["https://x.example", target.url + _PATH])):
        response = target.get(_PATH, token=known.token("", aud=audience))
        if response.status_code != httpx.codes.OK:
            yield f"{text}: {response.status_code}"


@check(37, "M", "unsigned tokens and those of shared secrets are refused")
def weak_algorithms_are_refused(target: Target) -> Iterator[str]:
    known = _credentials(target)
    public = ECKey.import_key(known.key).as_dict(private=False) if known.key.get("kty") == "EC" else known.key
    for algorithm in ("none", "NONE"):
        yield from _let_in(target, _forged(target, known, algorithm, None), f"alg {algorithm}")
    secret = json.dumps(public, sort_keys=True).encode()
    yield from _let_in(target, _forged(target, known, "HS256", secret), "alg HS256 with the public key")
    yield from _let_in(target, _forged(target, known, "HS256", b"secret"), "alg HS256")


@check(37, "M", "a signature by another key is refused")
def signatures_are_checked(target: Target) -> Iterator[str]:
    known = _credentials(target)
    stranger = ECKey.generate_key("P-384", {"kid": str(known.key.get("kid"))})
    forged = Credentials(known.issuer, dict(stranger.as_dict(private=True)))
    yield from _let_in(target, forged.token(target.url + _PATH), "by a stranger with the same kid")


@check(38, "S", "unknown issuers and foreign key addresses are refused")
def issuers_are_listed(target: Target) -> Iterator[str]:
    known = _credentials(target)
    audience = target.url + _PATH
    yield from _let_in(target, known.token(audience, iss="https://stranger.example"), "issuer stranger.example")
    foreign = {"jku": "https://stranger.example/jwks"}
    yield from _let_in(target, known.token(audience, header=foreign), "jku stranger.example")


@check(39, "S", "a token is good for one call")
def tokens_are_used_once(target: Target) -> Iterator[str]:
    token = _credentials(target).token(target.url + _PATH)
    if target.get(_PATH, token=token).status_code == httpx.codes.OK:
        yield from _let_in(target, token, "the second time")


@check(40, "S", "a bad token gets a bare 401")
def refusals_are_bare(target: Target) -> Iterator[str]:
    _credentials(target)
    response = target.get(_PATH, token=".".join("abc"))
    if response.status_code != httpx.codes.UNAUTHORIZED:
        yield f"status {response.status_code}"
    elif len(response.content) > 64:
        yield f"{len(response.content)} bytes of body"


@check(41, "S", "browsers of unlisted origins are not let in")
def origins_are_listed(target: Target) -> Iterator[str]:
    headers = {"Origin": "https://stranger.example", "Access-Control-Request-Method": "POST"}
    response = target.client.options(target.url + _PATH, headers=headers)
    allowed = response.headers.get("access-control-allow-origin")
    if allowed in ("*", "https://stranger.example"):
        yield f"access-control-allow-origin: {allowed}"


def _credentials(target: Target) -> Credentials:
    if target.credentials is None:
        raise CannotSeeError("give an issuer and a key that the server knows")
    if target.discovery.status_code != httpx.codes.OK:
        raise CannotSeeError(f"a good token was answered with {target.discovery.status_code}")
    return target.credentials


def _let_in(target: Target, token: str, text: str) -> Iterator[str]:
    response = target.get(_PATH, token=token)
    if response.status_code != httpx.codes.UNAUTHORIZED:
        yield f"{text}: {response.status_code}"


def _forged(target: Target, known: Credentials, algorithm: str, secret: bytes | None) -> str:
    now = int(time.time())
    claims = {
        "iss": known.issuer,
        "aud": target.url + _PATH,
        "iat": now,
        "exp": now + 120,
        "jti": str(uuid.uuid4()),
    }
    signed = f"{_part({'alg': algorithm, 'typ': 'JWT', 'kid': known.key.get('kid')})}.{_part(claims)}"
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{signed}.{_encoded(mac)}"


def _part(content: dict[str, Any]) -> str:
    return _encoded(json.dumps(content).encode())


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
