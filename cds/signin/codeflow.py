"""To an authorization server and back: authorization code with PKCE (RFC 6749, RFC 7636).

A state is good for one answer, within ten minutes, from the browser that began. Knows neither patients nor roles.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from anyio.to_thread import run_sync
from pydantic_core import from_json
from sqlalchemy import delete

from cds.errors import AuthorizationError
from cds.hooks.addresses import pin, port_of
from cds.hooks.errors import AddressRefusedError
from cds.store import Database
from cds.store.browser_tables import CodeRequestRow

LIVES = timedelta(minutes=10)
_SECONDS = 5.0
_MOST_BYTES = 256 * 1024
_ON_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Begun:
    """A browser that is to be sent away: where to, and the secret it keeps meanwhile."""

    redirect: str
    browser: str


@dataclass(frozen=True)
class Back:
    """What was kept of a browser that came back."""

    issuer: str
    token_endpoint: str
    verifier: str
    nonce: str
    return_to: str


class CodeFlow:
    """Requests for codes, and the calls that redeem them.

    transport  of httpx, for tests
    """

    def __init__(self, database: Database, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._database = database
        self._transport = transport
        self._tls = ssl.create_default_context()

    async def begin(
        self, issuer: str, *, authorize: str, token: str, query: Mapping[str, str], return_to: str = "/", at: datetime
    ) -> Begun:
        """Return where to send a browser for a code.

        authorize, token  the two endpoints of the server
        query             what is asked for, beside state, challenge and nonce

        Raises AuthorizationError.
        """
        if not token or not may_be_spoken_to(authorize):
            raise AuthorizationError("no_endpoint", "the server names no authorization and token endpoint to be used")
        state, browser, verifier, nonce = (secrets.token_urlsafe(32) for _ in range(4))
        row = CodeRequestRow(
            state=digest(state),
            browser=digest(browser),
            issuer=issuer,
            token_endpoint=token,
            verifier=verifier,
            nonce=nonce,
            return_to=return_to,
            begun_at=at,
        )
        await run_sync(self._keep, row)
        sent = {
            "response_type": "code",
            **query,
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        return Begun(f"{authorize}{'&' if '?' in authorize else '?'}{urlencode(sent)}", browser)

    async def back(self, state: str, browser: str, *, at: datetime) -> Back:
        """Return what was kept of a browser that came back, once. Raises AuthorizationError."""
        row = await run_sync(self._taken, state)
        if row is None or row.begun_at < at - LIVES:
            raise AuthorizationError("state_unknown", "this is over or was never begun here; begin again")
        if not secrets.compare_digest(row.browser, digest(browser)):
            raise AuthorizationError("browser_other", "this was begun in another browser; begin again in this one")
        return Back(row.issuer, row.token_endpoint, row.verifier, row.nonce, row.return_to)

    async def called(
        self,
        url: str,
        *,
        hosts: Collection[str],
        private: bool,
        form: Mapping[str, str] | None = None,
        secret: tuple[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the JSON object at an address of an authorization server.

        hosts, private  where it may lie, as `cds.hooks.addresses.pin` has it
        form            what is sent, by POST
        secret          our id and secret there, sent by HTTP Basic

        Raises AuthorizationError.
        """
        headers = {"Accept": "application/json"}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if secret is not None:
            headers["Authorization"] = _basic(*secret)
        try:
            async with asyncio.timeout(_SECONDS), self._client() as client:
                pinned = await pin(url, hosts=hosts, private=private)
                request = pinned.request(
                    client,
                    pinned.base,
                    headers,
                    method="GET" if form is None else "POST",
                    content=urlencode(form).encode() if form is not None else None,
                )
                response = await client.send(request, stream=True)
                body = await _read(response)
        except AddressRefusedError as error:
            raise AuthorizationError(error.code, f"an address of the server is refused: {error.code}") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise AuthorizationError("no_answer", "the server does not answer") from None
        try:
            document = from_json(body)
        except ValueError:
            document = None
        if response.status_code != httpx.codes.OK or not isinstance(document, dict):
            raise AuthorizationError(
                "answer_wrong", f"the server answered {response.status_code}, not with what we need"
            )
        return document

    def _keep(self, row: CodeRequestRow) -> None:
        with self._database.writing() as session:
            session.execute(delete(CodeRequestRow).where(CodeRequestRow.begun_at < row.begun_at - LIVES))
            session.add(row)

    def _taken(self, state: str) -> CodeRequestRow | None:
        with self._database.writing() as session:
            row = session.get(CodeRequestRow, digest(state))
            if row is not None:
                session.delete(row)
            return row

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport, verify=self._tls, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )


def digest(secret: str) -> str:
    """Return what is kept of a secret of a browser."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def host_of(url: str) -> str:
    """Return the host of an address, as lists of hosts name it."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return ""
    return parts.host if parts.port is None else f"{parts.host}:{port_of(parts)}"


def may_be_spoken_to(url: str) -> bool:
    """Whether an address is of https, or on this machine."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.host in _ON_THIS_MACHINE)


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _basic(client: str, secret: str) -> str:
    """Return the header of client_secret_basic: both form-encoded first (RFC 6749, 2.3.1)."""
    pair = ":".join(urlencode({"": part})[1:] for part in (client, secret))
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise AuthorizationError("answer_wrong", "the server answers with more than we read")
    return body
