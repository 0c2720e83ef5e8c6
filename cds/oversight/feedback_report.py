"""What became of cards: acceptance and override rates with intervals, and which rules that speaks against.

Proposes, never acts: a person silences a rule (`cds feedback silence`), as an act on record. Rates are of answered
cards; a card without feedback counts as shown and as nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.store.tables import CardRow, FeedbackRow

FEWEST_ANSWERS = 20
SILENCE_ABOVE, RETUNE_ABOVE = 0.9, 0.6
"""Override rates whose lower bound (95 %) speaks for silencing a rule, and for looking at its threshold."""
_NO_REASON = "no reason given"
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Rate:
    """A share with its 95 % interval (Wilson 1927); all None without a case."""

    cases: int
    of: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Answers:
    """What became of the cards of one rule version, service and role.

    models  versions of the learned models that the cards used
    silent  cards that were kept and not shown
    """

    rule: str
    rule_version: str
    service: str
    role: str
    models: Mapping[str, str]
    shown: int
    silent: int
    accepted: Rate
    overridden: Rate
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Proposal:
    """What the answers to one version of a rule speak for, over all services and roles."""

    rule: str
    rule_version: str
    proposal: Literal["keep", "retune", "silence", "too_few"]
    why: str
    shown: int
    accepted: Rate
    overridden: Rate


@dataclass(frozen=True)
class FeedbackReport:
    """Rates in every breakdown that was asked for, and the proposals."""

    since: datetime | None
    unknown_cards: int
    answers: tuple[Answers, ...]
    proposals: tuple[Proposal, ...]


@dataclass(frozen=True)
class _Told:
    """One card with its last word."""

    card: CardRow
    outcome: str | None
    reason: str | None

    @property
    def group(self) -> tuple[str, str, str, str, tuple[tuple[str, str], ...]]:
        card = self.card
        models = tuple(sorted(card.models.items()))
        return card.rule_id, card.rule_version, card.service, card.role or "unknown", models


def feedback_report(session: Session, *, since: datetime | None = None) -> FeedbackReport:
    """Return what became of the cards, those since a time."""
    told = list(_told(session, since))
    answers = [_answers(group, cards) for group, cards in _grouped(told, lambda one: one.group)]
    proposals = [
        _proposal(rule, version, cards)
        for (rule, version), cards in _grouped(told, lambda one: (one.card.rule_id, one.card.rule_version))
        if any(not one.card.silent for one in cards)
    ]
    unknown = session.scalar(
        select(func.count()).select_from(FeedbackRow).where(FeedbackRow.card_uuid.not_in(select(CardRow.uuid)))
    )
    return FeedbackReport(since, unknown or 0, tuple(answers), tuple(proposals))


def rate(cases: int, of: int) -> Rate:
    """Return a share with its interval."""
    if of == 0:
        return Rate(0, 0, None, None, None)
    from scipy.stats import binomtest

    interval = binomtest(cases, of).proportion_ci(method="wilson")
    return Rate(cases, of, round(cases / of, 4), round(float(interval.low), 4), round(float(interval.high), 4))


def _told(session: Session, since: datetime | None) -> Iterable[_Told]:
    last: dict[str, FeedbackRow] = {}
    for row in session.scalars(select(FeedbackRow).order_by(FeedbackRow.outcome_timestamp)):
        last[row.card_uuid] = row
    query = select(CardRow)
    if since is not None:
        query = query.where(CardRow.shown_at >= since)
    for card in session.scalars(query):
        said = last.get(card.uuid)
        yield _Told(card, said.outcome if said else None, _reason(said) if said else None)


def _reason(said: FeedbackRow) -> str | None:
    if said.outcome != "overridden":
        return None
    reason = said.detail.get("reason") or {}
    return str(reason.get("code") or _NO_REASON)


def _grouped(told: Iterable[_Told], key: Callable[[_Told], _Key]) -> Iterable[tuple[_Key, list[_Told]]]:
    groups: dict[_Key, list[_Told]] = {}
    for one in told:
        groups.setdefault(key(one), []).append(one)
    return sorted(groups.items(), key=lambda item: str(item[0]))


def _outcomes(cards: Iterable[_Told]) -> tuple[int, Rate, Rate]:
    """Return how many cards were shown, and the rates of acceptance and override among those answered."""
    shown = [one for one in cards if not one.card.silent]
    outcomes = Counter(one.outcome for one in shown)
    answered = outcomes["accepted"] + outcomes["overridden"]
    return len(shown), rate(outcomes["accepted"], answered), rate(outcomes["overridden"], answered)


def _answers(group: tuple[str, str, str, str, tuple[tuple[str, str], ...]], cards: list[_Told]) -> Answers:
    rule, version, service, role, models = group
    shown, accepted, overridden = _outcomes(cards)
    reasons = Counter(one.reason for one in cards if one.reason is not None)
    return Answers(
        rule, version, service, role, dict(models), shown, len(cards) - shown, accepted, overridden, dict(reasons)
    )


def _proposal(rule: str, version: str, cards: list[_Told]) -> Proposal:
    shown, accepted, overridden = _outcomes(cards)
    verdict, why = _verdict(overridden)
    return Proposal(rule, version, verdict, why, shown, accepted, overridden)


def _verdict(overridden: Rate) -> tuple[Literal["keep", "retune", "silence", "too_few"], str]:
    if overridden.of < FEWEST_ANSWERS:
        return "too_few", f"{overridden.of} answers, fewer than {FEWEST_ANSWERS}"
    low = overridden.low or 0.0
    if low > SILENCE_ABOVE:
        return "silence", f"overridden in at least {low:.0%} of answers (95 %), more than {SILENCE_ABOVE:.0%}"
    if low > RETUNE_ABOVE:
        return "retune", f"overridden in at least {low:.0%} of answers (95 %), more than {RETUNE_ABOVE:.0%}"
    return "keep", f"overridden in at least {low:.0%} of answers (95 %), which speaks not against it"
