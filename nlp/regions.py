"""Which region of the body bare words are said of: `mass` in a mammogram is a mass of the breast.

Knows words only. A report's region is told by its own words, else a sentence's by the place it names.
"""

from __future__ import annotations

from collections.abc import Mapping

from nlp.lexicon import Region
from nlp.phrases import PhraseTable
from nlp.reading import Reading, Sentence
from nlp.vocabulary import Vocabulary


class RegionReader:
    """Finding -> the finding that it is in the region spoken of, by the `regions` of the vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms = vocabulary.word_forms()
        regions = vocabulary.regions
        self._report = PhraseTable([(phrase, region) for region in regions for phrase in region.phrases], forms)
        self._near = PhraseTable([(phrase, region) for region in regions for phrase in region.near], forms)
        self._unless = PhraseTable([(phrase, region) for region in regions for phrase in region.unless], forms)

    def of_report(self, reading: Reading) -> Region | None:
        """The region that the whole report is about."""
        return _first(self._report, reading, 0, len(reading.stream.words))

    def readings(self, region: Region | None, reading: Reading, sentence: Sentence) -> Mapping[str, str]:
        """How the findings of one sentence are read, in a report about `region`."""
        region = region or _first(self._near, reading, sentence.first, sentence.last)
        if region is None or _first(self._unless, reading, sentence.first, sentence.last) is region:
            return {}
        return region.readings


def _first(table: PhraseTable[Region], reading: Reading, start: int, end: int) -> Region | None:
    return next((match.values[0] for match in table.longest(reading.stream.words, start, end)), None)
