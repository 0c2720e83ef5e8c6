"""The order in which films are to be read: by urgency and certainty, with a cap on waiting, and a person's last word.

Pure: results, reports and times in, an order out. The worklist and `cds simulate worklist` use the same functions.

Within a level films are ordered by what a minute of waiting is expected to cost, the weight of each finding times the
chance that it is there (the c-mu rule; Cox and Smith 1961, Queues, section 3.3), in steps of a factor of two; among
equals the longest waiting comes first. Waiting shortens nothing but the distance to the cap: a film that has waited
three quarters of it goes before everything but what is critical.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from cds.errors import ConfigurationError
from nlp import StructuredReport
from vision import ImagingResult
from vision.result import Finding

Level: TypeAlias = Literal["critical", "urgent", "soon", "finding", "unreadable", "waiting", "none"]
Source: TypeAlias = Literal["person", "report", "follow_up", "film"]

LEVELS: tuple[Level, ...] = ("critical", "urgent", "soon", "finding", "unreadable", "waiting", "none")
OF_FINDINGS: tuple[Level, ...] = LEVELS[:4]
_WEIGHT: Mapping[Level, float] = {"critical": 100.0, "urgent": 10.0, "soon": 1.0, "finding": 0.1}
"""What a minute of waiting costs, the levels a factor of ten apart as minutes, hours and days nearly are."""
_LIKELY = 0.5
_PROMOTED_AT = 0.75
_LEAST_COST = 1e-3
_OF_REPORT: Mapping[int, Level] = {1: "critical", 2: "urgent", 3: "soon"}
_OF_SEVERITY: Mapping[str, Level] = {"critical": "critical", "warning": "urgent", "info": "soon"}

Rank: TypeAlias = tuple[int, int, float]


@dataclass(frozen=True)
class Reason:
    """One thing that speaks for a level.

    finding    what it is about, where it is about a finding
    certainty  chance that it is so, 0-1
    note       what a page adds in words
    """

    level: Level
    source: Source
    finding: str | None = None
    certainty: float = 1.0
    note: str = ""


@dataclass(frozen=True)
class Override:
    """A person's word on the urgency of one film; it stands until another is said."""

    level: Level
    reason: str
    said_by: str


@dataclass(frozen=True)
class Priority:
    """Where a film stands.

    reasons  those of its level, the surest first
    cost     of a minute of waiting, in units of a film that certainly holds a finding to be seen within days
    """

    level: Level
    reasons: tuple[Reason, ...]
    cost: float


@dataclass(frozen=True)
class TriagePolicy:
    """What a site has set (configs/triage.yaml)."""

    longest_wait: timedelta
    targets: Mapping[Level, timedelta]
    findings: Mapping[str, Level]

    def of_film(self, result: ImagingResult) -> list[Reason]:
        """Return what a film's result says: findings above their cut-off, or that it is unreadable or shows none."""
        if result.rejection is not None:
            return [Reason("unreadable", "film", note=result.rejection.reason)]
        found = [
            Reason(self._level_of(finding), "film", finding.key, certainty_of(finding))
            for finding in result.findings
            if finding.label
        ]
        return found or [Reason("none", "film")]

    def cost(self, result: ImagingResult) -> float:
        """Return what a minute of waiting is expected to cost, by every finding that has a cut-off."""
        scored = [finding for finding in result.findings if finding.label is not None]
        return sum(_WEIGHT[self.findings.get(finding.key, "finding")] * certainty_of(finding) for finding in scored)

    def priority(
        self, reasons: Iterable[Reason], *, film_cost: float = 0.0, override: Override | None = None
    ) -> Priority:
        """Return the priority of a film.

        reasons    from film, report and follow-ups; none at all means that its analysis has not ended
        film_cost  `cost` of its result
        override   a person's word; it decides the level alone
        """
        given = list(reasons) or [Reason("waiting", "film")]
        if override is not None:
            given.append(Reason(override.level, "person", note=override.reason))
            level = override.level
        else:
            level = min((reason.level for reason in given), key=LEVELS.index)
        of_level = [reason for reason in given if reason.level == level and reason.source != "person"]
        said = [reason for reason in given if reason.source == "person"]
        surest = sorted(of_level, key=lambda reason: -reason.certainty)
        told = max((_WEIGHT.get(r.level, 0.0) for r in given if r.source != "film"), default=0.0)
        return Priority(level, (*said, *surest), film_cost + told)

    def rank(self, priority: Priority, waited: timedelta) -> Rank:
        """Return what films sort by, the first to be read lowest; `waited` since the film arrived."""
        if priority.level != "critical" and self.is_promoted(waited):
            return LEVELS.index("critical") + 1, 0, -waited.total_seconds()
        step = math.floor(math.log2(max(priority.cost, _LEAST_COST)))
        return 2 * LEVELS.index(priority.level), -step, -waited.total_seconds()

    def is_promoted(self, waited: timedelta) -> bool:
        """Whether a film has waited so long that it goes before everything but what is critical."""
        return waited >= _PROMOTED_AT * self.longest_wait

    def is_late(self, level: Level, waited: timedelta) -> bool:
        """Whether a film has waited longer than its level should."""
        return waited >= min(self.targets.get(level, self.longest_wait), self.longest_wait)

    def _level_of(self, finding: Finding) -> Level:
        level = self.findings.get(finding.key, "finding")
        if certainty_of(finding) >= _LIKELY:
            return level
        return OF_FINDINGS[min(OF_FINDINGS.index(level) + 1, len(OF_FINDINGS) - 1)]


def certainty_of(finding: Finding) -> float:
    """Return the chance that a finding is there: its probability at the site, else its calibrated score."""
    return finding.score if finding.probability is None else finding.probability


def of_report(report: StructuredReport, told: frozenset[str]) -> list[Reason]:
    """Return what a report says has to be told, and whether it was.

    told  findings that a person told since, whatever the report documents
    """
    reasons = []
    for result in report.critical:
        done = report.communication.documented or result.finding in told
        level: Level = "soon" if done else _OF_REPORT[result.urgency]
        note = "in the report, told" if done else "in the report, not yet documented as told"
        reasons.append(Reason(level, "report", result.finding, note=note))
    return reasons


def of_follow_up(severity: str, summary: str) -> Reason:
    """Return what an open follow-up says."""
    return Reason(_OF_SEVERITY[severity], "follow_up", note=summary)


def policy_from(
    limits: Sequence[Mapping[str, Any]], levels: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]
) -> TriagePolicy:
    """Return the policy of the entries of triage.yaml. Raises ConfigurationError naming the entry that is wrong."""
    values = {str(entry["id"]): entry.get("value") for entry in limits}
    return TriagePolicy(
        longest_wait=_minutes(values.get("longest_wait_minutes"), "longest_wait_minutes"),
        targets={_level(e["id"], e["id"]): _minutes(e.get("target_minutes"), str(e["id"])) for e in levels},
        findings={str(entry["id"]): _level(entry.get("level"), str(entry["id"])) for entry in findings},
    )


def _minutes(value: Any, name: str) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 60 * 24 * 365:
        raise ConfigurationError(f"triage.yaml: {name}: minutes, from 1 to a year")
    return timedelta(minutes=value)


def _level(value: Any, name: str) -> Level:
    known = {level: level for level in OF_FINDINGS}
    if value not in known:
        raise ConfigurationError(f"triage.yaml: {name}: the level is one of {', '.join(OF_FINDINGS)}")
    return known[value]
