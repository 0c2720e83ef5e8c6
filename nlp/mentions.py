"""Component `report_mentions`: which words name a finding.

A finding is named by a phrase of the lexicon, or by a part of the body and a quality of it within
one sentence. Knows nothing of negation: that is the next component's work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spacy.language import Language
from spacy.tokens import Doc

from nlp.lexicon import Composition, FindingTerm, IgnoredTerm, Term
from nlp.phrases import Match, PhraseTable
from nlp.reading import DraftMention, Reading, Sentence, reading_of
from nlp.regions import RegionReader
from nlp.vocabulary import Vocabulary

_Named = FindingTerm | IgnoredTerm | Term
_STOPS = frozenset({";", ":", ".", "but", "however", "although"})
_LONGEST_TITLE = 4


@dataclass(frozen=True, slots=True)
class _Place:
    """A term at the words `first` to `last`."""

    term: str
    first: int
    last: int


class MentionFinder:
    """Finds the mentions of every sentence."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        entries: list[tuple[str, _Named]] = [
            (phrase, entry)
            for topic in (vocabulary.findings, vocabulary.ignored, vocabulary.terms)
            for entry in topic
            for phrase in entry.phrases
        ]
        self._table = PhraseTable(entries, vocabulary.word_forms())
        self._by_part: dict[str, list[tuple[Composition, frozenset[str]]]] = {}
        for composition in vocabulary.compositions:
            for part in composition.part:
                self._by_part.setdefault(part, []).append((composition, frozenset(composition.quality)))
        self._regions = RegionReader(vocabulary)
        self._superseded = {entry.finding: frozenset(entry.implied_by) for entry in vocabulary.superseded}

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        region = self._regions.of_report(reading)
        for number, sentence in enumerate(reading.sentences):
            found = list(self._table.longest(reading.stream.words, sentence.first, sentence.last))
            if found:
                mentions = self._mentions(reading, number, sentence, found)
                reading.mentions.extend(self._regions.read(region, reading, sentence, mentions))
        return doc

    def _mentions(
        self, reading: Reading, number: int, sentence: Sentence, found: Sequence[Match[_Named]]
    ) -> list[DraftMention]:
        mentions: list[DraftMention] = []
        places: list[_Place] = []
        for match in found:
            for entry in match.values:
                if isinstance(entry, FindingTerm):
                    span = (match.start, match.end)
                    mentions.append(DraftMention(entry.finding, entry.id, number, *span, *span))
                elif isinstance(entry, Term):
                    places.append(_Place(entry.id, match.start, match.end))
        for mention in self._composed(reading.stream.words, number, sentence.first, places):
            if not any(_same_finding_overlaps(mention, other) for other in mentions):
                mentions.append(mention)
        return sorted(self._exact(mentions), key=lambda mention: (mention.first, mention.last, mention.finding))

    def _composed(
        self, words: Sequence[str], number: int, opening: int, places: Sequence[_Place]
    ) -> Iterator[DraftMention]:
        for part in places:
            for composition, qualities in self._by_part.get(part.term, ()):
                candidates = [
                    quality
                    for quality in places
                    if quality.term in qualities and _within_reach(words, opening, composition, part, quality)
                ]
                if candidates:
                    nearest = min(candidates, key=lambda quality: _distance(part, quality))
                    mention = DraftMention(
                        composition.finding,
                        composition.id,
                        number,
                        min(part.first, nearest.first),
                        max(part.last, nearest.last),
                        nearest.first,
                        nearest.last,
                        assertion=composition.assertion,
                    )
                    yield mention

    def _exact(self, mentions: Sequence[DraftMention]) -> list[DraftMention]:
        """Without mentions that overlap one of a more exact finding."""
        return [
            mention
            for mention in mentions
            if not any(
                other.finding in self._superseded.get(mention.finding, ())
                and other.first < mention.last
                and mention.first < other.last
                for other in mentions
            )
        ]


def _distance(part: _Place, quality: _Place) -> int:
    return max(part.first, quality.first) - min(part.last, quality.last)


def _within_reach(words: Sequence[str], opening: int, composition: Composition, part: _Place, quality: _Place) -> bool:
    """Whether part and quality are said together; the colon of a short title at the `opening` does not part them."""
    part_first = part.first < quality.first
    if composition.order == "part_first" and not part_first:
        return False
    if composition.order == "quality_first" and part_first:
        return False
    first, last = min(part.last, quality.last), max(part.first, quality.first)
    return 0 <= last - first <= composition.gap and not any(
        word in _STOPS and not (word == ":" and index <= opening + _LONGEST_TITLE)
        for index, word in enumerate(words[first:last], first)
    )


def _same_finding_overlaps(one: DraftMention, other: DraftMention) -> bool:
    return one.finding == other.finding and one.first < other.last and other.first < one.last


def make_mention_finder(nlp: Language, name: str, vocabulary: dict[str, object]) -> MentionFinder:
    """The component, as spaCy makes it."""
    return MentionFinder(Vocabulary.model_validate(vocabulary))


Language.factory("report_mentions", default_config={"vocabulary": {}}, func=make_mention_finder)
