"""A next step before it is compared with the record and the ledger."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from fusion.assessment import Evidence, FollowUp, Severity, Suggestion


@dataclass(frozen=True)
class Proposal:
    """A follow-up that report, film or scores ask for; `since` is when that was said."""

    key: str
    source: Literal["radiologist", "rule"]
    rule_id: str
    rule_version: str
    finding: str | None
    summary: str
    detail: str
    severity: Severity
    suggestions: tuple[Suggestion, ...]
    due_from: date | None
    due_to: date | None
    citation: str
    since: datetime
    conditional: bool = False
    lapses_days: int | None = None
    reason: str | None = None
    evidence: tuple[Evidence, ...] = ()

    @property
    def orderables(self) -> tuple[str, ...]:
        return tuple(suggestion.orderable for suggestion in self.suggestions)

    def follow_up(
        self,
        action: Literal["open", "keep", "overdue", "close"],
        *,
        key: str,
        suggestions: tuple[Suggestion, ...] = (),
        reason: str | None = None,
    ) -> FollowUp:
        """Return it as an entry of the answer."""
        return FollowUp(
            key=key,
            action=action,
            source=self.source,
            rule_id=self.rule_id,
            rule_version=self.rule_version,
            finding=self.finding,
            summary=self.summary,
            detail=self.detail,
            severity=self.severity,
            orderables=self.orderables,
            suggestions=suggestions,
            due_from=self.due_from,
            due_to=self.due_to,
            conditional=self.conditional,
            citation=self.citation,
            reason="; ".join(part for part in (self.reason, reason) if part) or None,
            evidence=self.evidence,
        )


def follow_up_key(trigger: str, evidence_reference: str, step: str) -> str:
    """Return the stable identity of a follow-up: the same trigger, evidence and step give the same key."""
    return hashlib.sha256("\x1f".join((trigger, evidence_reference, step)).encode()).hexdigest()[:24]
