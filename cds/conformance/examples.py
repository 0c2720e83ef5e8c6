"""Requests for services that were discovered: a made-up patient, the context of the hook, the prefetch asked for."""

from __future__ import annotations

import uuid
from typing import Any

Json = dict[str, Any]
PATIENT: Json = {
    "resourceType": "Patient",
    "id": "conformance-patient",
    "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:6f0f4f5e-7a5e-4f8e-9f5d-0d8f8f1f2a11"}],
    "name": [{"family": "Example"}],
    "gender": "female",
    "birthDate": "1961-04-02",
}
ORDER: Json = {
    "resourceType": "ServiceRequest",
    "id": "draft-1",
    "status": "draft",
    "intent": "order",
    "code": {"coding": [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}]},
    "subject": {"reference": "Patient/conformance-patient"},
}
_COMMON: Json = {"userId": "Practitioner/example", "patientId": PATIENT["id"]}
_DRAFTS: Json = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": ORDER}]}
CONTEXTS: dict[str, Json] = {
    "patient-view": {**_COMMON, "encounterId": "example"},
    "order-select": {
        **_COMMON,
        "encounterId": "example",
        "selections": ["ServiceRequest/draft-1"],
        "draftOrders": _DRAFTS,
    },
    "order-sign": {**_COMMON, "encounterId": "example", "draftOrders": _DRAFTS},
    "encounter-start": {**_COMMON, "encounterId": "example"},
    "encounter-discharge": {**_COMMON, "encounterId": "example"},
    "order-dispatch": {
        "patientId": PATIENT["id"],
        "dispatchedOrders": ["ServiceRequest/draft-1"],
        "performer": "Organization/example",
    },
    "appointment-book": {
        **_COMMON,
        "appointments": {"resourceType": "Bundle", "type": "collection", "entry": []},
    },
}
REQUIRED_FIELDS: dict[str, tuple[str, ...]] = {
    "patient-view": ("userId", "patientId"),
    "order-select": ("userId", "patientId", "selections", "draftOrders"),
    "order-sign": ("userId", "patientId", "draftOrders"),
    "encounter-start": ("userId", "patientId", "encounterId"),
    "encounter-discharge": ("userId", "patientId", "encounterId"),
    "order-dispatch": ("patientId", "dispatchedOrders", "performer"),
    "appointment-book": ("userId", "patientId", "appointments"),
}


def request_for(service: Json) -> Json | None:
    """Return a request for a service, or None for a hook that the kit does not know."""
    context = CONTEXTS.get(str(service.get("hook")))
    if context is None:
        return None
    templates = service.get("prefetch")
    prefetch = {key: _answer(str(query)) for key, query in (templates if isinstance(templates, dict) else {}).items()}
    return {"hook": service["hook"], "hookInstance": str(uuid.uuid4()), "context": context, "prefetch": prefetch}


def _answer(query: str) -> Json | None:
    kind, is_search, _ = query.partition("?")
    if kind.startswith("Patient/") or kind == "Patient":
        page = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": PATIENT}]}
        return page if is_search else PATIENT
    return {"resourceType": "Bundle", "type": "searchset", "total": 0} if is_search else None
