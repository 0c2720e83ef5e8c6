"""Scores that add points: every item looks at few inputs, so what is still possible can be added up item by item.

The sum over items of what each can still give is found as the set of reachable totals, which stays small however many
inputs are missing. An item may count towards several tallies at once (points, and how many items scored three).
"""

from __future__ import annotations

import itertools
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from typing import Any

from fusion.scores.definition import Results, Values
from fusion.scores.inputs import Input

Tally = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Item:
    """One line of a points table: inputs it looks at, points they give, and towards which tallies they count."""

    inputs: tuple[str, ...]
    weigh: Callable[..., float]
    counts: Callable[[float], Tally] = lambda points: (points,)

    def tally(self, values: Values) -> Tally:
        return self.counts(self.weigh(*(values[name] for name in self.inputs)))

    def counted(self, counts: Callable[[float], Tally]) -> Item:
        """Return this item counting towards other tallies."""
        return replace(self, counts=counts)


@dataclass(frozen=True)
class Points:
    """Items, and what their tallies mean. `outcome` gets the inputs too, None for missing ones that no item decides."""

    items: tuple[Item, ...]
    outcome: Callable[[Tally, Values], Results]

    def observed(self, values: Values) -> Results:
        return self.outcome(_sum(item.tally(values) for item in self.items), values)

    def possible(self, values: Values, missing: Sequence[Input]) -> Iterator[Results]:
        looked_at = Counter(name for item in self.items for name in item.inputs)
        shared = [item for item in missing if looked_at[item.name] != 1]
        own = {item.name: item for item in missing if looked_at[item.name] == 1}
        shared_names = {item.name for item in shared}
        alone = [item for item in self.items if shared_names.isdisjoint(item.inputs)]
        together = [item for item in self.items if not shared_names.isdisjoint(item.inputs)]
        base = _reachable(alone, values, own)
        for filling in itertools.product(*(item.candidates() for item in shared)):
            fixed = {**values, **{item.name: value for item, value in zip(shared, filling, strict=True)}}
            for total in _reachable(together, fixed, own, base):
                yield self.outcome(total, fixed)


def _reachable(
    items: Sequence[Item], values: Values, own: Mapping[str, Input], start: Iterable[Tally] = ((),)
) -> set[Tally]:
    """Return the totals that can be reached from the start totals; `own` are missing inputs of one item each."""
    settled: list[Tally] = []
    known: list[set[Tally]] = []
    unknown: list[tuple[Item, tuple[Input, ...]]] = []
    for item in items:
        free = tuple(own[name] for name in item.inputs if name in own)
        if not free:
            settled.append(item.tally(values))
        elif len(free) == len(item.inputs):
            unknown.append((item, free))
        else:
            known.append(_gains(item, free, values))
    totals: set[Tally] = {_sum(settled)} if settled else {()}
    for gains in known:
        totals = _sums(totals, gains)
    if unknown:
        totals = _sums(totals, _totals_of_unknown(tuple(unknown)))
    return _sums(set(start), totals)


@lru_cache(maxsize=1024)
def _totals_of_unknown(items: tuple[tuple[Item, tuple[Input, ...]], ...]) -> set[Tally]:
    """Return the totals of items of which nothing is known: the same for all patients who lack the same inputs."""
    totals: set[Tally] = {()}
    for item, free in items:
        totals = _sums(totals, _gains(item, free, {}))
    return totals


def _gains(item: Item, free: Sequence[Input], values: Values) -> set[Tally]:
    """Return what an item can count, by the values that its free inputs can have."""
    return {
        item.tally({**values, **{i.name: value for i, value in zip(free, filling, strict=True)}})
        for filling in itertools.product(*(i.candidates() for i in free))
    }


def _sums(totals: set[Tally], gains: set[Tally]) -> set[Tally]:
    """Return every total with every gain; the total of nothing is empty."""
    if totals == {()} or gains == {()}:
        return gains if totals == {()} else totals
    return {tuple(map(operator.add, total, gain)) for total in totals for gain in gains}


def _sum(tallies: Iterable[Tally]) -> Tally:
    return tuple(map(sum, zip(*tallies, strict=True)))


def when(name: str, points: float) -> Item:
    """Return the item that gives points when a boolean is true."""
    return Item((name,), lambda value: points if value else 0)


def below(name: str, limit: float, points: float) -> Item:
    return Item((name,), lambda value: points if is_below(value, limit) else 0)


def above(name: str, limit: float, points: float) -> Item:
    return Item((name,), lambda value: points if is_above(value, limit) else 0)


def at_least(name: str, limit: float, points: float) -> Item:
    return Item((name,), lambda value: points if is_at_least(value, limit) else 0)


def at_most(name: str, limit: float, points: float) -> Item:
    return Item((name,), lambda value: points if is_at_most(value, limit) else 0)


def steps(
    name: str, *rising: tuple[float, float], otherwise: float, prepare: Callable[[float], float] | None = None
) -> Item:
    """Return the item that gives the points of the first limit (exclusive) above the value, else `otherwise`."""

    def weigh(value: Any) -> float:
        return 0 if value is None else step(prepare(value) if prepare else value, *rising, otherwise=otherwise)

    return Item((name,), weigh)


def step(value: float, *rising: tuple[float, float], otherwise: float) -> float:
    """Return the points of the first limit (exclusive) above the value, else `otherwise`."""
    return next((points for limit, points in rising if value < limit), otherwise)


def half_up(value: float, unit: str = "1") -> float:
    """Return a value in whole units, halves rounded up as at the bedside."""
    return float(Decimal(str(value)).quantize(Decimal(unit), ROUND_HALF_UP))


def is_below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def is_at_most(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def is_above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


def is_at_least(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit
