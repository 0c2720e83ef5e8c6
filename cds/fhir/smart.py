"""SMART App Launch 2.2 from an EHR: the link of a card opens its case page, for who the EHR says is at the screen.

Authorization code with PKCE (RFC 7636) against a configured EHR only; `state` is used once, by the browser that began.
What is kept is which case a browser may read, and until when; access tokens are not kept.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
from pydantic_core import from_json
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cds.errors import LaunchError
from cds.hooks.addresses import pin, port_of
from cds.hooks.errors import AddressRefusedError
from cds.settings import Settings
from cds.store import Database
from cds.store.exchange_tables import SmartLaunchRow, SmartSessionRow
from cds.store.patients import patient_by_alias
from cds.store.tables import AssessmentRow, FilmRow

SCOPE = "launch openid fhirUser patient/Patient.rs"
_LAUNCH_LIVES = timedelta(minutes=10)
_SESSION_LIVES = timedelta(hours=1)
_SECONDS = 5.0
_MOST_BYTES = 256 * 1024
_Json = dict[str, Any]


@dataclass(frozen=True)
class Begun:
    """A launch on its way: where the browser goes, and the secret it keeps meanwhile."""

    redirect: str
    browser: str


@dataclass(frozen=True)
class Opened:
    """A finished launch: the case that is shown, and the token of the browser's session."""

    case_id: str
    token: str
    lives: timedelta


