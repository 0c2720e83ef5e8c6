"""REST for verdicts: what a person says of a finding of a film, and all of them as a list for evaluation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from cds.api.access import signature_of
from cds.api.paging import Cursor, link_next, position_of
from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.errors import NotFoundError
from cds.service import Service
from cds.store.films import film_by_id
from cds.store.ledger import subject_of
from cds.store.verdicts import SaidVerdict, Verdict, add_verdict, recent_verdicts
from vision.result import Box

_MOST_REGIONS = 20
_SMALLEST = 0.01


class VerdictRequest(BaseModel):
    """A verdict on one finding: whether the film's result on it is right.

    regions  where the finding lies, of a verdict `corrected`: boxes in fractions of the film
    """

    model_config = ConfigDict(extra="forbid")

    finding: str = Field(max_length=64)
    verdict: Verdict
    regions: tuple[Box, ...] = Field(default=(), max_length=_MOST_REGIONS)

    @model_validator(mode="after")
    def _regions_only_where_corrected(self) -> VerdictRequest:
        if (self.verdict == "corrected") != bool(self.regions):
            raise ValueError("a corrected finding, and no other, comes with the regions where it lies")
        if any(box.x1 - box.x0 < _SMALLEST or box.y1 - box.y0 < _SMALLEST for box in self.regions):
            raise ValueError("a region is at least one hundredth of the film wide and high")
        return self


def verdicts_router(service: Service, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Return the routes of verdicts."""
    router = APIRouter(prefix="/api/v1", tags=["verdicts"], route_class=route_class)

    @router.post("/studies/{study_id}/verdicts", status_code=201)
    def say(study_id: str, body: VerdictRequest, request: Request) -> SaidVerdict:
        """Keep what the caller says of a finding; an earlier word is kept too, the last one counts."""
        with service.database.writing() as session:
            film = film_by_id(session, study_id)
            if film is None:
                raise NotFoundError("no such study")
            note_access(patient=subject_of(film.row), thing=f"film/{study_id}")
            finding = film.result.finding(body.finding) if film.result is not None else None
            if finding is None:
                raise HTTPException(422, "the film's result says nothing of that finding")
            said = add_verdict(
                session,
                study_id,
                finding,
                body.verdict,
                said_by=signature_of(request),
                at=utc_now(),
                regions=body.regions,
            )
            service.returning.judged(session, said, said.said_at)
            return said

    @router.get("/verdicts")
    def list_verdicts(
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        before: AwareDatetime | None = None,
        cursor: Cursor = None,
    ) -> list[SaidVerdict]:
        """Return all verdicts with model and score, newest first; the Link header names the next page."""
        with service.database.reading() as session:
            said = recent_verdicts(session, limit=limit, before=before, after=position_of(cursor))
        link_next(request, response, (said[-1].said_at, said[-1].id) if len(said) == limit else None)
        return said

    return router
