"""Component `report_consistency`: where a report contradicts itself or what was ordered.

Sides of a finding in findings and impression, impressions that the findings deny or do not
mention; the checks against patient and order are in `consistency_context`. Each result carries
the spans of both sides as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from nlp.consistency_context import ContextChecker
from nlp.reading import DraftMention, Reading, reading_of
from nlp.result import Inconsistency
from nlp.vocabulary import Vocabulary

_FINDINGS = frozenset({"findings"})
_IMPRESSION = frozenset({"impression"})
_FEWEST_WORDS = 12
_SAID = frozenset({"present", "possible"})


class ConsistencyChecker:
    """Lists the inconsistencies of a report."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._supports = {entry.finding: entry for entry in vocabulary.supports}
        self._context = ContextChecker(vocabulary)

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        described = _mentions(reading, _FINDINGS)
        concluded = _mentions(reading, _IMPRESSION)
        reading.inconsistencies = [
            *_laterality(reading, described, concluded),
            *self._unsupported(reading, described, concluded),
            *self._context.check(reading.text, reading),
        ]
        return doc

    def _unsupported(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        findings = [section for section in reading.sections if section.name in _FINDINGS]
        described_words = sum(part.last - part.first for part in reading.sentences if part.section in _FINDINGS)
        if described_words < _FEWEST_WORDS:
            return
        reported: set[str] = set()
        denials = {other.finding: other for other in reversed(described) if other.assertion == "absent"}
        affirmed = {other.finding for other in described if other.assertion != "absent"}
        for mention in concluded:
            support = self._supports.get(mention.finding)
            if support is None or mention.assertion != "present" or mention.change == "resolved":
                continue
            if mention.finding in reported:
                continue
            if affirmed & {support.finding, *support.supported_by}:
                continue
            denied = denials.get(mention.finding)
            if denied is not None:
                reported.add(mention.finding)
                yield _inconsistency("unsupported_impression", reading, mention, denied, "the findings deny it")
            elif support.must_be_mentioned and findings:
                reported.add(mention.finding)
                start, end = _span(reading, mention)
                yield Inconsistency(
                    type="unsupported_impression",
                    message=f"{mention.finding} stands in the impression, the findings do not mention it",
                    spans=((start, end), (findings[0].start, findings[0].end)),
                )


def _mentions(reading: Reading, sections: frozenset[str]) -> list[DraftMention]:
    return [mention for mention in reading.mentions if reading.sentences[mention.sentence].section in sections]


def _laterality(
    reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
) -> Iterator[Inconsistency]:
    one, other = _said_by_finding(described), _said_by_finding(concluded)
    for finding in (key for key in one if key in other):
        sides = {mention.laterality for mention in one[finding]}
        claimed = {mention.laterality for mention in other[finding]}
        if len(sides) == len(claimed) == 1 and sides | claimed == {"left", "right"}:
            reason = "left in one part, right in the other"
            yield _inconsistency("laterality", reading, one[finding][0], other[finding][0], reason)


def _said_by_finding(mentions: Sequence[DraftMention]) -> dict[str, list[DraftMention]]:
    said: dict[str, list[DraftMention]] = {}
    for mention in mentions:
        if mention.assertion in _SAID:
            said.setdefault(mention.finding, []).append(mention)
    return said


def _inconsistency(kind: str, reading: Reading, one: DraftMention, other: DraftMention, reason: str) -> Inconsistency:
    return Inconsistency.model_validate(
        {
            "type": kind,
            "message": f"{one.finding}: {reason}",
            "spans": (_span(reading, one), _span(reading, other)),
        }
    )


def _span(reading: Reading, mention: DraftMention) -> tuple[int, int]:
    sentence = reading.sentences[mention.sentence]
    return reading.stream.starts[sentence.first], reading.stream.ends[sentence.last - 1]


def make_consistency(nlp: Language, name: str, vocabulary: dict[str, object]) -> ConsistencyChecker:
    """The component, as spaCy makes it."""
    return ConsistencyChecker(Vocabulary.model_validate(vocabulary))


Language.factory("report_consistency", default_config={"vocabulary": {}}, func=make_consistency)
