"""From words and plain characters back to offsets into the text as it was given."""

from __future__ import annotations

from typing import TypeVar

from nlp.reading import DraftMention, Reading
from nlp.result import Communication, CriticalResult, Inconsistency, Mention, Recommendation, Section
from nlp.source import SourceText

_Spanned = TypeVar("_Spanned", Recommendation, CriticalResult)


class OriginalSpans:
    """Rewrites the drafts of one reading with offsets into the original text."""

    def __init__(self, source: SourceText, reading: Reading) -> None:
        self._source = source
        self._reading = reading

    def mention(self, draft: DraftMention) -> Mention:
        stream = self._reading.stream
        start, end = self._source.original_span(stream.starts[draft.first], stream.ends[draft.last - 1])
        return Mention(
            finding=draft.finding,
            assertion=draft.assertion,
            laterality=draft.laterality,
            location=draft.location,
            severity=draft.severity,
            change=draft.change,
            measurements=draft.measurements,
            section=self._reading.sentences[draft.sentence].section,
            start=start,
            end=end,
            rule=draft.rule if draft.assertion_rule is None else f"{draft.rule}+{draft.assertion_rule}",
        )

    def moved(self, item: _Spanned) -> _Spanned:
        start, end = self._source.original_span(item.start, item.end)
        return item.model_copy(update={"start": start, "end": end})

    def communication(self) -> Communication:
        item = self._reading.communication
        if item.start is None or item.end is None:
            return item
        start, end = self._source.original_span(item.start, item.end)
        return item.model_copy(update={"start": start, "end": end})

    def inconsistency(self, item: Inconsistency) -> Inconsistency:
        spans = tuple(self._source.original_span(start, end) for start, end in item.spans)
        return item.model_copy(update={"spans": spans})

    def sections(self) -> tuple[Section, ...]:
        found = []
        for section in self._reading.sections:
            start, end = self._source.original_span(section.start, section.end)
            found.append(Section(name=section.name, start=start, end=end))
        return tuple(found)
