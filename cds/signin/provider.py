"""Signing in and out at an OpenID provider: discovery, the code flow, and who its ID token is of.

Tokens of the provider are checked, read and dropped: a session of ours is all that is left. Knows no page and no route.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from anyio.to_thread import run_sync

from cds.audit import note_access
from cds.errors import AuthorizationError, ConfigurationError
from cds.hooks.errors import TokenError
from cds.hooks.keysets import KeySets
from cds.operating.logs import logger
from cds.settings import Settings
from cds.signin.codeflow import Back, Begun, CodeFlow, host_of, may_be_spoken_to
from cds.signin.sessions import BrowserSession, BrowserSessions
from cds.signin.tokens import Person, signed_in
from cds.store import Database

_KEPT_SECONDS = 3600.0
_log = logger(__name__)


@dataclass(frozen=True)
class Discovered:
    """What a provider says of itself (OpenID Connect Discovery 1.0).

    end_session      where a browser signs out of it; None when it does not offer that
    names_itself     whether it says who it is when it sends a browser back (RFC 9207)
    secret_by_post   whether it takes a client's secret in the form only
    """

    authorize: str
    token: str
    keys: str
    end_session: str | None
    names_itself: bool
    secret_by_post: bool


@dataclass(frozen=True)
class SignedIn:
    """A browser that was let in: the token of its session, and the page it came from."""

    token: str
    lives: timedelta
    return_to: str


class SignIn:
    """The provider of the setting `signin_issuer`, and who comes from there.

    steady  seconds that never jump
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        sessions: BrowserSessions,
        flow: CodeFlow,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._sessions = sessions
        self._flow = flow
        self._steady = steady
        self._kept: tuple[Discovered, KeySets, float] | None = None

    @property
    def is_configured(self) -> bool:
        """Whether people sign in at a provider."""
        return self._settings.signin_issuer is not None

    @property
    def place(self) -> str:
        """The host of the provider, for people."""
        return host_of(self._issuer)

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to; it has to be registered there."""
        return f"{self._settings.base_url}/signin/callback"

    @property
    def signed_out_uri(self) -> str:
        """Where it sends a browser that signed out; it has to be registered there."""
        return f"{self._settings.base_url}/signin"

    async def discovered(self) -> Discovered:
        """Return what the provider says of itself, no older than an hour. Raises AuthorizationError."""
        return (await self._known())[0]

    async def begin(self, return_to: str, *, at: datetime) -> Begun:
        """Return where to send a browser to sign in. Raises AuthorizationError."""
        found = await self.discovered()
        query = {
            "client_id": self._client,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self._settings.signin_scopes))),
        }
        return await self._flow.begin(
            self._issuer, authorize=found.authorize, token=found.token, query=query, return_to=return_to, at=at
        )

    async def finish(
        self, code: str | None, state: str, browser: str, issuer: str | None, *, before: str | None, at: datetime
    ) -> SignedIn:
        """Let a browser in that came back.

        code    what the provider gave; None when it did not let the person in
        issuer  who sends it back, where the answer says so
        before  token of the session that the browser had until now, which ends

        Raises AuthorizationError.
        """
        back = await self._flow.back(state, browser, at=at)
        found, keysets = await self._known()
        if back.issuer != self._issuer or issuer not in (self._issuer, *(() if found.names_itself else (None,))):
            raise AuthorizationError("issuer_other", "the answer is not of the provider that was asked")
        if code is None:
            raise AuthorizationError("not_let_in", "the provider did not let you in")
        answer = await self._redeemed(back, code, found)
        try:
            person = await signed_in(
                answer.get("id_token"),
                nonce=back.nonce,
                issuer=self._issuer,
                settings=self._settings,
                keysets=keysets,
                now=at.timestamp(),
            )
        except TokenError as error:
            raise AuthorizationError(error.code, "the provider's answer does not prove who you are") from None
        note_access(client=person.name, role=",".join(sorted(person.roles)) or None)
        if not person.roles:
            raise AuthorizationError(
                "no_role", "your account has no role here; whoever runs this service can give you one"
            )
        lives = timedelta(hours=self._settings.session_hours)
        return SignedIn(await run_sync(partial(self._opened, person, before, at, lives)), lives, back.return_to)

    async def left(self, token: str) -> str | None:
        """End a session, and return where the browser signs out of the provider too; None where it cannot."""
        await run_sync(self._sessions.end, token)
        try:
            end_session = (await self.discovered()).end_session
        except AuthorizationError as error:
            _log.warning("provider not reached, signed out here only", code=error.code)
            return None
        if end_session is None:
            return None
        query = urlencode({"client_id": self._client, "post_logout_redirect_uri": self.signed_out_uri})
        return f"{end_session}{'&' if '?' in end_session else '?'}{query}"

    def _opened(self, person: Person, before: str | None, at: datetime, lives: timedelta) -> str:
        who = BrowserSession(person.name, person.shown, person.roles, None)
        if before:
            self._sessions.end(before)
        with self._database.writing() as session:
            return self._sessions.open(session, who, at=at, lives=lives)

    async def _redeemed(self, back: Back, code: str, found: Discovered) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": back.verifier,
        }
        secret = await run_sync(client_secret, self._settings)
        if secret is None or found.secret_by_post:
            form |= {"client_id": self._client, **({"client_secret": secret} if secret else {})}
        by_header = (self._client, secret) if secret is not None and not found.secret_by_post else None
        url = back.token_endpoint
        return await self._flow.called(url, hosts=(host_of(url),), private=True, form=form, secret=by_header)

    async def _known(self) -> tuple[Discovered, KeySets]:
        if self._kept is None or self._steady() - self._kept[2] > _KEPT_SECONDS:
            found = await self._asked()
            same = self._kept is not None and self._kept[0].keys == found.keys
            keysets = self._kept[1] if self._kept is not None and same else KeySets({self._issuer: found.keys})
            self._kept = found, keysets, self._steady()
        return self._kept[:2]

    async def _asked(self) -> Discovered:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._flow.called(url, hosts=(host_of(url),), private=True)
        if document.get("issuer") != self._issuer:
            raise AuthorizationError("issuer_other", "the provider names another issuer than signin_issuer")
        endpoints = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        usable = [url for url in endpoints if isinstance(url, str) and may_be_spoken_to(url)]
        if len(usable) < len(endpoints):
            raise AuthorizationError("no_endpoint", "the provider names no endpoints that can be used")
        if "S256" not in _listed(document, "code_challenge_methods_supported", ("S256",)):
            raise AuthorizationError("no_pkce", "the provider does not offer PKCE with S256")
        end_session = document.get("end_session_endpoint")
        by = _listed(document, "token_endpoint_auth_methods_supported", ("client_secret_basic",))
        return Discovered(
            authorize=usable[0],
            token=usable[1],
            keys=usable[2],
            end_session=end_session if isinstance(end_session, str) and may_be_spoken_to(end_session) else None,
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            secret_by_post="client_secret_basic" not in by and "client_secret_post" in by,
        )

    @property
    def _issuer(self) -> str:
        return self._settings.signin_issuer or ""

    @property
    def _client(self) -> str:
        return self._settings.signin_client_id or ""


def client_secret(settings: Settings) -> str | None:
    """Return our secret at the provider, from its file; None for a client without one. Raises ConfigurationError."""
    file = settings.signin_client_secret_file
    if file is None:
        return None
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("signin_client_secret_file cannot be read") from None
    if not secret:
        raise ConfigurationError("signin_client_secret_file is empty")
    return secret


def _listed(document: dict[str, Any], name: str, default: tuple[str, ...]) -> tuple[Any, ...]:
    """Return a list of a discovery document; what the standard lets a provider leave out, by default."""
    value = document.get(name)
    return tuple(value) if isinstance(value, list) else default
