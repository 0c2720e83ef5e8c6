"""Whether values of one key at one moment agree. What contradicts itself is not used: which one is true is not guessed.

Knows values and times, not what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fusion.assessment import Dropped
from fusion.facts import Observation

ROUNDING = 0.01
"""Share of the greater by which two numbers may differ and still be one, told in two units or to fewer places."""


@dataclass(frozen=True)
class Agreed:
    """The observations that may be used, those that may not, and per key the newest moment that contradicts itself."""

    observations: Sequence[Observation]
    dropped: tuple[Dropped, ...] = ()
    contradicted: Mapping[str, datetime] = field(default_factory=dict)


def agreed(observations: Sequence[Observation]) -> Agreed:
    """Return one observation per key and moment: of several that agree the first by reference, else none of them."""
    moments: dict[tuple[str, datetime], list[Observation]] = {}
    for item in observations:
        moments.setdefault((item.key, item.at), []).append(item)
    if len(moments) == len(observations):
        return Agreed(observations)
    kept: list[Observation] = []
    dropped: list[Dropped] = []
    contradicted: dict[str, datetime] = {}
    for (key, at), together in moments.items():
        first, *others = sorted(together, key=lambda item: item.reference)
        if all(_same(first, other) for other in others):
            kept.append(first)
            dropped += [_named(other, f"told by {first.reference}, too; one is used") for other in others]
            continue
        contradicted[key] = max(at, contradicted.get(key, at))
        dropped += [_named(item, "contradicts another value of the same moment; neither is used") for item in together]
    return Agreed(kept, tuple(sorted(dropped, key=lambda item: item.reference)), contradicted)


def _same(one: Observation, other: Observation) -> bool:
    if one.bound != other.bound or isinstance(one.value, bool | str) or isinstance(other.value, bool | str):
        return (one.value, one.bound) == (other.value, other.bound)
    return abs(one.value - other.value) <= ROUNDING * max(abs(one.value), abs(other.value))


def _named(item: Observation, reason: str) -> Dropped:
    return Dropped(reference=item.reference, reason=f"{item.key}: {reason}")
