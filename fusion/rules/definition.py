"""The shape of a rule file. Content that names facts, findings and orderables is checked in `compiling`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fusion.assessment import Severity, Urgency
from nlp.result import Assertion

SUMMARY_LIMIT = 140


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleInput(_Model):
    """A fact that the condition names; older than `within_days` it counts as missing."""

    name: str = Field(min_length=1)
    within_days: float | None = Field(default=None, gt=0)


class OrderPattern(_Model):
    """Which drafted orders trigger a rule; an empty list matches any."""

    orderable: tuple[str, ...] = ()
    modality: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    contrast: tuple[Literal["with", "without"], ...] = ()


class Trigger(_Model):
    """What makes a rule look: a finding, a category stated in the report, a score, or a drafted order."""

    finding: tuple[str, ...] = ()
    assertion: tuple[Assertion, ...] = ("present",)
    report_score: str | None = None
    score: str | None = None
    order: OrderPattern | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Trigger:
        given = [bool(self.finding), self.report_score is not None, self.score is not None, self.order is not None]
        if sum(given) != 1:
            raise ValueError("give exactly one of finding, report_score, score and order")
        return self


class SuggestedStep(_Model):
    """A step by orderable key.

    due_days    first and last day, counted from the report (follow-ups) or from now (order checks)
    for_orders  orderables of the draft for which the step is meant; empty: all
    """

    orderable: str
    text: str = Field(min_length=1)
    urgency: Urgency = "routine"
    due_days: tuple[int, int] | None = None
    for_orders: tuple[str, ...] = ()

    @field_validator("due_days")
    @classmethod
    def _in_order(cls, days: tuple[int, int] | None) -> tuple[int, int] | None:
        if days is not None and not 0 <= days[0] <= days[1]:
            raise ValueError("expected [first, last] with 0 <= first <= last")
        return days


class Rule(_Model):
    """One rule.

    inputs        every fact that the condition names
    due_days      window of a follow-up that has no steps with windows of their own
    lapses_days   how long after its window an unanswered follow-up stays open; None: until it is answered
    verification  "verified" by an independent source, a "policy" that is ours, or "unverified" (ships disabled)
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str = Field(pattern=r"^\d+(\.\d+)*$")
    enabled: bool = True
    trigger: Trigger
    inputs: tuple[RuleInput, ...] = Field(min_length=1)
    condition: str = Field(min_length=1)
    suggestions: tuple[SuggestedStep, ...] = ()
    due_days: tuple[int, int] | None = None
    lapses_days: int | None = Field(default=None, ge=0)
    severity: Severity
    summary: str = Field(min_length=1)
    detail: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    verification: Literal["verified", "policy", "unverified"]
    owner: str = Field(min_length=1)
    reviewed_on: date

    @field_validator("inputs", mode="before")
    @classmethod
    def _names_alone(cls, inputs: object) -> object:
        return [{"name": i} if isinstance(i, str) else i for i in inputs] if isinstance(inputs, list) else inputs

    @field_validator("summary")
    @classmethod
    def _short(cls, summary: str) -> str:
        if len(summary) >= SUMMARY_LIMIT:
            raise ValueError(f"{len(summary)} characters; a summary has fewer than {SUMMARY_LIMIT}")
        return summary
