"""REST under /api/v1: films, reports, extraction, scores, models and risk, with OpenAPI.

Thin routes: they read the request, ask the service, and return typed results.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Body, HTTPException, Query, Request, Response
from fastapi.openapi.models import Example
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from cds.api.access import client_of
from cds.api.description import also, binary
from cds.api.paging import Cursor, link_next, position_of
from cds.arrival.contexts import GivenContext
from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.errors import NotFoundError, ReportNotAcceptedError
from cds.jobs.pictures import shown_film
from cds.jobs.queue import JobState, job_state
from cds.service import Service
from cds.store.films import StoredFilm, film_by_id, recent_films
from cds.store.ledger import subject_of
from cds.store.patients import named_patient
from cds.store.reports import report_by_id
from fusion import Assessment, resources_of, searched_types
from fusion.scores import SCORES, calculate
from nlp import StructuredReport
from vision import ImagingResult, heatmap_png

_DICOM = "application/dicom"
_Json = dict[str, Any]
_PATIENT = {"resourceType": "Patient", "id": "p1", "identifier": [{"system": "urn:oid:1.2.3", "value": "4711"}]}
_RISK_EXAMPLES: dict[str, Example] = {
    "bundle": {
        "summary": "A record",
        "value": {"bundle": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": _PATIENT}]}},
    },
    "known": {"summary": "A patient known here by record number", "value": {"patient": "urn:oid:1.2.3|4711"}},
}


class FilmAccepted(BaseModel):
    """A film that is stored and queued."""

    study_id: str
    study_instance_uid: str
    new: bool


class FilmState(BaseModel):
    """A film, and its result once it is analysed."""

    id: str
    study_instance_uid: str
    status: str
    received_at: datetime
    result: ImagingResult | None


class ReportAccepted(BaseModel):
    """A report that is stored and queued."""

    report_id: str
    new: bool


class ReportState(BaseModel):
    """A report, and what was extracted of it; `extraction` says how far that is, None when none is needed."""

    id: str
    status: str
    issued_at: datetime
    superseded: bool
    extraction: JobState | None
    result: StructuredReport | None


class ExtractRequest(BaseModel):
    """A report text with what is known of its context."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(default=None, max_length=255)
    text: str
    context: GivenContext | None = None


class RiskRequest(BaseModel):
    """A FHIR R4 bundle of one patient, or `patient`: "system|value", or the address of a Patient that hooks named.

    Film and report are found in the store by the identifiers. Without a bundle there is no record: scores and rules
    that need one are not evaluated. With `at`, a question about another time: nothing is kept of it.
    """

    model_config = ConfigDict(extra="forbid")

    bundle: _Json | None = None
    patient: str | None = Field(default=None, max_length=600)
    patient_id: str | None = Field(default=None, max_length=255)
    at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> RiskRequest:
        if (self.bundle is None) == (self.patient is None):
            raise ValueError("give either bundle or patient")
        return self


