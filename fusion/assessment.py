"""What fusion returns: one frozen, versioned assessment of one patient at one time.

Knows no web, no database, no files. Findings and next steps are keys; codes are added by `cds`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1.0"

Urgency = Literal["routine", "urgent", "asap", "stat"]
Severity = Literal["info", "warning", "critical"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Evidence(_Frozen):
    """What a statement rests on: a film region, a report span, a FHIR resource or a rule input.

    reference  FHIR reference ("Observation/123"), or "imaging" / "report" with a detail
    """

    kind: Literal["imaging", "report", "record", "input"]
    reference: str
    detail: str
    start: int | None = None
    end: int | None = None


class InputUsed(_Frozen):
    """One input of a score or risk as it was used, with its provenance."""

    name: str
    value: float | int | bool | str | None
    unit: str | None = None
    at: datetime | None = None
    evidence: Evidence | None = None


class ScoreResult(_Frozen):
    """A deterministic score by the observed-data convention, and what the missing inputs allow."""

    name: str
    title: str
    status: Literal["ok", "incomplete", "not_applicable"]
    reason: str | None = None
    value: Any = None
    minimum: float | int | None = None
    maximum: float | int | None = None
    possible: tuple[Any, ...] | None = None
    band: str | None = None
    inputs: tuple[InputUsed, ...] = ()
    missing: tuple[str, ...] = ()
    citation: str
    version: str


class Contribution(_Frozen):
    """One reason of a learned risk, in clinical words; `weight` on the log-odds scale."""

    text: str
    weight: float


class RiskResult(_Frozen):
    """A learned risk for its declared population."""

    name: str
    title: str
    status: Literal["ok", "not_applicable", "not_served"]
    reason: str | None = None
    probability: float | None = Field(default=None, ge=0, le=1)
    outcome: str
    population: str
    contributions: tuple[Contribution, ...] = ()
    inputs: tuple[InputUsed, ...] = ()
    missing: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    model: str
    model_version: str
    sha256: str


class FindingView(_Frozen):
    """One finding seen from both sides; the final report comes first.

    combined_probability  by film and report together, from a model that the site has fitted on its own pairs
    combined_model        id, version and hash of that model
    """

    key: str
    report_assertion: str | None = None
    report_status: str | None = None
    image_score: float | None = None
    image_probability: float | None = None
    image_label: bool | None = None
    agreement: Literal["agree", "image_only", "report_only", "not_comparable"]
    combined_probability: float | None = Field(default=None, ge=0, le=1)
    combined_model: str | None = None
    evidence: tuple[Evidence, ...] = ()


class Suggestion(_Frozen):
    """A next step by orderable key; `cds` turns it into a ServiceRequest."""

    orderable: str
    text: str
    urgency: Urgency = "routine"
    due_from: date | None = None
    due_to: date | None = None


class FollowUp(_Frozen):
    """A next step that is due: to open, still open, overdue or to close.

    key          stable identity of the follow-up (same trigger, same evidence, same step -> same key)
    orderables   every step it stands for; once the first is done, it is answered
    suggestions  the steps to suggest now: without what is already ordered or done
    """

    key: str
    action: Literal["open", "keep", "overdue", "close"]
    source: Literal["radiologist", "rule"]
    rule_id: str
    rule_version: str
    finding: str | None = None
    summary: str
    detail: str = ""
    severity: Severity
    orderables: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    due_from: date | None = None
    due_to: date | None = None
    conditional: bool = False
    citation: str
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()


class OpenFollowUp(_Frozen):
    """An entry of the ledger as `cds` keeps it and hands it to `assess`."""

    key: str
    rule_id: str
    finding: str | None = None
    summary: str
    orderables: tuple[str, ...] = ()
    opened_on: date
    due_from: date | None = None
    due_to: date | None = None


class DraftOrder(_Frozen):
    """An order being drafted, already mapped to an orderable key by `cds`; None if unmapped."""

    id: str
    orderable: str | None
    modality: str | None = None
    region: str | None = None
    contrast: str | None = None
    laterality: str | None = None
    reason_text: str | None = None
    reason_codes: tuple[str, ...] = ()
    selected: bool = True


class OrderCheck(_Frozen):
    """What a rule says about one drafted order; it never blocks."""

    order_id: str
    rule_id: str
    rule_version: str
    severity: Severity
    summary: str
    detail: str
    suggestions: tuple[Suggestion, ...] = ()
    citation: str
    evidence: tuple[Evidence, ...] = ()


class RuleStatus(_Frozen):
    """What became of a rule that was triggered and says nothing.

    not_evaluable  inputs are missing, by name; or the condition failed, with the reason
    suppressed     it would have fired, and the site has switched it off
    outranked      it would have fired, and a radiologist's recommendation or another rule asks for the same already
    """

    rule_id: str
    rule_version: str
    status: Literal["not_evaluable", "suppressed", "outranked"]
    missing: tuple[str, ...] = ()
    reason: str | None = None


class Modality(_Frozen):
    """One modality of the answer: used, or why not."""

    name: Literal["imaging", "report", "record"]
    status: Literal["used", "missing", "stale", "identity_unresolved", "rejected", "preliminary"]
    detail: str | None = None
    at: datetime | None = None


class Dropped(_Frozen):
    """A resource or value of the request that was not used, by name, and why."""

    reference: str
    reason: str


class Assessment(_Frozen):
    schema_version: str = SCHEMA_VERSION
    at: datetime
    modalities: tuple[Modality, ...] = ()
    scores: tuple[ScoreResult, ...] = ()
    risks: tuple[RiskResult, ...] = ()
    findings: tuple[FindingView, ...] = ()
    follow_ups: tuple[FollowUp, ...] = ()
    order_checks: tuple[OrderCheck, ...] = ()
    rules: tuple[RuleStatus, ...] = ()
    dropped: tuple[Dropped, ...] = ()
