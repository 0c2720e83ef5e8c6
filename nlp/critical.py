"""Component `report_critical`: findings that must be told, and whether the text says they were.

Urgency follows the three classes of actionable findings (Larson 2014, JACR): 1 minutes, 2 hours,
3 days. The table is data; a finding in doubt counts, a denied, past or resolved one does not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from spacy.language import Language
from spacy.tokens import Doc

from nlp.lexicon import CriticalTerm, WordList
from nlp.phrases import Match, PhraseTable
from nlp.reading import DraftMention, Reading, reading_of
from nlp.result import Communication, CriticalResult
from nlp.vocabulary import Vocabulary

_TOLD, _RECIPIENTS, _CHANNELS = "communication_told", "communication_recipients", "communication_channels"
_TIME = re.compile(
    r"\b(?:\d{1,2}:\d{2}(?:\s?[ap]\.?m\.?)?(?:\s?hours)?|\d{3,4}\s?(?:hours|hrs)|\d{1,2}\s?[ap]\.?m\b\.?|XXXX\s?[ap]\.?m\b\.?)"
    r"(?:\s(?:on\s)?(?:\d{1,2}/\d{1,2}/\d{2,4}|\d{4}-\d{2}-\d{2}|[A-Z][a-z]+ \d{1,2},? \d{4}))?"
    r"|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\b\d{4}-\d{2}-\d{2}\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\s*(?P<name>(?:Dr\.?|Doctor|Mr\.?|Ms\.?|Mrs\.?)\s?(?:[A-Z][\w'-]*\.?\s?){1,3})")
_NAME_REACH = 60


class CriticalFinder:
    """Lists critical results and reads their communication."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._terms: dict[str, list[CriticalTerm]] = {}
        for term in vocabulary.critical:
            self._terms.setdefault(term.finding, []).append(term)
        lists = [entry for entry in vocabulary.word_lists if entry.id.startswith("communication_")]
        self._told = PhraseTable(
            [(phrase, entry) for entry in lists for phrase in entry.phrases], vocabulary.word_forms()
        )

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        reading.critical = self._critical(reading)
        reading.communication = self._communication(reading.text, reading)
        return doc

    def _critical(self, reading: Reading) -> list[CriticalResult]:
        found: dict[str, CriticalResult] = {}
        for mention in reading.mentions:
            term = self._term(mention)
            if term is None:
                continue
            start, end = reading.stream.starts[mention.first], reading.stream.ends[mention.last - 1]
            known = found.get(mention.finding)
            if known is None or term.urgency < known.urgency:
                found[mention.finding] = CriticalResult(
                    finding=mention.finding, urgency=term.urgency, start=start, end=end
                )
        return sorted(found.values(), key=lambda result: (result.urgency, result.start))

    def _term(self, mention: DraftMention) -> CriticalTerm | None:
        if mention.assertion not in ("present", "possible") or mention.change == "resolved":
            return None
        fitting = [term for term in self._terms.get(mention.finding, ()) if _fits(term, mention)]
        return min(fitting, key=lambda term: term.urgency) if fitting else None

    def _communication(self, text: str, reading: Reading) -> Communication:
        for sentence in reading.sentences:
            cues = list(self._told.longest(reading.stream.words, sentence.first, sentence.last))
            told = _first(cues, _TOLD)
            recipient, channel = _first(cues, _RECIPIENTS), _first(cues, _CHANNELS)
            if told is None or (recipient is None and channel is None):
                continue
            starts, ends = reading.stream.starts, reading.stream.ends
            start, end = starts[sentence.first], ends[sentence.last - 1]
            time = _TIME.search(text, start, end)
            return Communication(
                documented=True,
                to=_recipient(text, starts[recipient.start], ends[recipient.end - 1], end) if recipient else None,
                at=time.group().strip() if time else None,
                how=text[starts[channel.start] : ends[channel.end - 1]] if channel else None,
                start=start,
                end=end,
            )
        return Communication(documented=False)


def _fits(term: CriticalTerm, mention: DraftMention) -> bool:
    if term.severity and mention.severity not in term.severity:
        return False
    if term.change and mention.change not in term.change:
        return False
    if term.at_least_mm is not None:
        return any(not size.prior and max(size.values_mm) >= term.at_least_mm for size in mention.measurements)
    return mention.change not in term.unless


def _first(cues: Sequence[Match[WordList]], name: str) -> Match[WordList] | None:
    return next((match for match in cues if any(entry.id == name for entry in match.values)), None)


def _recipient(text: str, start: int, end: int, limit: int) -> str:
    named = _NAME.match(text, start, min(limit, end + _NAME_REACH))
    return named["name"].strip().rstrip(".") if named else text[start:end]


def make_critical(nlp: Language, name: str, vocabulary: dict[str, object]) -> CriticalFinder:
    """The component, as spaCy makes it."""
    return CriticalFinder(Vocabulary.model_validate(vocabulary))


Language.factory("report_critical", default_config={"vocabulary": {}}, func=make_critical)
