"""Checks and their results. A check looks at one thing; its item is the number in the checklist."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cds.conformance.target import Target

Status = Literal["passed", "failed", "warned", "skipped"]


@dataclass(frozen=True)
class Result:
    """What one check found.

    status  failed where a SHALL is broken, warned where a SHOULD is, skipped where it could not be seen
    detail  what was seen, and where; empty when it passed
    """

    item: int
    title: str
    status: Status
    detail: str = ""


@dataclass(frozen=True)
class Check:
    """One check: yields what is wrong; nothing means passed.

    level  M for SHALL, S for SHOULD
    """

    item: int
    level: Literal["M", "S"]
    title: str
    look: Callable[[Target], Iterator[str]]

    def result(self, target: Target) -> Result:
        """Return what the check finds at a target."""
        try:
            problems = list(dict.fromkeys(self.look(target)))
        except CannotSeeError as error:
            return Result(self.item, self.title, "skipped", str(error))
        if not problems:
            return Result(self.item, self.title, "passed")
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        return Result(
            self.item, self.title, "failed" if self.level == "M" else "warned", "; ".join(problems[:3]) + more
        )


class CannotSeeError(Exception):
    """A check has nothing to look at; the message says what would be needed."""


CHECKS: list[Check] = []


def check(item: int, level: Literal["M", "S"], title: str) -> Callable[[Callable[[Target], Iterator[str]]], Check]:
    """Register a function as a check."""

    def register(look: Callable[[Target], Iterator[str]]) -> Check:
        made = Check(item, level, title, look)
        CHECKS.append(made)
        return made

    return register
