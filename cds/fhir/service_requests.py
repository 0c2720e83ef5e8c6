"""A suggestion -> a complete draft ServiceRequest that an EHR can sign as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

_REASON_TYPES = ("Condition/", "Observation/", "DiagnosticReport/", "DocumentReference/")


@dataclass(frozen=True)
class RequestFrame:
    """What a request says of who and where: the same for every suggestion of one answer.

    intent  "order" where the clinician is ordering, "proposal" elsewhere
    """

    patient_id: str
    intent: Literal["order", "proposal"]
    at: datetime
    encounter_id: str | None = None
    requester: str | None = None


def service_request(
    concept: Mapping[str, Any],
    frame: RequestFrame,
    *,
    priority: str = "routine",
    due_from: date | None = None,
    due_to: date | None = None,
    reason: Mapping[str, Any] | None = None,
    reason_references: tuple[str, ...] = (),
    note: str | None = None,
) -> dict[str, Any]:
    """Return a draft ServiceRequest.

    concept            what is ordered, as a CodeableConcept
    due_from, due_to   when it is due; becomes the occurrence
    reason             why, as a CodeableConcept
    reason_references  evidence in the record; types that R4 does not allow as a reason are left out
    """
    allowed = [{"reference": reference} for reference in reason_references if reference.startswith(_REASON_TYPES)]
    period = {name: day.isoformat() for name, day in (("start", due_from), ("end", due_to)) if day is not None}
    elements: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": frame.intent,
        "priority": priority,
        "code": dict(concept),
        "subject": {"reference": f"Patient/{frame.patient_id}"},
        "encounter": {"reference": f"Encounter/{frame.encounter_id}"} if frame.encounter_id else None,
        "occurrencePeriod": period or None,
        "authoredOn": frame.at.isoformat(timespec="seconds"),
        "requester": {"reference": frame.requester} if frame.requester else None,
        "reasonCode": [dict(reason)] if reason else None,
        "reasonReference": allowed or None,
        "note": [{"text": note}] if note else None,
    }
    return {name: value for name, value in elements.items() if value is not None}
