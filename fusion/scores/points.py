"""Scores that add points: every item looks at few inputs, so what is still possible can be added up item by item.

The sum over items of what each can still give is found as the set of reachable totals, which stays small however many
inputs are missing. An item may count towards several tallies at once (points, and how many items scored three).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusion.scores.definition import Results, Values
from fusion.scores.inputs import Input

Tally = tuple[float, ...]


@dataclass(frozen=True)
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
        return self.outcome(_sum([item.tally(values) for item in self.items]), values)

    def possible(self, values: Values, missing: Sequence[Input]) -> Iterator[Results]:
        names = {item.name for item in missing}
        seen = [name for item in self.items for name in item.inputs]
        shared = [item for item in missing if seen.count(item.name) != 1]
        own = {item.name: item for item in missing if seen.count(item.name) == 1}
        for filling in itertools.product(*(item.candidates() for item in shared)):
            fixed = {**values, **{item.name: value for item, value in zip(shared, filling, strict=True)}}
            for total in self._reachable(fixed, own, names):
                yield self.outcome(total, fixed)

    def _reachable(self, values: Values, own: dict[str, Input], missing: set[str]) -> set[Tally]:
        settled = [item.tally(values) for item in self.items if not any(name in own for name in item.inputs)]
        totals: set[Tally] = {_sum(settled)} if settled else {()}
        for item in self.items:
            free = [own[name] for name in item.inputs if name in own]
            if not free:
                continue
            reached = {
                item.tally({**values, **{i.name: value for i, value in zip(free, filling, strict=True)}})
                for filling in itertools.product(*(i.candidates() for i in free))
            }
            totals = {_sum([total, more]) if total else more for total in totals for more in reached}
        return totals


def _sum(tallies: Sequence[Tally]) -> Tally:
    return tuple(sum(part) for part in zip(*tallies, strict=True))


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


def is_below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


def is_at_most(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def is_above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


def is_at_least(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit
