"""REST for what became of the cards and for what silent services would have said: the reports of the command line."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.routing import APIRoute

from cds.assessing.assessment import utc_now
from cds.oversight.feedback_report import FeedbackReport, feedback_report
from cds.oversight.silent_report import SilentRule, silent_report
from cds.service import Service

_Days = Annotated[int | None, Query(ge=1, le=3650, description="Only cards of the last days.")]


def feedback_router(service: Service, route_class: type[APIRoute]) -> APIRouter:
    """Return the routes of the two reports."""
    router = APIRouter(prefix="/api/v1", tags=["feedback"], route_class=route_class)

    @router.get("/feedback")
    def report(days: _Days = None) -> FeedbackReport:
        """Return acceptance and override rates per rule, service and role, and which rules they speak against."""
        since = utc_now() - timedelta(days=days) if days else None
        with service.database.reading() as session:
            return feedback_report(session, since=since)

    @router.get("/silent")
    def silent(
        days: _Days = None, service_id: Annotated[str | None, Query(alias="service", max_length=64)] = None
    ) -> list[SilentRule]:
        """Return what silent services would have said, per rule, against what was recorded since."""
        since = utc_now() - timedelta(days=days) if days else None
        with service.database.reading() as session:
            return silent_report(session, service=service_id, since=since)

    return router
