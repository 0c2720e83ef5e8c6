"""Which advice becomes a card: by service, hook and site, without repeats, the gravest first and not too many.

Nothing is left out in silence: what the cap withholds is counted in the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from cds.assessing.assessment import AssessedPatient
from cds.hooks.advisories import follow_up_advice, order_advice, unresolved_advice
from cds.hooks.cards import Advice
from cds.hooks.overview import overview_advice
from cds.hooks.services import INDICATORS, HookService, RoleSettings
from cds.site.codes import FindingCodes
from cds.site.orders import OrderTable
from cds.site.silencing import SilencedRules

_CHEST = frozenset({"chest", "ribs"})


@dataclass(frozen=True)
class Chosen:
    """Advice to show, how much more there was, and what is kept but not shown because its rule is silenced."""

    advice: tuple[Advice, ...]
    withheld: int
    quiet: int
    silenced: tuple[Advice, ...] = ()


def advice_of(
    service: HookService, hook: str, assessed: AssessedPatient, orders: OrderTable, codes: FindingCodes
) -> list[Advice]:
    """Return everything one service has to say on one hook, not yet chosen from."""
    return list(_advice_of(service, hook, assessed, orders, codes))


def _advice_of(
    service: HookService, hook: str, assessed: AssessedPatient, orders: OrderTable, codes: FindingCodes
) -> Iterator[Advice]:
    settings = service.settings
    due_by = assessed.assessment.at.date() + timedelta(days=settings.due_within_days)
    if service.id == "imaging-order-advisor":
        yield from order_advice(assessed, orders.orderables)
    elif service.id == "follow-up-tracker":
        yield from follow_up_advice(assessed, orders.orderables, due_by=due_by if hook == "patient-view" else None)
    elif hook == "patient-view" or _orders_chest(assessed):
        overview = overview_advice(assessed, codes, risk_from=settings.risk_from, due_by=due_by)
        yield from (replace(advice, again=hook == "patient-view") for advice in overview)
        yield from unresolved_advice(assessed)


def choose(
    advice: Iterable[Advice],
    service: HookService,
    *,
    overridden: Collection[str],
    shown: Collection[str],
    role: RoleSettings | None = None,
    silenced: SilencedRules | None = None,
) -> Chosen:
    """Return what is to be shown of it.

    overridden  keys that were overridden a short while ago
    shown       keys that were shown in this encounter already
    role        of the user, where the site has one for them
    silenced    rules that the site has silenced
    """
    settings = service.settings
    most, lowest = settings.max_cards, settings.minimum_indicator
    if role is not None:
        most = most if role.max_cards is None else role.max_cards
        lowest = role.minimum_indicator or lowest
    distinct: dict[str, Advice] = {}
    for item in advice:
        if INDICATORS[item.indicator] <= INDICATORS[lowest]:
            distinct.setdefault(item.key, item)
    loud = [a for a in distinct.values() if a.key not in overridden and (a.again or a.key not in shown)]
    hushed = tuple(a for a in loud if silenced and silenced.silences(service.id, a.rule_id, a.rule_version))
    spoken = [a for a in loud if a not in hushed]
    spoken.sort(key=lambda a: (INDICATORS[a.indicator], not a.overdue))
    kept = tuple(spoken[:most])
    return Chosen(kept, withheld=len(spoken) - len(kept), quiet=len(distinct) - len(loud), silenced=hushed)


def _orders_chest(assessed: AssessedPatient) -> bool:
    return any(draft.selected and draft.region in _CHEST for draft in assessed.drafts)
