"""Inputs of scores: what they are, which values are possible, and which values show everything a formula can do.

A value that is impossible or of the wrong type is refused by name; one that is unusual but possible is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from fusion.errors import ScoreInputError

HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)

_UNKNOWN_SEX = frozenset({"unknown", "other"})


@dataclass(frozen=True, eq=False)
class Input:
    """One input of a score.

    kind       number, integer, boolean or choice
    low, high  what can be, inclusive; outside is refused
    tries      values on both sides of every boundary of the formula, tried when the input is missing
    unknown    choices that say that the value is not known
    group      inputs with the same group stand for each other: any one suffices
    optional   may be left out without being missing
    loinc      LOINC codes of the observation
    fact       where a patient's value comes from, if not the observation of this name (see `filling`)
    freshness  how old an observation may be
    """

    name: str
    kind: Literal["number", "integer", "boolean", "choice"] = "boolean"
    unit: str | None = None
    low: float = -math.inf
    high: float = math.inf
    tries: tuple[Any, ...] = ()
    choices: tuple[Any, ...] = ()
    unknown: frozenset[str] = frozenset()
    group: str | None = None
    optional: bool = False
    loinc: tuple[str, ...] = ()
    fact: str | None = None
    freshness: timedelta | None = None

    def candidates(self) -> tuple[Any, ...]:
        """Return the values to try when this input is missing."""
        if self.kind == "boolean":
            return (False, True)
        return self.choices if self.kind == "choice" else self.tries

    def checked(self, value: Any) -> Any:
        """Return a given value, None for a missing or unknown one.

        Raises ScoreInputError that names the input and says what would be right.
        """
        if value is None or (isinstance(value, str) and value in self.unknown):
            return None
        if self.kind == "boolean":
            return self._boolean(value)
        return self._choice(value) if self.kind == "choice" else self._number(value)

    def describe(self) -> dict[str, Any]:
        """Return the declaration as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "unit": self.unit,
            "low": self.low if math.isfinite(self.low) else None,
            "high": self.high if math.isfinite(self.high) else None,
            "choices": list(self.choices) or None,
            "stands_for": self.group,
            "optional": self.optional,
            "loinc": list(self.loinc),
            "fresh_for_hours": None if self.freshness is None else self.freshness / HOUR,
        }

    def _boolean(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ScoreInputError(f"{self.name}: expected true or false")
        return value

    def _choice(self, value: Any) -> Any:
        for choice in self.choices:
            if choice == value and isinstance(value, bool) == isinstance(choice, bool):
                return choice
        raise ScoreInputError(f"{self.name}: expected one of {', '.join(map(str, self.choices))}")

    def _number(self, value: Any) -> float:
        unit = f" in {self.unit}" if self.unit else ""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ScoreInputError(f"{self.name}: expected a number{unit}")
        if self.kind == "integer" and value != int(value):
            raise ScoreInputError(f"{self.name}: expected a whole number{unit}")
        if not self.low <= value <= self.high:
            raise ScoreInputError(f"{self.name}: expected {self.low:g} to {self.high:g} {self.unit or ''}".rstrip())
        return value


def number(name: str, unit: str, low: float, high: float, *tries: float, **more: Any) -> Input:
    """Return a numeric input; the ends of its range are tried when no values are named."""
    return Input(name, "number", unit, low, high, tries or (low, high), **more)


def integer(name: str, unit: str, low: int, high: int, *tries: int, **more: Any) -> Input:
    return Input(name, "integer", unit, low, high, tries or (low, high), **more)


def flag(name: str, fact: str | None = None, **more: Any) -> Input:
    return Input(name, "boolean", fact=fact, **more)


def choice(name: str, choices: Sequence[Any], **more: Any) -> Input:
    return Input(name, "choice", choices=tuple(choices), **more)


def sex() -> Input:
    """Sex assigned at birth, or hormonal; unknown and other leave both values possible."""
    return choice("sex", ("male", "female"), unknown=_UNKNOWN_SEX, fact="sex")


def age(*tries: float, **more: Any) -> Input:
    return number("age", "years", 0, 130, *tries, fact="age", **more)


def respiratory_rate(*tries: float, freshness: timedelta = DAY, **more: Any) -> Input:
    return number("respiratory_rate", "/min", 0, 120, *tries, loinc=("9279-1",), freshness=freshness, **more)


def systolic_bp(*tries: float, freshness: timedelta = DAY) -> Input:
    return number("systolic_bp", "mm[Hg]", 0, 350, *tries, loinc=("8480-6",), freshness=freshness)


def heart_rate(*tries: float, freshness: timedelta = DAY) -> Input:
    return number("heart_rate", "/min", 0, 350, *tries, loinc=("8867-4",), freshness=freshness)


def temperature_c(*tries: float, freshness: timedelta = DAY) -> Input:
    return number("temperature_c", "Cel", 20, 46, *tries, loinc=("8310-5",), freshness=freshness)


def spo2_percent(*tries: float, freshness: timedelta = DAY, **more: Any) -> Input:
    return number("spo2_percent", "%", 0, 100, *tries, loinc=("59408-5", "2708-6"), freshness=freshness, **more)


def glasgow_coma_scale(*tries: int, freshness: timedelta = DAY) -> Input:
    return integer("glasgow_coma_scale", "{score}", 3, 15, *tries, loinc=("9269-2",), freshness=freshness)


def laboratory(
    name: str, unit: str, low: float, high: float, *tries: float, loinc: str, days: int = 2, **more: Any
) -> Input:
    """Return a laboratory value that may be some days old."""
    return number(name, unit, low, high, *tries, loinc=(loinc,), freshness=timedelta(days=days), **more)
