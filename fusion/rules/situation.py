"""What a condition is evaluated on: a patient at one time, and the finding or order that triggered the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fusion.assessment import DraftOrder, Evidence, OpenFollowUp, ScoreResult
from fusion.examinations import Examinations
from fusion.facts import Patient
from fusion.findings import SeenFinding
from fusion.modalities import ImagingInput, ReportInput
from fusion.scores.filling import Facts


@dataclass(frozen=True)
class Known:
    """The value of a fact, and what it rests on."""

    value: bool | int | float | str | list[float] | list[str]
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class Situation:
    """One patient at one time; `finding` or `order` is what triggered the rule, where there is one.

    said, shown  findings of the report and of the film by key
    found        facts that do not hang on finding or order, as they were found; shared by all rules
    """

    facts: Facts
    examinations: Examinations
    scores: Mapping[str, ScoreResult]
    said: Mapping[str, SeenFinding]
    shown: Mapping[str, SeenFinding]
    open_follow_ups: Sequence[OpenFollowUp] = ()
    finding: SeenFinding | None = None
    order: DraftOrder | None = None
    found: dict[tuple[str, timedelta | None], Known | None] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        return self.facts.at

    @property
    def patient(self) -> Patient:
        return self.facts.patient

    @property
    def report(self) -> ReportInput | None:
        return self.facts.text()

    @property
    def film(self) -> ImagingInput | None:
        imaging = self.facts.imaging
        return imaging if imaging is not None and imaging.usable else None

    def of_finding(self, finding: SeenFinding) -> Situation:
        return replace(self, finding=finding)

    def of_order(self, order: DraftOrder) -> Situation:
        return replace(self, order=order)
