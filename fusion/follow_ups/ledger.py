"""Proposals against the record and the ledger: what to open, keep, call overdue or close, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from fusion.assessment import FollowUp, OpenFollowUp
from fusion.examinations import Examination, Examinations
from fusion.follow_ups import radiologist
from fusion.follow_ups.proposal import Proposal
from fusion.follow_ups.ranking import same_matter
from fusion.rules import RuleSet, Situation

EARLY = timedelta(days=28)
"""An examination this much before its window still answers the follow-up."""
LOOK_BACK = timedelta(days=730)
"""What was asked for longer ago than this, and is in no ledger, is not opened any more."""


class Ledger:
    """The open follow-ups of one patient, brought up to date at one time."""

    def __init__(self, situation: Situation, rules: RuleSet) -> None:
        self._situation = situation
        self._rules = rules
        self._examinations: Examinations = situation.examinations
        self._today = situation.at.date()

    def updated(self, proposals: Iterable[Proposal], entries: Sequence[OpenFollowUp]) -> Iterator[FollowUp]:
        """Yield one follow-up per proposal that stands and per entry of the ledger; an entry never goes silently."""
        waiting = {entry.key: entry for entry in entries}
        for proposal in proposals:
            entry = _entry_of(proposal, waiting)
            if entry is not None:
                del waiting[entry.key]
            follow_up = self._of_proposal(proposal, entry)
            if follow_up is not None:
                yield follow_up
        for entry in waiting.values():
            yield self._of_entry(entry)

    def _of_proposal(self, proposal: Proposal, entry: OpenFollowUp | None) -> FollowUp | None:
        key = proposal.key
        if entry is not None:
            key = entry.key
            if entry.due_to is not None:
                proposal = replace(proposal, due_from=entry.due_from, due_to=entry.due_to)
        due_to = proposal.due_to
        closed = self._closed_because(proposal.orderables, proposal.since, proposal.due_from)
        if closed is None and _lapsed(due_to, proposal.lapses_days, self._today):
            closed = "lapsed: no answer within the time in which it mattered"
        if closed is not None:
            return None if entry is None else proposal.follow_up("close", key=key, reason=closed)
        if entry is None and (due_to or proposal.since.date()) + LOOK_BACK < self._today:
            return None
        overdue = due_to is not None and due_to < self._today
        ordered = [self._examinations.ordered(o, proposal.since) for o in proposal.orderables]
        suggestions = tuple(
            suggestion
            for suggestion, order in zip(proposal.suggestions, ordered, strict=True)
            if order is None and self._done(suggestion.orderable, proposal.since, None) is None
        )
        waiting_for = next((order for order in ordered if order is not None), None)
        action = "overdue" if overdue else "open" if entry is None else "keep"
        reason = None if waiting_for is None else _ordered(waiting_for)
        return proposal.follow_up(action, key=key, suggestions=suggestions, reason=reason)  # type: ignore[arg-type]

    def _of_entry(self, entry: OpenFollowUp) -> FollowUp:
        compiled = self._rules.by_id.get(entry.rule_id)
        rule = None if compiled is None else compiled.rule
        since = datetime.combine(entry.opened_on, time.min, UTC)
        closed = self._closed_because(entry.orderables, since, entry.due_from) or self._denied(entry)
        if closed is None and compiled is not None and not compiled.rule.enabled:
            closed = "the rule is switched off"
        if closed is None and rule is not None and _lapsed(entry.due_to, rule.lapses_days, self._today):
            closed = "lapsed: no answer within the time in which it mattered"
        overdue = entry.due_to is not None and entry.due_to < self._today
        by_radiologist = entry.rule_id == radiologist.RULE_ID
        return FollowUp(
            key=entry.key,
            action="close" if closed else "overdue" if overdue else "keep",
            source="radiologist" if by_radiologist else "rule",
            rule_id=entry.rule_id,
            rule_version=rule.version if rule else radiologist.RULE_VERSION if by_radiologist else "",
            finding=entry.finding,
            summary=entry.summary,
            severity=rule.severity if rule else "info",
            orderables=entry.orderables,
            due_from=entry.due_from,
            due_to=entry.due_to,
            citation=rule.citation if rule else radiologist.CITATION if by_radiologist else "",
            reason=closed,
        )

    def _closed_because(self, orderables: Sequence[str], since: datetime, due_from: date | None) -> str | None:
        if self._situation.patient.deceased:
            return "the patient has died"
        done = self._done(orderables[0], since, due_from) if orderables else None
        if done is None or done.at is None:
            return None
        return f"done on {done.at.date().isoformat()} ({done.reference})"

    def _done(self, orderable: str, since: datetime, due_from: date | None) -> Examination | None:
        earliest = since
        if due_from is not None:
            earliest = max(since, datetime.combine(due_from, time.min, UTC) - EARLY)
        return self._examinations.done_since(orderable, earliest)

    def _denied(self, entry: OpenFollowUp) -> str | None:
        """Return why a later final report answers an entry: it denies the finding, or says that it is resolved."""
        report = self._situation.report
        if report is None or report.status == "preliminary" or report.at.date() < entry.opened_on:
            return None
        said = self._situation.said.get(entry.finding or "")
        if said is None or not (said.assertion == "absent" or said.change == "resolved"):
            return None
        return f"the report of {report.at.date().isoformat()} no longer shows it ({report.reference})"


def _entry_of(proposal: Proposal, waiting: dict[str, OpenFollowUp]) -> OpenFollowUp | None:
    """Return the entry of a proposal: by key, else one of the same rule, matter and steps (said again later)."""
    if proposal.key in waiting:
        return waiting[proposal.key]
    return next(
        (
            entry
            for entry in waiting.values()
            if entry.rule_id == proposal.rule_id
            and (entry.finding == proposal.finding or same_matter(entry.finding, proposal.finding))
            and set(entry.orderables) == set(proposal.orderables)
        ),
        None,
    )


def _lapsed(due_to: date | None, lapses_days: int | None, today: date) -> bool:
    return due_to is not None and lapses_days is not None and due_to + timedelta(days=lapses_days) < today


def _ordered(order: Examination) -> str:
    when = f" on {order.at.date().isoformat()}" if order.at is not None else ""
    return f"ordered{when}, not yet done ({order.reference})"
