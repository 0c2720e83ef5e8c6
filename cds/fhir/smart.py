"""SMART App Launch 2.2 from an EHR: the link of a card opens its case page, for who the EHR says is at the screen.

By the code flow of `cds.signin`, with a configured EHR only. What is kept is which case a browser may read, and until
when; access tokens are not kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.errors import AuthorizationError
from cds.settings import Settings
from cds.signin.codeflow import Begun, CodeFlow, host_of
from cds.signin.sessions import BrowserSession, BrowserSessions
from cds.store import Database
from cds.store.patients import patient_by_alias
from cds.store.tables import AssessmentRow, FilmRow

SCOPE = "launch openid fhirUser patient/Patient.rs"
_LIVES = timedelta(hours=1)
_Json = dict[str, Any]


@dataclass(frozen=True)
class Opened:
    """A finished launch: the case that is shown, and the token of the browser's session."""

    case_id: str
    token: str
    lives: timedelta


class SmartLaunches:
    """Launches from the EHRs of the setting `smart_clients` (issuer -> our client id there)."""

    def __init__(self, database: Database, settings: Settings, sessions: BrowserSessions, flow: CodeFlow) -> None:
        self._database = database
        self._settings = settings
        self._sessions = sessions
        self._flow = flow
        self._clients = {issuer.rstrip("/"): client for issuer, client in settings.smart_clients.items()}

    def knows(self, issuer: str | None) -> bool:
        """Whether an EHR may launch us."""
        return issuer is not None and issuer.rstrip("/") in self._clients

    @property
    def redirect_uri(self) -> str:
        return f"{self._settings.base_url}/smart/callback"

    async def begin(self, issuer: str, launch: str, *, at: datetime) -> Begun:
        """Return where to send a browser that an EHR launched us in. Raises AuthorizationError."""
        if not self.knows(issuer):
            raise AuthorizationError(
                "ehr_unknown", "this EHR is not known here; its operator has to name it in smart_clients"
            )
        issuer = issuer.rstrip("/")
        configuration = await self._called(issuer, f"{issuer}/.well-known/smart-configuration")
        authorize, token = (str(configuration.get(f"{name}_endpoint", "")) for name in ("authorization", "token"))
        if "S256" not in (configuration.get("code_challenge_methods_supported") or ()):
            raise AuthorizationError("no_pkce", "the EHR does not offer PKCE with S256")
        query = {
            "client_id": self._clients[issuer],
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "aud": issuer,
            "launch": launch,
        }
        return await self._flow.begin(issuer, authorize=authorize, token=token, query=query, at=at)

    async def finish(self, code: str | None, state: str, browser: str, *, at: datetime) -> Opened:
        """Return the case that a browser may read now. Raises AuthorizationError.

        code  what the EHR gave; None when it did not let the launch go on
        """
        back = await self._flow.back(state, browser, at=at)
        if not self.knows(back.issuer):
            raise AuthorizationError("ehr_unknown", "this EHR is not known here any more")
        if code is None:
            raise AuthorizationError("not_let_in", "the EHR did not let the launch go on")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self._clients[back.issuer],
            "code_verifier": back.verifier,
        }
        answer = await self._called(back.issuer, back.token_endpoint, form)
        return await asyncio.to_thread(self._opened, back.issuer, answer, at)

    def may_read(self, who: BrowserSession, *, case_id: str | None = None, film_id: str | None = None) -> bool:
        """Whether a browser may read a case, or a film of its study."""
        if case_id is not None:
            return who.case_id == case_id
        with self._database.reading() as session:
            case = session.scalar(select(AssessmentRow).where(AssessmentRow.case_id == who.case_id))
            return case is not None and film_id is not None and _shows(session, case, film_id)

    def _opened(self, issuer: str, answer: _Json, at: datetime) -> Opened:
        patient, context = answer.get("patient"), answer.get("appContext")
        if not isinstance(patient, str):
            raise AuthorizationError("no_patient", "the EHR did not say which patient is in context")
        with self._database.writing() as session:
            known = patient_by_alias(session, f"{issuer}|Patient/{patient}")
            names = [known.subject, *known.aliases] if known is not None else []
            case = session.scalar(select(AssessmentRow).where(AssessmentRow.subject.in_(names)))
            if case is None:
                raise AuthorizationError("no_case", "nothing is kept of the patient in context")
            if context is not None and context != case.case_id:
                raise AuthorizationError("case_other", "the case of the link is not of the patient in context")
            who = BrowserSession(f"smart:{issuer}", None, frozenset(), case.case_id)
            return Opened(case.case_id, self._sessions.open(session, who, at=at, lives=_LIVES), _LIVES)

    async def _called(self, issuer: str, url: str, form: Mapping[str, str] | None = None) -> _Json:
        """Return the JSON object at an address of an EHR: on the host of its issuer, or on one of `fhir_hosts`."""
        hosts = {host_of(issuer), *self._settings.fhir_hosts}
        return await self._flow.called(url, hosts=hosts, private=self._settings.fhir_private_addresses, form=form)


def _shows(session: Session, case: AssessmentRow, film_id: str) -> bool:
    """Whether a case page shows a film: the one it rests on."""
    return case.film_id == film_id and session.get(FilmRow, film_id) is not None
