"""What the rules say about drafted orders: kidney and contrast, pregnancy, duplicates, the better test. Never a block.

An order that is not mapped to an orderable gets no check; `cds` counts it and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from fusion.assessment import DraftOrder, OrderCheck, RuleStatus, Suggestion
from fusion.orderables import Orderable
from fusion.rules import CompiledRule, Fired, RuleSet, Situation
from fusion.rules.definition import OrderPattern

_SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}


def order_checks_of(
    situation: Situation, rules: RuleSet, orders: Sequence[DraftOrder]
) -> tuple[tuple[OrderCheck, ...], tuple[RuleStatus, ...]]:
    """Return the checks of the selected drafts, the gravest first, and the rules that could not be evaluated."""
    checks: list[OrderCheck] = []
    statuses: dict[tuple[str, str], RuleStatus] = {}
    for draft in orders:
        if draft.orderable is None or not draft.selected:
            continue
        order = completed(draft, situation.examinations.orderables.get(draft.orderable))
        for outcome in _outcomes(situation.of_order(order), rules, order):
            if isinstance(outcome, OrderCheck):
                checks.append(outcome)
            else:
                statuses.setdefault((outcome.rule_id, outcome.status), outcome)
    checks.sort(key=lambda check: _SEVERITY_ORDER[check.severity])
    return tuple(checks), tuple(statuses.values())


def completed(draft: DraftOrder, orderable: Orderable | None) -> DraftOrder:
    """Return a draft with what its orderable says of modality, region, contrast and side, where the draft is silent."""
    if orderable is None:
        return draft
    known = {
        name: getattr(draft, name) or getattr(orderable, name)
        for name in ("modality", "region", "contrast", "laterality")
    }
    return draft.model_copy(update=known)


def _outcomes(situation: Situation, rules: RuleSet, order: DraftOrder) -> Iterator[OrderCheck | RuleStatus]:
    for compiled in rules.of_orders:
        pattern = compiled.rule.trigger.order
        if pattern is None or not matches(pattern, order):
            continue
        outcome = compiled.evaluate(situation)
        if isinstance(outcome, Fired):
            yield _check(compiled, outcome, situation, order)
        elif outcome is not None:
            yield outcome


def matches(pattern: OrderPattern, order: DraftOrder) -> bool:
    """Return whether a draft is of the kind that a rule looks at."""
    return (
        (not pattern.orderable or order.orderable in pattern.orderable)
        and (not pattern.modality or order.modality in pattern.modality)
        and (not pattern.region or order.region in pattern.region)
        and (not pattern.contrast or order.contrast in pattern.contrast)
    )


def _check(compiled: CompiledRule, fired: Fired, situation: Situation, order: DraftOrder) -> OrderCheck:
    rule = compiled.rule
    today = situation.at.date()
    return OrderCheck(
        order_id=order.id,
        rule_id=rule.id,
        rule_version=rule.version,
        severity=rule.severity,
        summary=rule.summary,
        detail=fired.detail,
        suggestions=tuple(
            Suggestion(
                orderable=step.orderable,
                text=step.text,
                urgency=step.urgency,
                due_from=None if step.due_days is None else today + timedelta(days=step.due_days[0]),
                due_to=None if step.due_days is None else today + timedelta(days=step.due_days[1]),
            )
            for step in rule.suggestions
            if not step.for_orders or order.orderable in step.for_orders
        ),
        citation=rule.citation,
        evidence=fired.evidence,
    )
