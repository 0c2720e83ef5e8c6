"""/smart: an EHR launches the case page of a card; and the access that a browser has by such a launch, to read only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import RedirectResponse

from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.errors import AuthorizationError
from cds.service import Service
from cds.signin.codeflow import LIVES
from cds.signin.cookies import LAUNCHED, LAUNCHING

_NO_STORE = {"Cache-Control": "no-store"}
_Access = Callable[[Request], Awaitable[str]]
_Text = Annotated[str, Query(min_length=1, max_length=2048)]


class SmartAccess:
    """A FastAPI dependency: who launched a case from an EHR may read it, everybody else is asked by `access`."""

    def __init__(self, service: Service, access: _Access) -> None:
        self._service = service
        self._access = access

    async def __call__(self, request: Request) -> str:
        token = LAUNCHED.of(request, secure=self._service.settings.is_https)
        if token and request.method == "GET" and "authorization" not in request.headers:
            client = await run_sync(self._client, token, dict(request.path_params))
            if client is not None:
                request.state.client = client
                note_access(client=client)
                return client
        return await self._access(request)

    def _client(self, token: str, path: dict[str, str]) -> str | None:
        who = self._service.sessions.of(token, at=utc_now())
        film_id = path.get("film_id") or path.get("study_id")
        if who is None or who.case_id is None:
            return None
        may = self._service.launches.may_read(who, case_id=path.get("case_id"), film_id=film_id)
        return who.client if may else None


def smart_router(service: Service) -> APIRouter:
    """Return the routes of the launch."""
    router = APIRouter(prefix="/smart", tags=["SMART"])
    secure = service.settings.is_https

    @router.get("/launch", response_class=RedirectResponse, status_code=302)
    async def launch(iss: _Text, launch: _Text) -> RedirectResponse:
        """Begin a launch from an EHR that is known here; the browser goes on to its authorization endpoint."""
        try:
            begun = await service.launches.begin(iss, launch, at=utc_now())
        except AuthorizationError as error:
            raise HTTPException(403, str(error)) from None
        response = RedirectResponse(begun.redirect, 302, _NO_STORE)
        LAUNCHING.set(response, begun.browser, seconds=int(LIVES.total_seconds()), secure=secure)
        return response

    @router.get("/callback", response_class=RedirectResponse, status_code=303)
    async def callback(
        request: Request, state: _Text, code: Annotated[str | None, Query(max_length=4096)] = None
    ) -> RedirectResponse:
        """Finish a launch: the browser may read the case of the patient in context for an hour."""
        browser = LAUNCHING.of(request, secure=secure) or ""
        try:
            opened = await service.launches.finish(code, state, browser, at=utc_now())
        except AuthorizationError as error:
            raise HTTPException(403, str(error)) from None
        response = RedirectResponse(f"/cases/{opened.case_id}", 303, _NO_STORE)
        LAUNCHED.set(response, opened.token, seconds=int(opened.lives.total_seconds()), secure=secure)
        LAUNCHING.forget(response, secure=secure)
        return response

    return router
