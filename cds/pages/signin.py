"""Addresses of signing in and out, and what a person is shown who may not see a page."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlencode

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.errors import AuthorizationError
from cds.operating.logs import logger
from cds.service import Service
from cds.signin.codeflow import LIVES
from cds.signin.cookies import SIGNED_IN, SIGNING_IN

_NO_STORE = {"Cache-Control": "no-store"}
_OWN_PATH = re.compile(r"/(?!/)[\x21-\x5b\x5d-\x7e]*")  # no backslash, space or control: browsers read them as slashes
_LONGEST_PATH = 2000
_UNAUTHORIZED, _FORBIDDEN, _NO_ANSWER = 401, 403, 503
_PROVIDER_SAYS = (
    "access_denied", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type",
    "server_error", "temporarily_unavailable", "interaction_required", "login_required", "consent_required",
)  # fmt: skip
_LEAVE_NOTHING = {"Clear-Site-Data": '"cache"'}  # films are kept by browsers for an hour
_Access = Callable[[Request], Awaitable[str]]
_Show = Callable[..., Response]
_To = Annotated[str, Query(max_length=_LONGEST_PATH)]
_Text = Annotated[str | None, Query(max_length=4096)]
_log = logger(__name__)


class _SignInFirst(Exception):  # noqa: N818 - an answer, no fault
    """A person who asks for a page is not known yet."""


class _Refused(Exception):  # noqa: N818 - an answer, no fault
    """A person may not see a page; says why."""


class PageAccess:
    """A FastAPI dependency: asks `access`, and has a person sign in, or told why not, where a client gets a status."""

    def __init__(self, service: Service, access: _Access, wants_page: Callable[[Request], bool]) -> None:
        self._access = access
        self._wants_page = wants_page
        self._signs_in = service.signin.is_configured

    async def __call__(self, request: Request) -> str:
        try:
            return await self._access(request)
        except HTTPException as error:
            if not self._wants_page(request):
                raise
            if error.status_code == _UNAUTHORIZED and self._signs_in:
                raise _SignInFirst from None
            if error.status_code == _FORBIDDEN:
                raise _Refused(str(error.detail)) from None
            raise


def own_path(asked: str) -> str:
    """Return a path of this service to go to after signing in; the worklist where it is none."""
    return asked if len(asked) <= _LONGEST_PATH and _OWN_PATH.fullmatch(asked) else "/"


def add_signin(app: FastAPI, service: Service, show: _Show, access: _Access) -> None:
    """Add the addresses of signing in and out, where a provider is configured."""

    @app.exception_handler(_Refused)
    async def _refused(request: Request, error: _Refused) -> Response:
        return show(request, "refused.html", status_code=_FORBIDDEN, reason=str(error))

    @app.exception_handler(_SignInFirst)
    async def _first(request: Request, _: _SignInFirst) -> Response:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        query = urlencode({"to": own_path(asked) if request.method == "GET" else "/"})
        return RedirectResponse(f"/signin?{query}", 303, _NO_STORE)

    if not service.signin.is_configured:
        return
    secure, place = service.settings.is_https, service.signin.place

    def failed(request: Request, error: AuthorizationError) -> Response:
        _log.warning("sign-in refused", code=error.code)
        status = _NO_ANSWER if error.code == "no_answer" else _FORBIDDEN
        return show(request, "signin.html", status_code=status, place=place, to="/", reason=str(error))

    @app.get("/signin", include_in_schema=False)
    def show_signin(request: Request, to: _To = "/") -> Response:
        return show(request, "signin.html", place=place, to=own_path(to))

    @app.get("/signin/start", include_in_schema=False)
    async def start(request: Request, to: _To = "/") -> Response:
        try:
            begun = await service.signin.begin(own_path(to), at=utc_now())
        except AuthorizationError as error:
            return failed(request, error)
        response = RedirectResponse(begun.redirect, 303, _NO_STORE)
        SIGNING_IN.set(response, begun.browser, seconds=int(LIVES.total_seconds()), secure=secure)
        return response

    @app.get("/signin/callback", include_in_schema=False)
    async def callback(
        request: Request, state: _Text = None, code: _Text = None, iss: _Text = None, error: _Text = None
    ) -> Response:
        note_access(action="execute")
        if error in _PROVIDER_SAYS:
            _log.warning("provider let nobody in", code=error)
        browser, before = (cookie.of(request, secure=secure) for cookie in (SIGNING_IN, SIGNED_IN))
        try:
            done = await service.signin.finish(code, state or "", browser or "", iss, before=before, at=utc_now())
        except AuthorizationError as refusal:
            response = failed(request, refusal)
        else:
            response = RedirectResponse(done.return_to, 303, _NO_STORE)
            SIGNED_IN.set(response, done.token, seconds=int(done.lives.total_seconds()), secure=secure)
        SIGNING_IN.forget(response, secure=secure)
        return response

    @app.post("/signout", include_in_schema=False)
    async def signout(request: Request) -> Response:
        note_access(action="execute")
        await access(request)
        token = SIGNED_IN.of(request, secure=secure)
        leave = await service.signin.left(token) if token else None
        response = show(request, "signedout.html", place=place, leave=leave)
        response.headers.update(_LEAVE_NOTHING)
        SIGNED_IN.forget(response, secure=secure)
        return response
