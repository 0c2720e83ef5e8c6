"""What the components of the pipeline hand on to each other: one report in the course of being read.

Lives on the spaCy document as `doc._.reading`. Positions are word indices of the stream unless a
name says otherwise; character offsets are those of the plain text, mapped back only in the result.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from spacy.tokens import Doc

from nlp.result import (
    Assertion,
    Change,
    Communication,
    CriticalResult,
    ExamModality,
    Inconsistency,
    Laterality,
    Recommendation,
    SizeMeasurement,
)
from nlp.tokens import WordStream


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What is known about a report beside its text; all optional. `reported_on` makes dates of intervals."""

    age: float | None = None
    sex: str | None = None
    ordered_exam: str | None = None
    laterality: Laterality | None = None
    reported_on: date | None = None


@dataclass(slots=True)
class SectionSpan:
    """A section: character offsets of the heading and of the body."""

    name: str
    start: int
    end: int
    title_start: int


@dataclass(slots=True)
class Sentence:
    """Words `first` to `last` (exclusive) inside one section."""

    first: int
    last: int
    section: str


@dataclass(slots=True)
class DraftMention:
    """A finding mention while its context and attributes are worked out.

    `first` to `last` are the words of the mention; `head_first` to `head_last` those that context
    must reach (the quality, when the mention joins a part and its quality). `counted` is False when
    a doubt reaches the mention under which human coders would not write the finding down.
    """

    finding: str
    rule: str
    sentence: int
    first: int
    last: int
    head_first: int
    head_last: int
    assertion: Assertion = "present"
    assertion_rule: str | None = None
    counted: bool = True
    laterality: Laterality | None = None
    location: str | None = None
    severity: str | None = None
    change: Change | None = None
    measurements: tuple[SizeMeasurement, ...] = ()


@dataclass(slots=True)
class Reading:
    """One report being read: its plain text, its words, and what the components found so far."""

    text: str
    stream: WordStream
    context: ReportContext
    sections: list[SectionSpan] = field(default_factory=list)
    sentences: list[Sentence] = field(default_factory=list)
    mentions: list[DraftMention] = field(default_factory=list)
    recommendations: list[Recommendation] = field(default_factory=list)
    critical: list[CriticalResult] = field(default_factory=list)
    communication: Communication = field(default_factory=lambda: Communication(documented=False))
    scores: dict[str, Any] = field(default_factory=dict)
    inconsistencies: list[Inconsistency] = field(default_factory=list)
    modality: ExamModality | None = None

    def said_in(self, sentence: int) -> list[DraftMention]:
        """The mentions of one sentence that are present or possible, in their order."""
        low = bisect_left(self.mentions, sentence, key=lambda mention: mention.sentence)
        high = bisect_right(self.mentions, sentence, key=lambda mention: mention.sentence)
        return [mention for mention in self.mentions[low:high] if mention.assertion in ("present", "possible")]


def reading_of(doc: Doc) -> Reading:
    """The reading that a document carries."""
    reading: Reading = doc.user_data["reading"]
    return reading


def sentence_span(reading: Reading, number: int) -> tuple[int, int]:
    """Character offsets of a sentence."""
    sentence = reading.sentences[number]
    return reading.stream.starts[sentence.first], reading.stream.ends[sentence.last - 1]