def v1_router(service: Service, route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Return the routes of /api/v1."""
    router = APIRouter(prefix="/api/v1", route_class=route_class)
    _add_studies(router, service)
    _add_reports(router, service)
    _add_knowledge(router, service)
    return router


def _add_studies(router: APIRouter, service: Service) -> None:
    @router.post(
        "/studies",
        status_code=202,
        tags=["studies"],
        responses=also(415),
        openapi_extra={"requestBody": {"content": {_DICOM: {"schema": {"type": "string", "format": "binary"}}}}},
    )
    async def submit_film(request: Request) -> FilmAccepted:
        """Store one DICOM film and queue its analysis; the same film twice is stored once."""
        if request.headers.get("content-type", "").split(";")[0].strip() != _DICOM:
            raise HTTPException(415, f"send one DICOM file as {_DICOM}")
        data = await request.body()
        receipt = await run_sync(lambda: service.film_arrivals.receive(data, source="upload", at=utc_now()))
        note_access(thing=f"film/{receipt.film_id}")
        return FilmAccepted(study_id=receipt.film_id, study_instance_uid=receipt.study_instance_uid, new=receipt.new)

    @router.get("/studies", tags=["studies"])
    def list_films(
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: AwareDatetime | None = None,
        cursor: Cursor = None,
    ) -> list[FilmState]:
        """Return films by arrival, newest first; the Link header names the next page."""
        after = position_of(cursor)
        with service.database.reading() as session:
            films = recent_films(session, limit=limit, before=before, after=after)
        last = films[-1].row if len(films) == limit else None
        link_next(request, response, (last.received_at, last.id) if last else None)
        return [_film_state(film) for film in films]

    @router.get("/studies/{study_id}", tags=["studies"])
    def read_film(study_id: str) -> FilmState:
        """Return a film and its result."""
        return _film_state(_film(service, study_id))

    @router.get(
        "/studies/{study_id}/film.png", tags=["studies"], response_class=Response, responses=binary("image/png")
    )
    def film_picture(
        study_id: str,
        max_side: Annotated[int, Query(ge=64, le=2048)] = 1024,
        enhancement: Annotated[str | None, Query(pattern="^[a-z_]+$", max_length=32)] = None,
    ) -> Response:
        """Return the film for display, as the standard says it is shown; `enhancement` is named in the answer."""
        film = _film(service, study_id)
        try:
            picture = shown_film(service.blobs, film.row.sha256, max_side, enhancement)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    @router.get(
        "/studies/{study_id}/heatmaps/{finding}.png",
        tags=["studies"],
        response_class=Response,
        responses=binary("image/png"),
    )
    def heatmap_picture(
        study_id: str, finding: str, max_side: Annotated[int, Query(ge=64, le=2048)] = 1024
    ) -> Response:
        """Return the class-activation heatmap of a finding as a transparent overlay of the film."""
        film = _film(service, study_id)
        heatmap = next((m for m in film.result.heatmaps if m.finding == finding), None) if film.result else None
        if heatmap is None:
            raise NotFoundError("this film has no heatmap of that finding")
        return Response(
            heatmap_png(heatmap, max_side, max_side),
            media_type="image/png",
            headers={"Cache-Control": "private, max-age=3600"},
        )


def _add_reports(router: APIRouter, service: Service) -> None:
    @router.post("/reports", status_code=202, tags=["reports"])
    def submit_report(request: Request, resource: Annotated[_Json, Body()]) -> ReportAccepted:
        """Store a FHIR R4 DiagnosticReport, or a Bundle of one and its Patient, and queue its extraction."""
        report, patient = _report_and_patient(resource)
        source = f"fhir:{client_of(request)}"
        receipt = service.report_arrivals.receive_fhir(report, patient=patient, source=source, at=utc_now())
        note_access(thing=f"report/{receipt.report_id}")
        return ReportAccepted(report_id=receipt.report_id, new=receipt.new)

    @router.get("/reports/{report_id}", tags=["reports"])
    def read_report(report_id: str) -> ReportState:
        """Return a report's state and what was extracted of it."""
        with service.database.reading() as session:
            report = report_by_id(session, report_id)
            extraction = job_state(session, "extract_report", report_id)
        if report is None:
            raise NotFoundError("no such report")
        note_access(patient=subject_of(report.row), thing=f"report/{report.row.id}")
        return ReportState(
            id=report.row.id,
            status=report.row.status,
            issued_at=report.row.issued_at,
            superseded=report.row.superseded_by is not None,
            extraction=extraction,
            result=report.result,
        )

    @router.post("/reports:extract", tags=["reports"])
    def extract_report(body: ExtractRequest) -> StructuredReport:
        """Return the structured report of a text; nothing is stored."""
        context = body.context.as_context() if body.context else None
        return service.models.extractor.extract(body.text, context, at=utc_now())


def _add_knowledge(router: APIRouter, service: Service) -> None:
    @router.get("/scores", tags=["risk"])
    def list_scores() -> list[_Json]:
        """Return the scores with their inputs, units, population and citation."""
        return [definition.describe() for definition in SCORES.values()]

    @router.get("/scores/{name}", tags=["risk"])
    def read_score(name: str) -> _Json:
        """Return one score with its inputs, units, population and citation."""
        if name not in SCORES:
            raise NotFoundError("no such score; GET /api/v1/scores lists them")
        return SCORES[name].describe()

    @router.post("/scores/{name}", tags=["risk"])
    def calculate_score(name: str, inputs: Annotated[_Json, Body()]) -> _Json:
        """Return a score with the minimum and maximum that missing inputs allow."""
        if name not in SCORES:
            raise NotFoundError("no such score; GET /api/v1/scores lists them")
        return calculate(name, inputs)

    @router.get("/models", tags=["risk"])
    def list_models() -> list[_Json]:
        """Return the models, served or refused, with the reason."""
        return service.models.status()

    @router.get("/models/{model_id}", tags=["risk"])
    def read_model(model_id: str) -> _Json:
        """Return a model: served or not, and its card as shipped: data, licence, figures, limits, thresholds."""
        row = next((row for row in service.models.status() if row["id"] == model_id), None)
        if row is None:
            raise NotFoundError("no such model; GET /api/v1/models lists them")
        return {**row, "card": service.models.card(model_id)}

    @router.post("/risk", tags=["risk"], responses=also(404))
    async def assess_patient(body: Annotated[RiskRequest, Body(openapi_examples=_RISK_EXAMPLES)]) -> Assessment:
        """Return the assessment of the patient of a bundle, or of one who is known here by film, report or hook."""
        if body.bundle is None:
            resource = await run_sync(_known_patient, service, body.patient or "")
            resources, searched = [resource], frozenset[str]()
        else:
            resources, searched = resources_of(body.bundle), searched_types(body.bundle)
        assessed = await run_sync(
            partial(
                service.assessor.assess_now,
                resources,
                server=None,
                patient_id=body.patient_id or _patient_of(resources),
                at=body.at or utc_now(),
                service="api",
                searched=searched,
                keep=body.at is None and body.bundle is not None,
            )
        )
        return assessed.assessment


def _known_patient(service: Service, name: str) -> _Json:
    """Return what the store knows of a patient as a FHIR Patient."""
    with service.database.reading() as session:
        patient = named_patient(session, name)
        if patient is None:
            raise NotFoundError("no film, report or record of this patient has been seen; send a bundle")
    note_access(patient=patient.subject)
    identifiers = [{"system": system, "value": value} for system, value in sorted(patient.identifiers)]
    resource = {
        "resourceType": "Patient",
        "id": "known",
        "identifier": identifiers,
        "birthDate": patient.birth_date.isoformat() if patient.birth_date else None,
        "gender": patient.sex,
    }
    return {name: value for name, value in resource.items() if value}


def _film(service: Service, film_id: str) -> StoredFilm:
    with service.database.reading() as session:
        film = film_by_id(session, film_id)
    if film is None:
        raise NotFoundError("no such study")
    note_access(patient=subject_of(film.row), thing=f"film/{film.row.id}")
    return film


def _film_state(film: StoredFilm) -> FilmState:
    return FilmState(
        id=film.row.id,
        study_instance_uid=film.row.study_instance_uid,
        status=film.row.status,
        received_at=film.row.received_at,
        result=film.result,
    )


def _report_and_patient(resource: _Json) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    if resource.get("resourceType") != "Bundle":
        return resource, None
    resources = resources_of(resource)
    reports = [entry for entry in resources if entry.get("resourceType") == "DiagnosticReport"]
    patients = [entry for entry in resources if entry.get("resourceType") == "Patient"]
    if len(reports) != 1:
        raise ReportNotAcceptedError("not_a_report", f"the bundle holds {len(reports)} DiagnosticReports; send one")
    if len(patients) > 1:
        raise ReportNotAcceptedError("two_patients", f"the bundle holds {len(patients)} Patients; send one")
    return reports[0], patients[0] if patients else None


def _patient_of(resources: list[_Json]) -> str:
    ids = [r["id"] for r in resources if r.get("resourceType") == "Patient" and isinstance(r.get("id"), str)]
    if len(ids) != 1:
        raise HTTPException(422, f"the bundle holds {len(ids)} Patient resources with an id; it must hold one")
    return str(ids[0])
