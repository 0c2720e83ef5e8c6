"""Component `report_attributes`: side, place, severity, change and size of each mention.

Attributes belong to the nearest mention of their sentence; words between the neighbours of a
mention are its own, so `small left effusion and right basal opacity` keeps its sides apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from spacy.language import Language
from spacy.tokens import Doc

from nlp.lexicon import ChangeTerm, LocationTerm, SeverityTerm
from nlp.measurements import Measurement, measurements_in
from nlp.phrases import Match, PhraseTable
from nlp.reading import DraftMention, Reading, reading_of
from nlp.result import Laterality, SizeMeasurement
from nlp.vocabulary import Vocabulary

_Attribute = SeverityTerm | ChangeTerm | LocationTerm
_BOUNDARIES = frozenset({";", "but", "however", "although", "while", "whereas"})
_JOINTS = frozenset({",", "and", "or", "with"})
_PLACING = frozenset({"in", "within", "at", "of", "measuring", "measures", "along", "on"})


class AttributeReader:
    """Sets laterality, location, severity, change and measurements of every mention."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        topics: tuple[Sequence[_Attribute], ...] = (vocabulary.severities, vocabulary.changes, vocabulary.locations)
        self._table = PhraseTable(
            [(phrase, entry) for topic in topics for entry in topic for phrase in entry.phrases],
            vocabulary.word_forms(),
        )

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        by_sentence: dict[int, list[DraftMention]] = {}
        for mention in reading.mentions:
            by_sentence.setdefault(mention.sentence, []).append(mention)
        for number, mentions in by_sentence.items():
            self._read_sentence(reading.text, reading, number, mentions)
        return doc

    def _read_sentence(self, text: str, reading: Reading, number: int, mentions: list[DraftMention]) -> None:
        sentence = reading.sentences[number]
        words, starts = reading.stream.words, reading.stream.starts
        found = list(self._table.longest(words, sentence.first, sentence.last))
        sizes = measurements_in(text, starts[sentence.first], reading.stream.ends[sentence.last - 1])
        edges = [sentence.first, *_edges(words, mentions), sentence.last]
        for mention, before, after in zip(mentions, edges, edges[1:], strict=False):
            first = _clause_start(words, min(before, mention.first), mention.first)
            last = _clause_end(words, mention.last, max(after, mention.last))
            _set_attributes(mention, [match for match in found if first <= match.start and match.end <= last])
            mention.measurements = _own_sizes(sizes, reading, first, last)


def _edges(words: Sequence[str], mentions: Sequence[DraftMention]) -> list[int]:
    """Between each two mentions, the word where what is said of the second begins.

    That is the last joint; without one, the words between belong to the first mention if they say
    where it lies or what it measures, else to the second.
    """
    edges = []
    for one, other in pairwise(mentions):
        between = range(one.last, other.first)
        joints = [index for index in between if words[index] in _JOINTS]
        if joints:
            edges.append(joints[-1])
        elif any(words[index] in _PLACING for index in between):
            edges.append(other.first)
        else:
            edges.append(min(one.last, other.first))
    return edges


def _clause_start(words: Sequence[str], first: int, last: int) -> int:
    for index in range(last - 1, first - 1, -1):
        if words[index] in _BOUNDARIES:
            return index + 1
    return first


def _clause_end(words: Sequence[str], first: int, last: int) -> int:
    for index in range(first, last):
        if words[index] in _BOUNDARIES:
            return index
    return last


def _set_attributes(mention: DraftMention, found: Sequence[Match[_Attribute]]) -> None:
    sides: list[tuple[int, Laterality]] = []
    for match in sorted(found, key=lambda match: _distance(match, mention)):
        for entry in match.values:
            if isinstance(entry, SeverityTerm):
                mention.severity = mention.severity or entry.value
            elif isinstance(entry, ChangeTerm):
                mention.change = mention.change or entry.value
            else:
                mention.location = mention.location or entry.value
                if entry.laterality is not None:
                    sides.append((match.start, entry.laterality))
    mention.laterality = _joined_side(sides)


def _joined_side(sides: Sequence[tuple[int, Laterality]]) -> Laterality | None:
    named = {side for _, side in sides}
    if not named:
        return None
    if "bilateral" in named or len(named) > 1:
        return "bilateral"
    return sides[0][1]


def _distance(match: Match[_Attribute], mention: DraftMention) -> int:
    if match.end <= mention.first:
        return mention.first - match.end
    return max(0, match.start - mention.last)


def _own_sizes(sizes: Sequence[Measurement], reading: Reading, first: int, last: int) -> tuple[SizeMeasurement, ...]:
    starts, ends = reading.stream.starts, reading.stream.ends
    if not sizes or first >= last:
        return ()
    begin, end = starts[first], ends[last - 1]
    return tuple(
        SizeMeasurement(values_mm=size.values_mm, prior=size.prior) for size in sizes if begin <= size.start < end
    )


def make_attribute_reader(nlp: Language, name: str, vocabulary: dict[str, object]) -> AttributeReader:
    """The component, as spaCy makes it."""
    return AttributeReader(Vocabulary.model_validate(vocabulary))


Language.factory("report_attributes", default_config={"vocabulary": {}}, func=make_attribute_reader)
