"""What we publish as FHIR R4, strict on the way out.

    outcomes.py          OperationOutcome
    report.py            StructuredReport -> DiagnosticReport
    service_requests.py  a suggestion -> a complete draft ServiceRequest
    assessments.py       risks, scores, order checks and follow-ups -> RiskAssessment, Observation, DetectedIssue, Task

Knows no store and no web.
"""

from __future__ import annotations

from cds.fhir.outcomes import Issue, operation_outcome
from cds.fhir.service_requests import RequestFrame, service_request

__all__ = ["Issue", "RequestFrame", "operation_outcome", "service_request"]
