"""A report's text in pieces, each with what was read in it, so that a page can mark words without changing them.

Pure: text and spans in, pieces out. Escaping is the template's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nlp import StructuredReport

MarkKind = Literal["finding", "recommendation", "critical", "communication", "inconsistency"]


@dataclass(frozen=True)
class Mark:
    """What was read in a span of characters.

    assertion  of a finding: present, absent, possible, ...; None for the other kinds
    words      what it stands for, as people read it
    """

    kind: MarkKind
    start: int
    end: int
    words: str
    finding: str | None = None
    assertion: str | None = None


@dataclass(frozen=True)
class Piece:
    """A part of the text; `marks` is empty where nothing was read."""

    text: str
    marks: tuple[Mark, ...]

    @property
    def finding(self) -> Mark | None:
        """The finding said in these words, the shortest span first."""
        found = [mark for mark in self.marks if mark.kind == "finding"]
        return min(found, key=lambda mark: mark.end - mark.start, default=None)

    @property
    def classes(self) -> str:
        """CSS classes of the marks."""
        names = dict.fromkeys(mark.kind for mark in self.marks)
        said = self.finding
        return " ".join([*names, *([said.assertion] if said is not None and said.assertion else [])])

    @property
    def title(self) -> str:
        return "; ".join(dict.fromkeys(mark.words for mark in self.marks))


def pieces_of(text: str, marks: Iterable[Mark]) -> list[Piece]:
    """Return the whole text cut wherever a mark starts or ends; joined, the pieces are the text.

    Marks that are empty or lie outside the text are left out.
    """
    valid = [mark for mark in marks if 0 <= mark.start < mark.end <= len(text)]
    cuts = sorted({0, len(text), *(mark.start for mark in valid), *(mark.end for mark in valid)})
    coming = sorted(valid, key=lambda mark: mark.start)[::-1]
    pieces: list[Piece] = []
    current: list[Mark] = []
    for start, end in itertools.pairwise(cuts):
        current = [mark for mark in current if mark.end > start]
        while coming and coming[-1].start <= start:
            current.append(coming.pop())
        pieces.append(Piece(text[start:end], tuple(current)))
    return pieces


def marks_of(report: StructuredReport, display: Mapping[str, str]) -> Sequence[Mark]:
    """Return what was read in a report; `display` is finding key -> name."""
    return [*_findings(report, display), *_next_steps(report), *_urgent(report, display)]


def _findings(report: StructuredReport, display: Mapping[str, str]) -> list[Mark]:
    marks = []
    for mention in report.findings:
        details = [mention.laterality, mention.location, mention.severity, mention.change]
        name = display.get(mention.finding, mention.finding)
        words = f"{name}: {', '.join(filter(None, [mention.assertion, *details]))}"
        marks.append(Mark("finding", mention.start, mention.end, words, mention.finding, mention.assertion))
    return marks


def _next_steps(report: StructuredReport) -> list[Mark]:
    return [
        Mark("recommendation", step.start, step.end, f"asks for {step.modality} {step.body_part or ''}".strip())
        for step in report.recommendations
    ]


def _urgent(report: StructuredReport, display: Mapping[str, str]) -> list[Mark]:
    within = {1: "minutes", 2: "hours", 3: "days"}
    marks = [
        Mark("critical", c.start, c.end, f"to be told within {within[c.urgency]}: {display.get(c.finding, c.finding)}")
        for c in report.critical
    ]
    told = report.communication
    if told.documented and told.start is not None and told.end is not None:
        marks.append(Mark("communication", told.start, told.end, "documented as told"))
    marks += [
        Mark("inconsistency", start, end, item.message) for item in report.inconsistencies for start, end in item.spans
    ]
    return marks
