"""Entries of the audit trail -> FHIR R4 AuditEvent. Knows no store and no web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cds.audit.trail import Entry
from cds.site.codes import AUDIT_ACTIONS, PSEUDONYMS, ROLES

_TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_DICOM = "http://dicom.nema.org/resources/ontology/DCM"
_ENTITIES = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ACTIONS = {"create": "C", "read": "R", "update": "U", "delete": "D", "execute": "E"}
_OUTCOMES = {"ok": "0", "refused": "4", "failed": "8"}
_SIGNING = {"GET /signin/callback": ("110122", "Login"), "POST /signout": ("110123", "Logout")}  # DICOM PS3.16, CID 403
_OBSERVER = "Roentgen CDS"
_Json = dict[str, Any]


def audit_event(entry: Entry, *, site: str) -> _Json:
    """Return the AuditEvent of one entry.

    site  address of the service, which observed it
    """
    agents = [_agent(entry.client, entry.role, requestor=entry.user is None)]
    if entry.user is not None:
        agents.append(_agent(entry.user, None, requestor=True))
    return {
        "resourceType": "AuditEvent",
        "id": f"entry-{entry.seq}",
        "type": _type(entry),
        "subtype": list(_subtypes(entry)),
        "action": _ACTIONS[entry.action],
        "recorded": entry.at,
        "outcome": _OUTCOMES[entry.outcome],
        "agent": agents,
        "source": {
            "site": site,
            "observer": {"display": _OBSERVER},
            "type": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/security-source-type",
                    "code": "4",
                    "display": "Application Server",
                }
            ],
        },
        "entity": list(_entities(entry)),
    }


def _subtypes(entry: Entry) -> Iterator[_Json]:
    if entry.what in _SIGNING:
        code, display = _SIGNING[entry.what]
        yield {"system": _DICOM, "code": code, "display": display}
    yield {"system": AUDIT_ACTIONS, "code": entry.action, "display": entry.what}


def _type(entry: Entry) -> _Json:
    if entry.what in _SIGNING:
        return {"system": _DICOM, "code": "110114", "display": "User Authentication"}
    if entry.what.split(" ")[0].isupper():
        return {"system": _TYPES, "code": "rest", "display": "RESTful Operation"}
    return {"system": _DICOM, "code": "110100", "display": "Application Activity"}


def _agent(name: str, role: str | None, *, requestor: bool) -> _Json:
    roles = [{"coding": [{"system": ROLES, "code": code}]} for code in (role or "").split(",") if code]
    return {"who": {"identifier": {"value": name}}, "requestor": requestor, **({"role": roles} if roles else {})}


def _entities(entry: Entry) -> list[_Json]:
    chain = [
        {"type": "sequence", "valueString": str(entry.seq)},
        {"type": "previous", "valueString": entry.previous},
        {"type": "hash", "valueString": entry.hash},
    ]
    found: list[_Json] = [
        {
            "type": {"system": _ENTITIES, "code": "4", "display": "Other"},
            "name": entry.what,
            **({"what": {"identifier": {"value": entry.thing}}} if entry.thing else {}),
            "detail": chain,
        }
    ]
    if entry.patient is not None:
        identifier = {"system": PSEUDONYMS, "value": entry.patient}
        found.insert(
            0,
            {
                "what": {"identifier": identifier, "type": "Patient"},
                "type": {"system": _ENTITIES, "code": "1", "display": "Person"},
                "role": {
                    "system": "http://terminology.hl7.org/CodeSystem/object-role",
                    "code": "1",
                    "display": "Patient",
                },
            },
        )
    return found
