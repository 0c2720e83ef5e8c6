"""What we publish as FHIR R4, strict on the way out.

    outcomes.py          OperationOutcome
    films.py             ImagingResult -> ImagingStudy, Observations, preliminary DiagnosticReport
    report.py            StructuredReport -> DiagnosticReport
    service_requests.py  a suggestion -> a complete draft ServiceRequest
    assessments.py       risks, scores, order checks and follow-ups -> RiskAssessment, Observation, DetectedIssue, Task
    audit_events.py      entries of the audit trail -> AuditEvent
    searching.py         search parameters, pages and the searchset Bundle
    capability.py        CapabilityStatement

Knows no store and no web.
"""

from __future__ import annotations

from cds.fhir.outcomes import Issue, operation_outcome
from cds.fhir.service_requests import RequestFrame, service_request

__all__ = ["Issue", "RequestFrame", "operation_outcome", "service_request"]
