"""Component `report_consistency`: what was examined, and where a report contradicts itself or what was ordered.

Findings against impression are compared here, sides in `consistency_sides`, patient and order in
`consistency_context`. Each result carries the spans of what contradicts each other as evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from nlp.consistency_context import ContextChecker
from nlp.consistency_sides import SideChecker
from nlp.phrases import PhraseTable
from nlp.reading import DraftMention, Reading, reading_of, sentence_span
from nlp.result import Inconsistency
from nlp.vocabulary import Vocabulary

_FEWEST_WORDS = 12
_QUALIFIER_REACH = 2
_DENIAL_REACH = 8
_DENIALS = frozenset({"no", "without", "not", "clear", "normal"})
_GREAT = frozenset({"large", "severe", "moderate_to_severe"})


class ConsistencyChecker:
    """Lists the inconsistencies of a report."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms = vocabulary.word_forms()
        self._supports = {entry.finding: entry for entry in vocabulary.supports}
        self._qualifiers = frozenset(forms.get(word, word) for word in vocabulary.words("denial_qualifiers"))
        self._hidden = frozenset(forms.get(word, word) for word in vocabulary.words("hidden_words"))
        self._nothing = PhraseTable([(phrase, phrase) for phrase in vocabulary.words("conclusion_nothing")], forms)
        self._sides = SideChecker(vocabulary)
        self._context = ContextChecker(vocabulary)

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        described = _mentions(reading, "findings")
        concluded = _mentions(reading, "impression")
        overlooked = list(self._denied_later(reading, described, concluded))
        reading.modality = self._context.modality(reading)
        reading.inconsistencies = [
            *self._sides.check(reading, described, concluded),
            *self._unsupported(reading, described, concluded),
            *(overlooked or self._passed_over(reading, described, concluded)),
            *self._context.check(reading.text, reading),
        ]
        return doc

    def _unsupported(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        """What the impression says to be there and the findings deny, or do not mention although they must."""
        body = [section for section in reading.sections if section.name == "findings"]
        if sum(part.last - part.first for part in reading.sentences if part.section == "findings") < _FEWEST_WORDS:
            return
        denials = [other for other in described if other.assertion == "absent"]
        affirmed = {other.finding for other in described if other.assertion != "absent"}
        for mention in self._first_of_each(concluded, reading):
            support = self._supports.get(mention.finding)
            if support is None or affirmed & {support.finding, *support.supported_by}:
                continue
            denying = [other for other in denials if other.finding in (mention.finding, *support.denied_by)]
            denied = next((other for other in denying if not self._leaves_room(other, mention, reading)), None)
            if denied is not None:
                yield _inconsistency(reading, mention, denied, "the impression says it is there, the findings deny it")
            elif not denying and support.must_be_mentioned and body:
                yield Inconsistency(
                    type="unsupported_impression",
                    message=f"{mention.finding}: it stands in the impression, the findings do not mention it",
                    spans=(sentence_span(reading, mention.sentence), (body[0].start, body[0].end)),
                )

    def _denied_later(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        """What the findings say to be there and the impression denies by name."""
        seen = {mention.finding: mention for mention in self._first_of_each(described, reading)}
        open_ones = {other.finding for other in concluded if other.assertion != "absent"}
        for mention in concluded:
            claim = seen.get(mention.finding)
            if claim is None or mention.finding in open_ones or mention.finding not in self._supports:
                continue
            if mention.change == "resolved" or not _is_plain_denial(mention, reading):
                continue
            if not self._leaves_room(mention, claim, reading):
                open_ones.add(mention.finding)
                yield _inconsistency(reading, mention, claim, "the impression denies it, the findings describe it")

    def _passed_over(
        self, reading: Reading, described: Sequence[DraftMention], concluded: Sequence[DraftMention]
    ) -> Iterator[Inconsistency]:
        """Something acute in the findings under an impression that finds nothing."""
        if any(other.assertion != "absent" for other in concluded):
            return
        acute = [one for one in self._first_of_each(described, reading) if one.change is None and self._is_acute(one)]
        number = self._nothing_found(reading) if acute else None
        if number is not None:
            yield Inconsistency(
                type="unsupported_impression",
                message=f"{acute[0].finding}: the findings describe it, the impression finds nothing",
                spans=(sentence_span(reading, number), sentence_span(reading, acute[0].sentence)),
            )

    def _leaves_room(self, denial: DraftMention, claim: DraftMention, reading: Reading) -> bool:
        """Whether only another side or another kind is denied: `no large effusion` beside `small effusion`.

        A claim of the very kind that is denied has no room: `no displaced fracture` beside `displaced fracture`.
        """
        if {denial.laterality, claim.laterality} == {"left", "right"}:
            return True
        spared = self._qualifying(denial, reading) - self._qualifying(claim, reading)
        return bool(spared) and claim.severity not in _GREAT

    def _qualifying(self, mention: DraftMention, reading: Reading) -> frozenset[str]:
        first = max(reading.sentences[mention.sentence].first, mention.first - _QUALIFIER_REACH)
        return self._qualifiers.intersection(reading.stream.words[first : mention.last])

    def _first_of_each(self, mentions: Sequence[DraftMention], reading: Reading) -> list[DraftMention]:
        """The first mention of each finding that is plainly said to be there, and not as known from before."""
        found: dict[str, DraftMention] = {}
        for mention in mentions:
            if mention.assertion == "present" and mention.change not in ("resolved", "stable"):
                before = reading.stream.words[reading.sentences[mention.sentence].first : mention.first]
                if mention.severity != "borderline" and self._hidden.isdisjoint(before):
                    found.setdefault(mention.finding, mention)
        return list(found.values())

    def _is_acute(self, mention: DraftMention) -> bool:
        support = self._supports.get(mention.finding)
        return support is not None and support.acute

    def _nothing_found(self, reading: Reading) -> int | None:
        """The sentence of the impression that finds nothing of note."""
        for number, sentence in enumerate(reading.sentences):
            if sentence.section == "impression":
                match = next(self._nothing.longest(reading.stream.words, sentence.first, sentence.last), None)
                if match is not None:
                    return number
        return None


def _is_plain_denial(mention: DraftMention, reading: Reading) -> bool:
    if mention.assertion != "absent":
        return False
    first = max(reading.sentences[mention.sentence].first, mention.first - _DENIAL_REACH)
    return not _DENIALS.isdisjoint(reading.stream.words[first : mention.last])


def _mentions(reading: Reading, section: str) -> list[DraftMention]:
    return [mention for mention in reading.mentions if reading.sentences[mention.sentence].section == section]


def _inconsistency(reading: Reading, one: DraftMention, other: DraftMention, reason: str) -> Inconsistency:
    spans = (sentence_span(reading, one.sentence), sentence_span(reading, other.sentence))
    return Inconsistency(type="unsupported_impression", message=f"{one.finding}: {reason}", spans=spans)


def make_consistency(nlp: Language, name: str, vocabulary: dict[str, object]) -> ConsistencyChecker:
    """The component, as spaCy makes it."""
    return ConsistencyChecker(Vocabulary.model_validate(vocabulary))


Language.factory("report_consistency", default_config={"vocabulary": {}}, func=make_consistency)
