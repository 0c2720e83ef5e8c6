"""Who may call REST and the pages, and in which roles: clients with a key or a token, people who signed in.

A key comes as `Authorization: Bearer <key>`, or from a browser as HTTP Basic with the client's name and its key; a
token of an OpenID provider comes as Bearer; who signed in at one has a cookie. Without keys, issuers and provider the
service is open, and `cds serve` then refuses to listen beyond loopback.

What a browser sends by itself (Basic, cookie) proves nothing of the page that had it sent, so such a request may change
something only if the browser does not say that it came from a page of another origin.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from anyio.to_thread import run_sync
from fastapi import HTTPException, Request

from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.hooks.errors import TokenError
from cds.operating.logs import logger
from cds.roles import EVERY_ROLE, needed, permits, roles_with
from cds.settings import Settings
from cds.signin.cookies import SIGNED_IN
from cds.signin.sessions import BrowserSessions
from cds.signin.tokens import LONGEST_NAME, OidcVerifier, Person

ANYONE = "anyone"
_BASIC = {"WWW-Authenticate": 'Basic realm="Roentgen CDS", charset="UTF-8"'}
_BEARER = {"WWW-Authenticate": 'Bearer realm="Roentgen CDS"'}
_SAFE = ("GET", "HEAD", "OPTIONS")
_log = logger(__name__)


@dataclass(frozen=True)
class _Caller(Person):
    """Who a request was let in for.

    by_itself  whether the browser sent what proves it without being told by the page
    """

    by_itself: bool = False


class ClientAccess:
    """A FastAPI dependency that returns the caller's name, or answers 401 or 403."""

    def __init__(self, settings: Settings, sessions: BrowserSessions, oidc: OidcVerifier | None = None) -> None:
        self._keys = {name: key.get_secret_value().encode() for name, key in settings.api_keys.items()}
        self._roles = {name: frozenset(roles) for name, roles in settings.api_roles.items()}
        self._sessions = sessions
        self._oidc = oidc or OidcVerifier(settings)
        self._settings = settings
        self._challenge = _BEARER if settings.signin_issuer else _BASIC

    async def __call__(self, request: Request) -> str:
        caller = await self._caller(request)
        if caller.name != ANYONE:
            request.state.client = caller.name
            request.state.shown = caller.shown
            note_access(client=caller.name, role=",".join(sorted(caller.roles)) or None)
        if caller.by_itself and request.method not in _SAFE and self._is_foreign(request):
            raise HTTPException(403, "a page of another origin may change nothing here")
        permission = needed(request.method, request.scope["route"].path)
        if not permits(caller.roles, permission, clinicians_judge=self._settings.clinicians_judge):
            may = " or ".join(roles_with(permission)) if permission else "any"
            raise HTTPException(403, f"this needs the role {may}")
        return caller.name

    async def _caller(self, request: Request) -> _Caller:
        if not self._keys and not self._oidc.is_configured and self._settings.signin_issuer is None:
            return _Caller(ANYONE, None, EVERY_ROLE)
        header = request.headers.get("authorization")
        signed_in = await self._signed_in(request) if header is None else None
        if signed_in is not None:
            return signed_in
        claimed, given = _credentials(header or "")
        matched = [name for name, key in self._keys.items() if hmac.compare_digest(key, given)]
        if matched and claimed in (None, matched[0]):
            roles = self._roles.get(matched[0], frozenset()) if self._roles else EVERY_ROLE
            return _Caller(matched[0], None, roles, by_itself=claimed is not None)
        if claimed is None and given.count(b".") == 2 and self._oidc.is_configured:
            try:
                person = await self._oidc.verified(given.decode("ascii", "replace"))
            except TokenError as error:
                _log.warning("token refused", code=error.code)
            else:
                return _Caller(person.name, person.shown, person.roles)
        raise HTTPException(401, headers=self._challenge)

    async def _signed_in(self, request: Request) -> _Caller | None:
        token = SIGNED_IN.of(request, secure=self._settings.is_https)
        if not token or self._settings.signin_issuer is None:
            return None
        is_use = request.method not in _SAFE or wants_page(request)
        found = await run_sync(lambda: self._sessions.of(token, at=utc_now(), is_use=is_use))
        if found is None or found.case_id is not None:
            return None
        request.state.signed_in = found.shown or found.client
        return _Caller(found.client, found.shown, found.roles, by_itself=True)

    def _is_foreign(self, request: Request) -> bool:
        """Whether a browser says that a page of another origin sent a request: by Sec-Fetch-Site, else by Origin."""
        origin = request.headers.get("origin")
        if origin in self._settings.cors_origins:
            return False
        site = request.headers.get("sec-fetch-site")
        if site is not None:
            return site not in ("same-origin", "none")
        own = (request.headers.get("host"), urlsplit(self._settings.base_url).netloc)
        return origin is not None and urlsplit(origin).netloc not in own


def wants_page(request: Request) -> bool:
    """Whether a person opens a page; what its scripts ask for does not say that it wants one."""
    return "text/html" in request.headers.get("accept", "")


def client_of(request: Request) -> str:
    """Return the name of the client that a request was let in for; `anyone` where no keys are configured."""
    return str(getattr(request.state, "client", ANYONE))


def signature_of(request: Request) -> str:
    """Return what stands under a word that a caller gives: their name, and in brackets who proves it."""
    client, shown = client_of(request), getattr(request.state, "shown", None)
    room = LONGEST_NAME - len(client) - len(" ()")
    return f"{shown[:room]} ({client})" if shown and room > 0 else client


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
