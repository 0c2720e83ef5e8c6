"""OperationOutcome: an error as FHIR and CDS Hooks clients read it, by path and reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Issue:
    """One thing that was wrong.

    code    of http://hl7.org/fhir/issue-type
    path    FHIRPath-like place in the request; None for the request as a whole
    reason  for people; never a value of the request
    """

    code: str
    reason: str
    path: str | None = None


def operation_outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return the OperationOutcome of one or more issues."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue) for issue in issues]}


def _issue(issue: Issue) -> dict[str, Any]:
    text = f"{issue.path}: {issue.reason}" if issue.path else issue.reason
    place = {"expression": [issue.path]} if issue.path else {}
    return {"severity": "error", "code": issue.code, "diagnostics": text, **place}
