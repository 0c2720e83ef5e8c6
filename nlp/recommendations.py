"""Component `report_recommendations`: the next steps that the author asks for.

A recommendation is a trigger (`is recommended`, `consider`, `may be helpful`) with something to do
in the same sentence: a modality, a comparison, clinical correlation or a follow-up of unsaid kind.
Its interval, its condition and the finding it is for are read from the words around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from spacy.language import Language
from spacy.tokens import Doc

from nlp.intervals import Interval, intervals_in, on_calendar
from nlp.lexicon import (
    BodyPartTerm,
    GuidelineInterval,
    IntervalTerm,
    ModalityTerm,
    RecommendationTrigger,
    WordList,
)
from nlp.phrases import Match, PhraseTable
from nlp.reading import Reading, reading_of
from nlp.result import Recommendation
from nlp.vocabulary import Vocabulary

_Cue = ModalityTerm | BodyPartTerm | IntervalTerm | WordList
_READ_SECTIONS = frozenset({"report", "findings", "impression", "recommendation", "addendum", "communication"})
_STRENGTHS = ("strong", "moderate", "weak")
_REACH = 25
_BODY_PART_REACH = 4
_SENTENCES_BACK = 3
_COMPARED_REACH = 3
_AHEAD = frozenset({"in", "within"})
_BY = frozenset({"by", "before", "until"})
_WITH_CONTRAST, _WITHOUT_CONTRAST = "recommendation_with_contrast", "recommendation_without_contrast"
_OF_CONTRAST = frozenset({_WITH_CONTRAST, _WITHOUT_CONTRAST})
_DENIALS, _CONDITIONS, _PAST = "recommendation_denials", "recommendation_conditions", "recommendation_past"


class RecommendationFinder:
    """Finds the recommendations of every sentence."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms = vocabulary.word_forms()
        topics: tuple[Sequence[_Cue], ...] = (
            vocabulary.modalities,
            vocabulary.body_parts,
            vocabulary.intervals,
            [
                entry
                for entry in vocabulary.word_lists
                if entry.id.startswith("recommendation_") and entry.id not in _OF_CONTRAST
            ],
        )
        self._table = PhraseTable(
            [(phrase, entry) for topic in topics for entry in topic for phrase in entry.phrases],
            forms,
        )
        self._triggers = PhraseTable(
            [(phrase, entry) for entry in vocabulary.recommendation_triggers for phrase in entry.phrases], forms
        )
        self._contrast = PhraseTable(
            [
                (phrase, entry)
                for entry in vocabulary.word_lists
                if entry.id in _OF_CONTRAST
                for phrase in entry.phrases
            ],
            forms,
        )
        self._guidelines = vocabulary.guidelines
        self._order = next((entry.order for entry in vocabulary.date_orders), None)

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        for number, sentence in enumerate(reading.sentences):
            if sentence.section in _READ_SECTIONS:
                cues = list(self._table.longest(reading.stream.words, sentence.first, sentence.last))
                if cues:
                    reading.recommendations.extend(self._read(reading.text, reading, number, cues))
        return doc

    def _read(self, text: str, reading: Reading, number: int, cues: Sequence[Match[_Cue]]) -> list[Recommendation]:
        sentence = reading.sentences[number]
        listed = {entry.id for match in cues for entry in match.values if isinstance(entry, WordList)}
        if _DENIALS in listed or _PAST in listed:
            return []
        modalities = [(match, entry) for match in cues for entry in match.values if isinstance(entry, ModalityTerm)]
        spans = intervals_in(
            text, *_characters(reading, sentence.first, sentence.last), reading.context.reported_on, self._order
        )
        triggers: list[_Trigger] = [
            (Match(match.start, match.end, ()), entry)
            for match in self._triggers.longest(reading.stream.words, sentence.first, sentence.last)
            for entry in match.values
            if not _is_masked(match, cues)
        ]
        if not triggers and sentence.section == "recommendation":
            triggers = [(Match(sentence.first, sentence.first, ()), _SECTION_TRIGGER)]
        elif not triggers:
            triggers = _planned(reading, spans)
        steps = _steps(triggers, modalities)
        return [self._recommendation(reading, number, cues, trigger, step, spans, listed) for trigger, step in steps]

    def _recommendation(
        self,
        reading: Reading,
        number: int,
        cues: Sequence[Match[_Cue]],
        trigger: _Trigger,
        step: _Step,
        spans: Sequence[Interval],
        listed: set[str],
    ) -> Recommendation:
        trigger_match, trigger_entry = trigger
        match, modality = step
        first, last = min(trigger_match.start, match.start), max(trigger_match.end, match.end)
        sentence = reading.sentences[number]
        start, end = _characters(reading, first, last)
        interval = min(spans, key=lambda span: abs(span.start - start)) if spans else _worded_interval(reading, cues)
        if interval is not None:
            start, end = min(start, interval.start), max(end, interval.end)
        finding = _finding(reading, number)
        guideline = None if interval else self._guideline(reading, finding, modality)
        return Recommendation(
            modality=modality.modality,
            body_part=modality.body_part or _body_part(cues, match),
            contrast=self._contrast_said(reading, sentence.first, sentence.last),
            interval_days_min=interval.days_min if interval else None,
            interval_days_max=interval.days_max if interval else None,
            due_from=interval.due_from if interval else None,
            due_until=interval.due_until if interval else None,
            conditional=_CONDITIONS in listed,
            strength=trigger_entry.strength,
            finding=finding,
            start=start,
            end=end,
            rule=f"{trigger_entry.id}+{modality.id}",
            guideline_days_min=guideline.days_min if guideline else None,
            guideline_days_max=guideline.days_max if guideline else None,
            guideline=guideline.source if guideline else None,
        )

    def _guideline(self, reading: Reading, finding: str | None, step: ModalityTerm) -> GuidelineInterval | None:
        """Return the first guideline for such a step after that finding, or under the scores stated."""
        for rule in self._guidelines:
            scored = all(reading.scores.get(name) in values for name, values in rule.scores.items())
            if step.modality in rule.modalities and scored and (not rule.findings or finding in rule.findings):
                return rule
        return None

    def _contrast_said(self, reading: Reading, first: int, last: int) -> Literal["with", "without"] | None:
        """Return what a sentence says of a contrast agent; both means that one is given."""
        matches = self._contrast.longest(reading.stream.words, first, last)
        said = {entry.id for match in matches for entry in match.values}
        if _WITH_CONTRAST in said:
            return "with"
        return "without" if _WITHOUT_CONTRAST in said else None