class SmartLaunches:
    """Launches from the EHRs of the setting `smart_clients` (issuer -> our client id there)."""

    def __init__(self, database: Database, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None):
        self._database = database
        self._settings = settings
        self._transport = transport
        self._tls = ssl.create_default_context()
        self._clients = {issuer.rstrip("/"): client for issuer, client in settings.smart_clients.items()}

    def knows(self, issuer: str | None) -> bool:
        """Whether an EHR may launch us."""
        return issuer is not None and issuer.rstrip("/") in self._clients

    @property
    def redirect_uri(self) -> str:
        return f"{self._settings.base_url}/smart/callback"

    async def begin(self, issuer: str, launch: str, *, at: datetime) -> Begun:
        """Return where to send a browser that an EHR launched us in. Raises LaunchError."""
        if not self.knows(issuer):
            raise LaunchError("this EHR is not known here; its operator has to name it in smart_clients")
        issuer = issuer.rstrip("/")
        configuration = await self._get(issuer, f"{issuer}/.well-known/smart-configuration")
        authorize, token = (str(configuration.get(f"{name}_endpoint", "")) for name in ("authorization", "token"))
        if "S256" not in (configuration.get("code_challenge_methods_supported") or ()):
            raise LaunchError("the EHR does not offer PKCE with S256")
        if not authorize.startswith(("https://", "http://127.0.0.1", "http://localhost")) or not token:
            raise LaunchError("the EHR names no authorization and token endpoint that can be used")
        state, browser, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        with self._database.writing() as session:
            session.execute(delete(SmartLaunchRow).where(SmartLaunchRow.begun_at < at - _LAUNCH_LIVES))
            session.add(
                SmartLaunchRow(
                    state=_digest(state),
                    browser=_digest(browser),
                    issuer=issuer,
                    token_endpoint=token,
                    verifier=verifier,
                    begun_at=at,
                )
            )
        query = {
            "response_type": "code",
            "client_id": self._clients[issuer],
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": state,
            "aud": issuer,
            "launch": launch,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        return Begun(f"{authorize}{'&' if '?' in authorize else '?'}{urlencode(query)}", browser)

    async def finish(self, code: str, state: str, browser: str, *, at: datetime) -> Opened:
        """Return the case that a browser may read now. Raises LaunchError."""
        begun = self._taken(state, browser, at)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self._clients[begun.issuer],
            "code_verifier": begun.verifier,
        }
        answer = await self._post(begun.issuer, begun.token_endpoint, form)
        return await asyncio.to_thread(self._opened, begun.issuer, answer, at)

    def may_read(
        self, token: str, *, case_id: str | None = None, film_id: str | None = None, at: datetime
    ) -> str | None:
        """Return the issuer through which a browser may read a case, or a film of its study; None when it may not."""
        with self._database.reading() as session:
            row = session.get(SmartSessionRow, _digest(token))
            if row is None or row.expires_at <= at:
                return None
            if case_id is not None:
                return row.issuer if row.case_id == case_id else None
            case = session.scalar(select(AssessmentRow).where(AssessmentRow.case_id == row.case_id))
            return row.issuer if case is not None and film_id is not None and _shows(session, case, film_id) else None

    def _taken(self, state: str, browser: str, at: datetime) -> SmartLaunchRow:
        """Return a launch that was begun, and forget it: a state is good for one answer to one browser."""
        with self._database.writing() as session:
            row = session.get(SmartLaunchRow, _digest(state))
            if row is not None:
                session.delete(row)
        if row is None or row.begun_at < at - _LAUNCH_LIVES:
            raise LaunchError("this launch is over or was never begun; open the link in the EHR again")
        if not secrets.compare_digest(row.browser, _digest(browser)):
            raise LaunchError("this launch was begun in another browser; open the link in the EHR again")
        return row

    def _opened(self, issuer: str, answer: _Json, at: datetime) -> Opened:
        patient, context = answer.get("patient"), answer.get("appContext")
        if not isinstance(patient, str):
            raise LaunchError("the EHR did not say which patient is in context")
        with self._database.writing() as session:
            known = patient_by_alias(session, f"{issuer}|Patient/{patient}")
            names = [known.subject, *known.aliases] if known is not None else []
            case = session.scalar(select(AssessmentRow).where(AssessmentRow.subject.in_(names)))
            if case is None:
                raise LaunchError("nothing is kept of the patient in context")
            if context is not None and context != case.case_id:
                raise LaunchError("the case of the link is not of the patient in context")
            token = secrets.token_urlsafe(32)
            session.execute(delete(SmartSessionRow).where(SmartSessionRow.expires_at < at))
            session.add(
                SmartSessionRow(
                    token=_digest(token), issuer=issuer, case_id=case.case_id, expires_at=at + _SESSION_LIVES
                )
            )
            return Opened(case.case_id, token, _SESSION_LIVES)

    async def _get(self, issuer: str, url: str) -> _Json:
        return await self._call(issuer, url, "GET", None)

    async def _post(self, issuer: str, url: str, form: Mapping[str, str]) -> _Json:
        return await self._call(issuer, url, "POST", urlencode(form).encode())

    async def _call(self, issuer: str, url: str, method: str, content: bytes | None) -> _Json:
        """Return the JSON object at an address of an EHR: on the host of its issuer, or on one of `fhir_hosts`."""
        own = httpx.URL(issuer)
        host = own.host if own.port is None else f"{own.host}:{port_of(own)}"
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            async with asyncio.timeout(_SECONDS), self._client() as client:
                allowed = {host, *self._settings.fhir_hosts}
                pinned = await pin(url, hosts=allowed, private=self._settings.fhir_private_addresses)
                request = pinned.request(client, pinned.base, headers, method=method, content=content)
                response = await client.send(request)
        except AddressRefusedError as error:
            raise LaunchError(f"an address of the EHR is refused: {error.code}") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError):
            raise LaunchError("the EHR does not answer") from None
        try:
            document = from_json(response.content[:_MOST_BYTES])
        except ValueError:
            document = None
        if response.status_code != httpx.codes.OK or not isinstance(document, dict):
            raise LaunchError(f"the EHR answered {response.status_code}, not with what a launch needs")
        return document

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport, verify=self._tls, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )


def _shows(session: Session, case: AssessmentRow, film_id: str) -> bool:
    """Whether a case page shows a film: the one it rests on."""
    return case.film_id == film_id and session.get(FilmRow, film_id) is not None


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
