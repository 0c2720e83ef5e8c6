"""CapabilityStatement: what can be read and searched under /fhir."""

from __future__ import annotations

from typing import Any

from cds import __version__
from cds.fhir.searching import COMMON_PARAMETERS

PUBLISHED = ("DiagnosticReport", "ImagingStudy", "Observation", "RiskAssessment", "Task")
WITH_IDENTIFIER = frozenset({"DiagnosticReport", "ImagingStudy", "Task"})
_CHANGED_ON = "2026-11-25"
_TYPES = {"patient": "reference", "identifier": "token", "_id": "token", "_lastUpdated": "date"}
_SAYS = {
    "DiagnosticReport": "Preliminary reports of models on films, and reports of radiologists as they were read.",
    "ImagingStudy": "Studies of the films that are stored.",
    "Observation": "Findings of models on films (preliminary), and scores of the latest assessment.",
    "RiskAssessment": "Learned risks of the latest assessment.",
    "Task": "Open follow-ups of imaging findings.",
}


def capability_statement(base: str) -> dict[str, Any]:
    """Return the CapabilityStatement of a server at a base address."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _CHANGED_ON,
        "kind": "instance",
        "software": {"name": "Roentgen CDS", "version": __version__},
        "implementation": {"description": "Results of Roentgen CDS, to read", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "A key or token of this service as Authorization: Bearer."},
                "resource": [_resource(kind) for kind in PUBLISHED],
            }
        ],
    }


def _resource(kind: str) -> dict[str, Any]:
    names = [name for name in COMMON_PARAMETERS if name in _TYPES and (name != "identifier" or kind in WITH_IDENTIFIER)]
    return {
        "type": kind,
        "documentation": _SAYS[kind],
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "versioned",
        "conditionalRead": "full-support",
        "searchParam": [{"name": name, "type": _TYPES[name]} for name in names],
    }