_Trigger = tuple[Match[_Cue], RecommendationTrigger]
_Step = tuple[Match[_Cue], ModalityTerm]
_IMPERATIVE = RecommendationTrigger(id="imperative", strength="moderate", phrases=("correlate",))
_SECTION_TRIGGER = RecommendationTrigger(id="section.recommendation", strength="strong", phrases=("recommendation",))
_INTERVAL_TRIGGER = RecommendationTrigger(id="interval.ahead", strength="moderate", phrases=("in",))


def _planned(reading: Reading, spans: Sequence[Interval]) -> list[_Trigger]:
    """Times ahead ask for a step by themselves: `repeat CT in one year`, `CT by 3/15/2020`."""
    words, stream, dated = reading.stream.words, reading.stream, reading.context.reported_on is not None
    return [
        (Match(index, index, ()), _INTERVAL_TRIGGER)
        for index in (stream.at(span.start) for span in spans)
        if (index and words[index - 1] in _AHEAD) or words[index] in (_BY | _AHEAD if dated else _BY)
    ]


def _is_masked(trigger: Match[RecommendationTrigger], cues: Sequence[Match[_Cue]]) -> bool:
    """Whether longer words of another kind hold a trigger: `findings and recommendations were discussed`."""
    return any(
        cue.start <= trigger.start and trigger.end <= cue.end
        for cue in cues
        if any(isinstance(entry, WordList) for entry in cue.values)
    )


def _steps(triggers: Sequence[_Trigger], modalities: Sequence[_Step]) -> list[tuple[_Trigger, _Step]]:
    """Each step with its nearest trigger; a step of unsaid kind only when nothing more exact is asked for."""
    asked = [(_nearest(triggers, step), step) for step in modalities]
    found = [(trigger, step) for trigger, step in asked if trigger is not None]
    exact = [pair for pair in found if not pair[1][1].generic and not _is_compared(pair[1], found)]
    if not exact:
        return [min(found, key=lambda pair: _distance(pair[0][0], pair[1][0]))] if found else []
    kinds = [pair[1][1].modality for pair in exact]
    return [pair for index, pair in enumerate(exact) if kinds.index(kinds[index]) == index]


def _is_compared(step: _Step, found: Sequence[tuple[_Trigger, _Step]]) -> bool:
    """Whether a modality only names what to compare with: `comparison with a chest radiograph`."""
    return any(
        other.id.startswith("comparison") and 0 <= step[0].start - match.end <= _COMPARED_REACH
        for _, (match, other) in found
        if other is not step[1]
    )


def _nearest(triggers: Sequence[_Trigger], step: _Step) -> _Trigger | None:
    match, modality = step
    within = [trigger for trigger in triggers if _distance(trigger[0], match) <= _REACH]
    if within:
        return min(within, key=lambda trigger: (_STRENGTHS.index(trigger[1].strength), _distance(trigger[0], match)))
    return (match, _IMPERATIVE) if modality.imperative else None


def _distance(one: Match[_Cue], other: Match[_Cue]) -> int:
    return max(0, max(one.start, other.start) - min(one.end, other.end))


def _characters(reading: Reading, first: int, last: int) -> tuple[int, int]:
    return reading.stream.starts[first], reading.stream.ends[max(first, last - 1)]


def _worded_interval(reading: Reading, cues: Sequence[Match[_Cue]]) -> Interval | None:
    for match in cues:
        for entry in match.values:
            if isinstance(entry, IntervalTerm):
                said = Interval(entry.days_min, entry.days_max, *_characters(reading, match.start, match.end))
                return on_calendar(said, reading.context.reported_on)
    return None


def _body_part(cues: Sequence[Match[_Cue]], step: Match[_Cue]) -> str | None:
    parts = [(match, entry) for match in cues for entry in match.values if isinstance(entry, BodyPartTerm)]
    near = [(match, entry) for match, entry in parts if _distance(match, step) <= _BODY_PART_REACH]
    return min(near, key=lambda part: _distance(part[0], step))[1].value if near else None


def _finding(reading: Reading, number: int) -> str | None:
    """The finding a recommendation is for: of its own sentence, else the last one before it."""
    said = reading.said_in(number)
    if said:
        return said[0].finding
    section = reading.sentences[number].section
    for before in range(number - 1, max(-1, number - 1 - _SENTENCES_BACK), -1):
        said = reading.said_in(before)
        if said and reading.sentences[before].section == section:
            return said[-1].finding
    return None


def make_recommendations(nlp: Language, name: str, vocabulary: dict[str, object]) -> RecommendationFinder:
    """The component, as spaCy makes it."""
    return RecommendationFinder(Vocabulary.model_validate(vocabulary))


Language.factory("report_recommendations", default_config={"vocabulary": {}}, func=make_recommendations)
