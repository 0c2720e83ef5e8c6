"""What would have been said: cards kept in silence, per rule, against what was recorded of the same patients since.

Three things stand beside each rule: how often the same rule is accepted where it speaks, how often people agreed with
the findings of the films that the patients' cases rest on, and how often the follow-up was closed without the card.
Knows no web; `cds promote` keeps it as its evidence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.oversight.feedback_report import Rate, rate
from cds.store.tables import AssessmentRow, CardRow, FeedbackRow, FollowUpRow, VerdictRow

_AGREEING = frozenset({"agree", "corrected"})


@dataclass(frozen=True)
class SilentRule:
    """What one version of a rule would have said through one service.

    cards           that would have been shown; `patients` different ones
    per_day         cards a day, from the first to the last
    warnings        cards of indicator warning or critical
    accepted_live   acceptance of the same rule where it is shown, whichever its version
    films_agreed    verdicts of people that agree, of all on the films that the patients' cases rest on
    done_without    patients whose follow-up of this rule was closed after the card, without it
    """

    service: str
    rule: str
    rule_version: str
    cards: int
    patients: int
    first: datetime
    last: datetime
    per_day: float
    warnings: Rate
    accepted_live: Rate
    films_agreed: Rate
    done_without: Rate


def silent_report(session: Session, *, service: str | None = None, since: datetime | None = None) -> list[SilentRule]:
    """Return a row per rule that would have spoken, the most frequent first."""
    query = select(CardRow).where(CardRow.silent.is_(True)).order_by(CardRow.shown_at)
    if service is not None:
        query = query.where(CardRow.service == service)
    if since is not None:
        query = query.where(CardRow.shown_at >= since)
    groups: dict[tuple[str, str, str], list[CardRow]] = {}
    for card in session.scalars(query):
        groups.setdefault((card.service, card.rule_id, card.rule_version), []).append(card)
    rows = [_row(session, *group, cards) for group, cards in groups.items()]
    return sorted(rows, key=lambda row: (-row.cards, row.service, row.rule))


def _row(session: Session, service: str, rule: str, version: str, cards: list[CardRow]) -> SilentRule:
    first_of = {card.subject: card.shown_at for card in reversed(cards)}
    first, last = cards[0].shown_at, cards[-1].shown_at
    days = max(1.0, (last - first).total_seconds() / 86400)
    return SilentRule(
        service=service,
        rule=rule,
        rule_version=version,
        cards=len(cards),
        patients=len(first_of),
        first=first,
        last=last,
        per_day=round(len(cards) / days, 2),
        warnings=rate(sum(card.indicator != "info" for card in cards), len(cards)),
        accepted_live=_accepted_live(session, rule),
        films_agreed=_films_agreed(session, first_of),
        done_without=_done_without(session, rule, first_of),
    )


def _accepted_live(session: Session, rule: str) -> Rate:
    query = (
        select(FeedbackRow.card_uuid, FeedbackRow.outcome)
        .join(CardRow, CardRow.uuid == FeedbackRow.card_uuid)
        .where(CardRow.rule_id == rule, CardRow.silent.is_(False))
        .order_by(FeedbackRow.outcome_timestamp)
    )
    last = {row[0]: row[1] for row in session.execute(query)}
    return rate(sum(outcome == "accepted" for outcome in last.values()), len(last))


def _films_agreed(session: Session, subjects: Iterable[str]) -> Rate:
    query = (
        select(VerdictRow.film_id, VerdictRow.finding, VerdictRow.verdict)
        .join(AssessmentRow, AssessmentRow.film_id == VerdictRow.film_id)
        .where(AssessmentRow.subject.in_(list(subjects)), VerdictRow.verdict != "not_assessable")
        .order_by(VerdictRow.said_at)
    )
    last = {(row[0], row[1]): row[2] for row in session.execute(query)}
    return rate(sum(verdict in _AGREEING for verdict in last.values()), len(last))


def _done_without(session: Session, rule: str, first_of: dict[str, datetime]) -> Rate:
    """Return of how many patients, who have a follow-up of the rule in the ledger, it was closed after the card."""
    there: dict[str, bool] = {}
    for row in session.scalars(select(FollowUpRow).where(FollowUpRow.subject.in_(list(first_of)))):
        if row.follow_up.get("rule_id") == rule:
            closed = row.state == "closed" and row.changed_at >= first_of[row.subject]
            there[row.subject] = there.get(row.subject, False) or closed
    return rate(sum(there.values()), len(there))
