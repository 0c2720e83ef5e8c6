"""Which region of the body bare words are said of: `mass` in a mammogram is a mass of the breast.

Knows words only. A report's region is told by its own words or its title, else a sentence's by the
place it names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nlp.lexicon import Region
from nlp.phrases import PhraseTable
from nlp.reading import DraftMention, Reading, Sentence
from nlp.vocabulary import Vocabulary

_TITLED = frozenset({"exam", "technique"})
_LONGEST_OPENING = 10


class RegionReader:
    """Renames and drops findings by the `regions` of the vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms, regions = vocabulary.word_forms(), vocabulary.regions

        def table(phrases: Callable[[Region], Sequence[str]]) -> PhraseTable[Region]:
            return PhraseTable([(phrase, region) for region in regions for phrase in phrases(region)], forms)

        self._report = table(lambda region: region.phrases)
        self._titles = table(lambda region: region.titles)
        self._without = table(lambda region: region.without)
        self._near = table(lambda region: region.near)
        self._unless = table(lambda region: region.unless)
        self._only = {finding: region for region in regions for finding in region.only}

    def of_report(self, reading: Reading) -> Region | None:
        """The region that the whole report is about."""
        length = len(reading.stream.words)
        return _first(self._report, reading, 0, length) or self._of_title(reading, length)

    def read(
        self, region: Region | None, reading: Reading, sentence: Sentence, mentions: Sequence[DraftMention]
    ) -> list[DraftMention]:
        """The mentions of one sentence, in a report about `region`, as that region reads them."""
        region = region or _first(self._near, reading, sentence.first, sentence.last)
        if region is not None and _holds(self._unless, region, reading, sentence.first, sentence.last):
            region = None
        kept = []
        for mention in mentions:
            if self._only.get(mention.finding, region) is not region:
                continue
            finding = region.readings.get(mention.finding, mention.finding) if region else mention.finding
            if finding is not None:
                mention.finding = finding
                kept.append(mention)
        return kept

    def _of_title(self, reading: Reading, length: int) -> Region | None:
        for number, sentence in enumerate(reading.sentences):
            opening = number == 0 and sentence.last - sentence.first <= _LONGEST_OPENING
            if opening or sentence.section in _TITLED:
                region = _first(self._titles, reading, sentence.first, sentence.last)
                if region is not None and not _holds(self._without, region, reading, 0, length):
                    return region
        return None


def _first(table: PhraseTable[Region], reading: Reading, start: int, end: int) -> Region | None:
    return next((match.values[0] for match in table.longest(reading.stream.words, start, end)), None)


def _holds(table: PhraseTable[Region], region: Region, reading: Reading, start: int, end: int) -> bool:
    return any(region in match.values for match in table.longest(reading.stream.words, start, end))
