"""DICOMweb: storing films by STOW-RS under /dicom-web, for the same clients as /api/v1."""

from __future__ import annotations

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import JSONResponse

from cds.api.access import client_of
from cds.assessing.assessment import utc_now
from cds.dicom.stow import NotMultipartError, parts_of, store_parts
from cds.service import Service

_DICOM_JSON = "application/dicom+json"
_BODY = {"requestBody": {"content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}}}}


def dicomweb_router(service: Service) -> APIRouter:
    """Return the routes of /dicom-web."""
    router = APIRouter(prefix="/dicom-web", tags=["dicomweb"])

    @router.post("/studies", openapi_extra=_BODY, response_class=JSONResponse)
    async def store(request: Request) -> JSONResponse:
        """Store the DICOM instances of a multipart/related body; each is answered for by itself."""
        return await _stored(request, None)

    @router.post("/studies/{study}", openapi_extra=_BODY, response_class=JSONResponse)
    async def store_in_study(request: Request, study: Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]) -> JSONResponse:
        """Store instances of one study; those of another are refused."""
        return await _stored(request, study)

    async def _stored(request: Request, study: str | None) -> JSONResponse:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise HTTPException(415, "send the body as it is, without Content-Encoding")
        body, client = await request.body(), client_of(request)
        try:
            parts = await run_sync(lambda: parts_of(request.headers.get("content-type", ""), body))
        except NotMultipartError as error:
            raise HTTPException(415 if "multipart/related" in str(error) else 400, str(error)) from None
        if not parts:
            raise HTTPException(400, "the body holds no instance")
        outcome = await run_sync(
            lambda: store_parts(service.film_arrivals, parts, study=study, client=client, at=utc_now())
        )
        return JSONResponse(outcome.as_json(), status_code=outcome.status, media_type=_DICOM_JSON)

    return router
