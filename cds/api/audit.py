"""REST for auditors: the audit trail as FHIR AuditEvents, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from cds.audit import note_access
from cds.fhir.audit_events import audit_event
from cds.service import Service


def audit_router(service: Service) -> APIRouter:
    """Return the routes of the audit trail."""
    router = APIRouter(prefix="/api/v1/audit", tags=["audit"])

    @router.get("/events")
    def list_events(
        after: Annotated[int, Query(ge=0, lt=2**63)] = 0,  # what a column holds
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
        patient: Annotated[str | None, Query(max_length=600)] = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
    ) -> list[dict[str, Any]]:
        """Return entries as FHIR R4 AuditEvents in their order; `after` continues, `patient` is system|value."""
        note_access(patient=patient)
        found = service.audit.entries(patient=patient, since=since, until=until, after=after, limit=limit)
        return [audit_event(entry, site=service.settings.base_url) for entry in found]

    @router.get("/verification")
    def verify(head: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None) -> dict[str, Any]:
        """Return whether an entry was changed, removed or inserted; `head` is one that was kept elsewhere."""
        return asdict(service.audit.verify(head=head))

    return router
