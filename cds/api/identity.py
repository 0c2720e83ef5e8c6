"""REST for identities that are left open: what is unresolved, and a person's word on whose it is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from cds.api.access import signature_of
from cds.assessing.assessment import utc_now
from cds.assessing.resolving import Decision, ItemKind, Unresolved, confirm_identity, decisions_on, unresolved
from cds.audit import note_access
from cds.service import Service

_EXAMPLE: dict[str, Any] = {"system": "urn:oid:1.2.3.4", "value": "4711", "reason": "Wristband and request form agree."}


class IdentityRequest(BaseModel):
    """Whose a film or report is: the patient's identifier, of a configured issuer, and how that is known."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, json_schema_extra={"examples": [_EXAMPLE]})

    system: str = Field(min_length=1, max_length=255)
    value: str = Field(min_length=1, max_length=255)
    reason: str = Field(min_length=1, max_length=2000)


def identity_router(service: Service, route_class: type[APIRoute]) -> APIRouter:
    """Return the routes of identities."""
    router = APIRouter(prefix="/api/v1", tags=["identity"], route_class=route_class)
    identity = service.configs.identity()

    def confirm(kind: ItemKind, item_id: str, body: IdentityRequest, request: Request) -> Decision:
        with service.database.writing() as session:
            decision = confirm_identity(
                session,
                kind,
                item_id,
                (body.system, body.value),
                identity,
                by=signature_of(request),
                reason=body.reason,
                at=utc_now(),
            )
        note_access(patient=f"{body.system}|{body.value}", thing=f"{kind}/{item_id}", action="update")
        return decision

    @router.get("/unresolved")
    def list_unresolved(limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> list[Unresolved]:
        """Return films and reports that name no patient of a known issuer, the newest first."""
        with service.database.reading() as session:
            return unresolved(session, limit=limit)

    @router.post("/studies/{study_id}/identity", status_code=201)
    def confirm_film(study_id: str, body: IdentityRequest, request: Request) -> Decision:
        """Take a film for a patient's, because the caller says so; what it said of itself before is kept."""
        return confirm("film", study_id, body, request)

    @router.post("/reports/{report_id}/identity", status_code=201)
    def confirm_report(report_id: str, body: IdentityRequest, request: Request) -> Decision:
        """Take a report for a patient's, because the caller says so; what it said of itself before is kept."""
        return confirm("report", report_id, body, request)

    @router.get("/studies/{study_id}/identity")
    def decisions_on_film(study_id: str) -> list[Decision]:
        """Return what people decided on whose a film is, in order."""
        with service.database.reading() as session:
            return decisions_on(session, study_id)

    return router
