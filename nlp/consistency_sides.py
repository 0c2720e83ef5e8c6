"""Sides that contradict each other: findings and impression, the heading and what was seen, order and report.

A side counts where everything said of the same thing agrees on it; what is said of both sides, or
of none, contradicts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlp.phrases import PhraseTable
from nlp.reading import DraftMention, Reading, sentence_span
from nlp.result import Inconsistency, Laterality
from nlp.tokens import read_stream
from nlp.vocabulary import Vocabulary

_SAID = frozenset({"present", "possible"})
_HEADINGS = frozenset({"exam", "technique", "indication"})
_BODY = frozenset({"findings", "impression", "report", "addendum"})
_SIDES: tuple[Laterality, Laterality] = ("left", "right")
_OTHER: dict[str, Laterality] = {"left": "right", "right": "left"}
_LIMB_REACH = 3


class SideChecker:
    """Finds contradicting sides; which findings rest on which, and the words of limbs, are data."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._forms = vocabulary.word_forms()
        self._rests_on = {entry.finding: frozenset(entry.denied_by) for entry in vocabulary.supports}
        self._kin = {entry.finding: frozenset(entry.supported_by) for entry in vocabulary.supports}
        self._levels = {entry.value: entry.level for entry in vocabulary.locations if entry.level is not None}
        self._limbs = PhraseTable([(phrase, phrase) for phrase in vocabulary.words("limbs")], self._forms)

    def check(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        """All contradictions of sides in a report and its context."""
        yield from self._conclusions(reading, described, concluded)
        ordered = reading.context.laterality or self._limb_side(reading.context.ordered_exam or "")
        if ordered in _OTHER:
            yield from _ordered(reading, ordered)
        else:
            yield from self._heading(reading)

    def _conclusions(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        seen = _said_by_finding(described)
        for finding, claims in _said_by_finding(concluded).items():
            places = seen.get(finding)
            if places is None:
                places = [one for key in self._rests_on.get(finding, ()) for one in seen.get(key, ())]
                if len({one.finding for one in places}) != 1:
                    continue
            side, claimed = _one_side(places), _one_side(claims)
            if side is not None and claimed == _OTHER[side]:
                place = next(one for one in places if one.laterality == side)
                claim = next(one for one in claims if one.laterality == claimed)
                akin = [one for key in self._kin.get(finding, frozenset()) - {finding} for one in seen.get(key, ())]
                if self._bears_out(akin, place, claim):
                    continue
                yield Inconsistency(
                    type="laterality",
                    message=f"{finding}: {side} in the findings, {claimed} in the impression",
                    spans=(sentence_span(reading, place.sentence), sentence_span(reading, claim.sentence)),
                )

    def _bears_out(self, akin: Sequence[DraftMention], place: DraftMention, claim: DraftMention) -> bool:
        """Whether something akin is described on the claimed side.

        It must lie at the same level of the lung where finding and claim do: then they are one thing.
        """
        level = self._levels.get(claim.location)
        if level != self._levels.get(place.location):
            level = None
        return any(
            one.laterality in (claim.laterality, "bilateral") and level in (None, self._levels.get(one.location))
            for one in akin
        )

    def _heading(self, reading: Reading) -> Iterator[Inconsistency]:
        """A limb of one side in the heading, and only the other side in what was seen."""
        if not self._speaks_of_limbs(reading):
            return
        for section in reading.sections:
            if section.name not in _HEADINGS:
                continue
            side = self._limb_side(reading.text[section.start : section.end])
            other = _first_of_other_side(reading, side) if side else None
            if side and other:
                yield Inconsistency(
                    type="laterality",
                    message=f"{section.name} of the {side}, the text speaks of the {_OTHER[side]} only",
                    spans=((section.start, section.end), other),
                )
                return

    def _speaks_of_limbs(self, reading: Reading) -> bool:
        body = (sentence for sentence in reading.sentences if sentence.section in _BODY)
        words = reading.stream.words
        return any(next(self._limbs.longest(words, part.first, part.last), None) is not None for part in body)

    def _limb_side(self, text: str) -> Laterality | None:
        """The one side that stands before a limb in an exam title."""
        words = read_stream(text, self._forms).words
        sides: set[Laterality] = set()
        for match in self._limbs.longest(words):
            before = words[max(0, match.start - _LIMB_REACH) : match.start]
            sides |= {side for side in _SIDES if side in before}
        return sides.pop() if len(sides) == 1 and "bilateral" not in words else None


def _ordered(reading: Reading, side: str) -> Iterator[Inconsistency]:
    other = _first_of_other_side(reading, side)
    if other is not None:
        message = f"ordered for the {side}, the text speaks of the {_OTHER[side]} only"
        yield Inconsistency(type="laterality", message=message, spans=(other,))


def _first_of_other_side(reading: Reading, side: str) -> tuple[int, int] | None:
    """The first word of the other side where the body of the report names that side only."""
    words, stream = reading.stream.words, reading.stream
    body = [
        index
        for sentence in reading.sentences
        if sentence.section in _BODY
        for index in range(sentence.first, sentence.last)
    ]
    named = {words[index] for index in body}
    other = _OTHER[side]
    if side in named or "bilateral" in named or "both" in named or other not in named:
        return None
    index = next(index for index in body if words[index] == other)
    return stream.starts[index], stream.ends[index]


def _said_by_finding(mentions: Sequence[DraftMention]) -> dict[str, list[DraftMention]]:
    said: dict[str, list[DraftMention]] = {}
    for mention in mentions:
        if mention.assertion in _SAID:
            said.setdefault(mention.finding, []).append(mention)
    return said


def _one_side(mentions: Sequence[DraftMention]) -> Laterality | None:
    """The side on which all mentions with a side agree, if it is one."""
    sides = {mention.laterality for mention in mentions if mention.laterality is not None}
    return sides.pop() if len(sides) == 1 and not sides & {"bilateral"} else None
