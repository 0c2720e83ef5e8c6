"""REST for verdicts: what a person says of a finding of a film, and all of them as a list for evaluation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cds.api.access import client_of
from cds.assessing import utc_now
from cds.audit import note_access
from cds.errors import NotFoundError
from cds.service import Service
from cds.store.films import film_by_id
from cds.store.ledger import subject_of
from cds.store.verdicts import SaidVerdict, Verdict, add_verdict, recent_verdicts


class VerdictRequest(BaseModel):
    """A verdict on one finding: whether the film's result on it is right."""

    model_config = ConfigDict(extra="forbid")

    finding: str = Field(max_length=64)
    verdict: Verdict


def verdicts_router(service: Service) -> APIRouter:
    """Return the routes of verdicts."""
    router = APIRouter(prefix="/api/v1", tags=["verdicts"])

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
            return add_verdict(session, study_id, finding, body.verdict, said_by=client_of(request), at=utc_now())

    @router.get("/verdicts")
    def list_verdicts(
        limit: Annotated[int, Query(ge=1, le=1000)] = 200, before: datetime | None = None
    ) -> list[SaidVerdict]:
        """Return all verdicts with model and score, newest first; `before` continues a listing."""
        if before is not None and before.tzinfo is None:
            raise HTTPException(422, "before needs a time zone, such as 2026-01-31T12:00:00Z")
        with service.database.reading() as session:
            return recent_verdicts(session, limit=limit, before=before)

    return router
