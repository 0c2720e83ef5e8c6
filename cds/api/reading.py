"""REST of the reading room: done with a film, its priority, a critical result told, second opinions, whole depth."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from cds.api.access import signature_of
from cds.api.description import also, binary
from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.deidentify.remote import RemoteWords
from cds.errors import NotFoundError
from cds.oversight.triage import Level
from cds.pages.case import report_of_film
from cds.service import Service
from cds.store.films import StoredFilm, film_by_id
from cds.store.ledger import subject_of
from cds.store.opinions import Opinion, answer, ask, opinion_by_id
from cds.store.reading import EventKind, add_event
from cds.store.reports import report_by_id
from vision import deep_picture

_LONGEST = 4000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class ReadRequest(_Request):
    """Whether the caller is done with a film."""

    done: bool


class PriorityRequest(_Request):
    """A person's word on the urgency of a film; null lifts what was said."""

    level: Level | None
    reason: str = Field(default="", max_length=200)


class ToldRequest(_Request):
    """That a critical result was told: to whom, how, and when (now, where it is not said)."""

    finding: str = Field(max_length=64)
    to: str = Field(min_length=2, max_length=200)
    how: str = Field(min_length=2, max_length=100)
    at: AwareDatetime | None = None


class QuestionRequest(_Request):
    """What a remote reader is asked, and whether the film's report goes along."""

    question: str = Field(min_length=3, max_length=_LONGEST)
    with_report: bool = False


class AskedCase(BaseModel):
    """Whose film a question is about."""

    id: str
    study_id: str
    patient: str | None


class ReplyRequest(_Request):
    """What the remote reader answers."""

    reply: str = Field(min_length=1, max_length=_LONGEST)


def reading_router(service: Service) -> APIRouter:
    """Return the routes of the reading room."""
    router = APIRouter(prefix="/api/v1", tags=["reading"])
    _add_states(router, service)
    _add_opinions(router, service)

    @router.get("/studies/{study_id}/pixels", response_class=Response, responses=binary("application/octet-stream"))
    def pixels(study_id: str, max_side: Annotated[int, Query(ge=64, le=4096)] = 2048) -> Response:
        """Return the film in its whole depth: unsigned 16 bits, little-endian, row by row; the headers say the rest.

        `Film-Level` and `Film-Width` are the window the film is shown with, as shares of the range.
        """
        with service.database.reading() as session:
            film = _film(film_by_id(session, study_id))
        deep = deep_picture(service.blobs.get(film.row.sha256), max_side)
        rows, columns = deep.values.shape
        return Response(
            deep.values.astype("<u2").tobytes(),
            media_type="application/octet-stream",
            headers={
                "Cache-Control": "private, max-age=3600",
                "Film-Rows": str(rows),
                "Film-Columns": str(columns),
                "Film-Bits": str(deep.bits),
                "Film-Level": f"{deep.level:.6f}",
                "Film-Width": f"{deep.width:.6f}",
            },
        )

    return router


def _add_states(router: APIRouter, service: Service) -> None:
    @router.post("/studies/{study_id}/reading", status_code=201)
    def end_reading(study_id: str, body: ReadRequest, request: Request) -> ReadRequest:
        """Keep that the caller is done with a film, or takes it up again."""
        with service.database.writing() as session:
            film = _film(film_by_id(session, study_id))
            kind: EventKind = "read" if body.done else "reopened"
            add_event(session, kind, film_id=film.row.id, said_by=signature_of(request), at=utc_now())
        return body

    @router.post("/studies/{study_id}/priority", status_code=201)
    def set_priority(study_id: str, body: PriorityRequest, request: Request) -> PriorityRequest:
        """Keep the caller's word on the urgency of a film; it stands in place of what was worked out."""
        with service.database.writing() as session:
            film = _film(film_by_id(session, study_id))
            add_event(
                session,
                "priority",
                film_id=film.row.id,
                detail=body.model_dump(),
                said_by=signature_of(request),
                at=utc_now(),
            )
        return body

    @router.post("/reports/{report_id}/told", status_code=201)
    def tell(report_id: str, body: ToldRequest, request: Request) -> ToldRequest:
        """Keep that a critical result of a report was told."""
        now = utc_now()
        if body.at is not None and body.at > now:
            raise HTTPException(422, "a result cannot have been told in the future")
        with service.database.writing() as session:
            report = report_by_id(session, report_id)
            if report is None:
                raise NotFoundError("no such report")
            if report.result is None or body.finding not in {one.finding for one in report.result.critical}:
                raise HTTPException(422, "the report holds no critical result of that finding")
            detail = {"to": body.to, "how": body.how, "at": (body.at or now).isoformat()}
            add_event(
                session,
                "told",
                report_id=report_id,
                finding=body.finding,
                detail=detail,
                said_by=signature_of(request),
                at=now,
            )
        return body


def _add_opinions(router: APIRouter, service: Service) -> None:
    @router.post("/studies/{study_id}/opinions", status_code=201)
    def ask_for_opinion(study_id: str, body: QuestionRequest, request: Request) -> Opinion:
        """Ask a remote reader; the case is shown without identity under `/opinions/{id}`.

        Names, numbers, places and true dates are taken out of question and report before they are kept; the answer
        holds both as they are sent.
        """
        with service.database.reading() as session:
            film = _film(film_by_id(session, study_id))
            report = report_of_film(session, film.row) if body.with_report else None
        if body.with_report and report is None:
            raise HTTPException(422, "this film has no report that is beyond doubt its own")
        words = RemoteWords(service.keyring, service.blobs.get(film.row.sha256))
        text = service.blobs.get(report.row.sha256).decode("utf-8", "replace") if report is not None else None
        with service.database.writing() as session:
            return ask(
                session,
                film.row.id,
                words.clean(body.question),
                report=words.clean(text) if text is not None else None,
                by=signature_of(request),
                at=utc_now(),
            )

    @router.get("/opinions/{opinion_id}")
    def identify(opinion_id: str) -> AskedCase:
        """Return whose film a question is about, to whoever may read cases; it stands in the audit trail."""
        with service.database.reading() as session:
            asked = opinion_by_id(session, opinion_id)
            film = film_by_id(session, asked.film_id) if asked is not None else None
        if asked is None or film is None:
            raise NotFoundError("no such question")
        patient = subject_of(film.row)
        note_access(patient=patient, thing=f"film/{film.row.id}")
        return AskedCase(id=asked.id, study_id=film.row.id, patient=patient)

    @router.post("/opinions/{opinion_id}/reply", status_code=201, responses=also(409))
    def reply(opinion_id: str, body: ReplyRequest, request: Request) -> Opinion:
        """Answer a question; an answer is not changed."""
        with service.database.writing() as session:
            asked = opinion_by_id(session, opinion_id)
            if asked is None:
                raise NotFoundError("no such question")
            if asked.reply is not None:
                raise HTTPException(409, "the question has its answer")
            return answer(session, opinion_id, body.reply, by=signature_of(request), at=utc_now())


def _film(film: StoredFilm | None) -> StoredFilm:
    if film is None:
        raise NotFoundError("no such study")
    return film
