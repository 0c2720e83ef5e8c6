"""What a score declares, and what it returns when inputs are missing.

The value follows the observed-data convention: what was not observed gives no points. Beside it stands what the missing
inputs could still make of it, found exactly, by trying the values on both sides of every boundary. A band or a
decision is given only when every possible value of the missing inputs leads to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Protocol

from fusion.errors import ScoreInputError
from fusion.scores.inputs import Input, flag, number

Values = Mapping[str, Any]
Results = dict[str, Any]

_AGE = number("age", "years", 0, 130, optional=True, fact="age")
_PREGNANT = flag("pregnant", "pregnant", optional=True)
_MISSING_AS_NORMAL = flag("missing_as_normal", optional=True)


class Rule(Protocol):
    """How results follow from inputs."""

    def observed(self, values: Values) -> Results:
        """Return the results by what was observed; a missing input is None."""

    def possible(self, values: Values, missing: Sequence[Input]) -> Iterable[Results]:
        """Return every result, at least once, that values of the missing inputs can lead to."""


@dataclass(frozen=True)
class Formula:
    """A function of all inputs; what is possible is found by trying all combinations of the missing ones."""

    results: Callable[[Values], Results]

    def observed(self, values: Values) -> Results:
        return self.results(values)

    def possible(self, values: Values, missing: Sequence[Input]) -> Iterator[Results]:
        names = [item.name for item in missing]
        for filling in itertools.product(*(item.candidates() for item in missing)):
            yield self.results({**values, **dict(zip(names, filling, strict=True))})


@dataclass(frozen=True)
class Population:
    """For whom a score was made; `exclusions` are facts that put a patient outside when true, with the reason."""

    text: str = "adults"
    minimum_age: float | None = 18
    pregnancy: bool = True
    exclusions: Mapping[str, str] | None = None

    def reason_outside(self, values: Values) -> str | None:
        """Return why a patient is outside, or None."""
        years = values.get("age")
        if years is not None and self.minimum_age is not None and years < self.minimum_age:
            return f"made for age {self.minimum_age:g} and over"
        if not self.pregnancy and values.get("pregnant"):
            return "not made for pregnancy"
        return next((reason for name, reason in (self.exclusions or {}).items() if values.get(name)), None)


@dataclass(frozen=True)
class ScoreDefinition:
    """A deterministic score with its declaration.

    number   the result that is a number, for minimum and maximum; None when there is none
    counts   further results that are counts of what was observed
    needs    inputs without which there is no number at all (formulas; the age in points that are years)
    band     the result that assessments show as the band
    missing_as_normal  whether the original paper counts missing as normal, offered as an explicit input
    check    raises ScoreInputError when inputs contradict each other
    """

    name: str
    title: str
    inputs: tuple[Input, ...]
    rule: Rule
    citation: str
    number: str | None = "score"
    counts: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    band: str | None = "band"
    bands: str = ""
    population: Population = Population()
    missing_as_normal: bool = False
    check: Callable[[Values], None] | None = None
    version: str = "1.0"

    @cached_property
    def accepted(self) -> Mapping[str, Input]:
        """Inputs by name, with those that only decide whether the score applies."""
        gates = [_AGE, _PREGNANT, *(flag(name, optional=True) for name in self.population.exclusions or {})]
        if self.missing_as_normal:
            gates.append(_MISSING_AS_NORMAL)
        return {item.name: item for item in (*gates, *self.inputs)}

    def describe(self) -> dict[str, Any]:
        """Return the declaration as JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "inputs": [item.describe() for item in self.accepted.values()],
            "bands": self.bands,
            "population": self.population.text,
            "citation": self.citation,
            "version": self.version,
        }

    def calculate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return results by name, with status, minimum and maximum (or possible), missing, citation and version.

        Raises ScoreInputError naming the input that is unknown, of the wrong type or impossible.
        """
        values = self._checked(given)
        missing = self.missing(values)
        reason = self.population.reason_outside(values)
        if reason is not None:
            names = self.rule.observed({item.name: None for item in self.inputs})
            results: Results = {**dict.fromkeys(names), "status": "not_applicable", "reason": reason}
        elif values.get("missing_as_normal"):
            results = {**self.rule.observed(values), "status": "ok", "missing_as_normal": True}
        elif not missing:
            observed = self.rule.observed(values)
            results = {**observed, "status": "ok", **self._bounds([observed])}
        else:
            results = {**self._incomplete(values, missing), "status": "incomplete"}
        names_missing = [item.name for item in missing]
        return {**results, "missing": names_missing, "citation": self.citation, "version": self.version}

    def missing(self, values: Values) -> tuple[Input, ...]:
        """Return the inputs that are missing: not optional, not given, and no other of their group given."""
        groups = {item.group for item in self.inputs if item.group and values.get(item.name) is not None}
        return tuple(
            item
            for item in self.inputs
            if values.get(item.name) is None and not item.optional and item.group not in groups
        )

    def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        unknown = sorted(str(name) for name in set(given) - set(self.accepted))
        if unknown:
            names = [item.name for item in self.inputs]
            near = get_close_matches(unknown[0], names, n=1)
            meant = f", perhaps for {near[0]}" if near else ""
            raise ScoreInputError(f"{self.name}: {len(unknown)} unknown input{meant}; inputs: {', '.join(names)}")
        values = {name: item.checked(given.get(name)) for name, item in self.accepted.items()}
        if self.check is not None:
            self.check(values)
        return values

    def _incomplete(self, values: Values, missing: Sequence[Input]) -> Results:
        outcomes = list(self.rule.possible(values, _one_of_each_group(missing)))
        results = {
            name: value
            if name == self.number or name in self.counts
            else _agreed(outcome[name] for outcome in outcomes)
            for name, value in self.rule.observed(values).items()
        }
        if self.number is not None and any(item.name in self.needs for item in missing):
            results[self.number] = None
        return {**results, **self._bounds(outcomes)}

    def _bounds(self, outcomes: Sequence[Results]) -> Results:
        if self.number is None:
            single = len(outcomes[0]) == 1
            return {"possible": _distinct(next(iter(outcome.values())) if single else outcome for outcome in outcomes)}
        numbers = [outcome[self.number] for outcome in outcomes if outcome[self.number] is not None]
        return {"minimum": min(numbers, default=None), "maximum": max(numbers, default=None)}


def _one_of_each_group(missing: Sequence[Input]) -> tuple[Input, ...]:
    groups: set[str] = set()
    free = []
    for item in missing:
        if item.group is None or item.group not in groups:
            free.append(item)
        if item.group is not None:
            groups.add(item.group)
    return tuple(free)


def _agreed(values: Iterable[Any]) -> Any:
    distinct = _distinct(values)
    return distinct[0] if len(distinct) == 1 else None


def _distinct(values: Iterable[Any]) -> list[Any]:
    distinct: list[Any] = []
    for value in values:
        if value not in distinct:
            distinct.append(value)
    return distinct


def band_of(value: float, *limits: tuple[float, str]) -> str:
    """Return the first band whose upper limit (inclusive) is not below the value."""
    for upper, name in limits:
        if value <= upper:
            return name
    raise ValueError("no band reaches the value")
