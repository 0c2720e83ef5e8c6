"""Errors as answers, without a trace or patient data: problem details (RFC 9457), for FHIR an OperationOutcome."""

from __future__ import annotations

import errno
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from cds.api.fhir import outcome
from cds.errors import NotAcceptedError, NotFoundError
from cds.operating.logs import logger, place_of
from fusion import FusionError
from nlp import NlpError
from vision import UnreadableImageError, VisionError

RETRY_AFTER = {"Retry-After": "5"}
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_log = logger(__name__)


def problem(status: int, detail: str, **extra: object) -> JSONResponse:
    """Return a problem details answer; `extra` adds members such as `code` or `errors`."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def install_problem_handlers(app: FastAPI) -> None:
    """Turn every error of this program and of its framework into problem details."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.UNAUTHORIZED:
            return Response(status_code=401, headers=error.headers)
        return _answer(request, error.status_code, str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"path": _path(e), "reason": e["msg"]} for e in error.errors()]
        return _answer(request, 422, "the request is not as the API describes it", errors=errors)

    @app.exception_handler(NotFoundError)
    async def _not_found(request: Request, error: NotFoundError) -> Response:
        return _answer(request, 404, str(error))

    @app.exception_handler(NotAcceptedError)
    async def _not_accepted(request: Request, error: NotAcceptedError) -> Response:
        return _answer(request, 422, error.reason, code=error.code)

    @app.exception_handler(UnreadableImageError)
    async def _unreadable(request: Request, error: UnreadableImageError) -> Response:
        return _answer(request, 422, str(error), code=error.code)

    @app.exception_handler(FusionError)
    @app.exception_handler(NlpError)
    @app.exception_handler(VisionError)
    async def _refused(request: Request, error: Exception) -> Response:
        return _answer(request, 422, str(error))

    @app.exception_handler(OperationalError)
    @app.exception_handler(PoolTimeout)
    async def _busy(request: Request, error: Exception) -> Response:
        _log.error("store in trouble", **place_of(error))
        answer = _answer(request, 503, "the store is busy or cannot be reached; nothing was acknowledged, try again")
        answer.headers.update(RETRY_AFTER)
        return answer

    @app.exception_handler(OSError)
    async def _full(request: Request, error: OSError) -> Response:
        if error.errno not in _NO_ROOM:
            raise error
        _log.error("disk full", **place_of(error))
        return _answer(request, 507, "there is no room to store it; nothing was acknowledged, try again later")

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        _log.error("unexpected error", **place_of(error))
        return _answer(request, 500, "an unexpected error; the operator finds it in the log by its time")


def _answer(request: Request, status: int, detail: str, **extra: object) -> Response:
    is_fhir = request.url.path.startswith("/fhir/")
    return outcome(status, detail) if is_fhir else problem(status, detail, **extra)


def _path(error: dict[str, Any]) -> str:
    """Return where a request is wrong; a field that nobody declared is not named, for its name is the client's text."""
    place = [str(part) for part in error["loc"]]
    return ".".join([*place[:-1], "(unknown field)"] if error["type"] == "extra_forbidden" else place)
