"""/smart: an EHR launches the case page of a card; and the access that a browser has by such a launch, to read only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Cookie, HTTPException, Query, Request
from fastapi.responses import RedirectResponse

from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.errors import LaunchError
from cds.service import Service

_BEGUN, _OPENED = "cds_smart_launch", "cds_smart_session"
_Access = Callable[[Request], Awaitable[str]]
_Text = Annotated[str, Query(min_length=1, max_length=2048)]


class SmartAccess:
    """A FastAPI dependency: who launched a case from an EHR may read it, everybody else is asked by `access`."""

    def __init__(self, service: Service, access: _Access) -> None:
        self._service = service
        self._access = access

    async def __call__(self, request: Request) -> str:
        token = request.cookies.get(_OPENED)
        if token and request.method == "GET" and "authorization" not in request.headers:
            issuer = await run_sync(self._issuer, token, dict(request.path_params))
            if issuer is not None:
                request.state.client = f"smart:{issuer}"
                note_access(client=request.state.client)
                return str(request.state.client)
        return await self._access(request)

    def _issuer(self, token: str, path: dict[str, str]) -> str | None:
        film_id = path.get("film_id") or path.get("study_id")
        return self._service.launches.may_read(token, case_id=path.get("case_id"), film_id=film_id, at=utc_now())


def smart_router(service: Service) -> APIRouter:
    """Return the routes of the launch."""
    router = APIRouter(prefix="/smart", tags=["SMART"])
    secure = service.settings.base_url.startswith("https://")

    def remember(response: RedirectResponse, name: str, value: str, seconds: int, path: str) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path=path, httponly=True, secure=secure, samesite="none" if secure else "lax"
        )
        if secure:  # a page in a frame of the EHR keeps its cookies apart, by CHIPS
            response.raw_headers[-1] = (response.raw_headers[-1][0], response.raw_headers[-1][1] + b"; Partitioned")

    @router.get("/launch", response_class=RedirectResponse, status_code=302)
    async def launch(iss: _Text, launch: _Text) -> RedirectResponse:
        """Begin a launch from an EHR that is known here; the browser goes on to its authorization endpoint."""
        try:
            begun = await service.launches.begin(iss, launch, at=utc_now())
        except LaunchError as error:
            raise HTTPException(403, str(error)) from None
        response = RedirectResponse(begun.redirect, 302, {"Cache-Control": "no-store"})
        remember(response, _BEGUN, begun.browser, 600, "/smart")
        return response

    @router.get("/callback", response_class=RedirectResponse, status_code=303)
    async def callback(
        state: _Text,
        code: Annotated[str | None, Query(max_length=4096)] = None,
        browser: Annotated[str, Cookie(alias=_BEGUN)] = "",
    ) -> RedirectResponse:
        """Finish a launch: the browser may read the case of the patient in context for an hour."""
        try:
            if code is None:
                raise LaunchError("the EHR did not let the launch go on")
            opened = await service.launches.finish(code, state, browser, at=utc_now())
        except LaunchError as error:
            raise HTTPException(403, str(error)) from None
        response = RedirectResponse(f"/cases/{opened.case_id}", 303, {"Cache-Control": "no-store"})
        remember(response, _OPENED, opened.token, int(opened.lives.total_seconds()), "/")
        response.delete_cookie(_BEGUN, path="/smart")
        return response

    return router
