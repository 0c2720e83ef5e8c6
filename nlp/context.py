"""Component `report_context`: whether a finding is said to be there.

The ConText way (Harkema 2009): modifiers with a direction and a scope, ended by terminators and
shielded by pseudo-modifiers. Of several modifiers that reach a mention, whom it concerns comes
first, then that it is taken as known, a denial, the past, a condition and a doubt.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from nlp.lexicon import ContextModifier
from nlp.phrases import Match, PhraseTable
from nlp.reading import DraftMention, Reading, Sentence, reading_of
from nlp.result import Assertion
from nlp.vocabulary import Vocabulary

_PRIORITY: tuple[Assertion, ...] = ("family", "present", "absent", "historical", "hypothetical", "possible")
_SECTION_ASSERTION: dict[str, Assertion] = {
    "indication": "hypothetical",
    "history": "historical",
    "comparison": "historical",
    "technique": "hypothetical",
    "exam": "hypothetical",
}
_DEFAULT_SCOPE = 40


class ContextReader:
    """Sets the assertion of every mention."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        entries = [(phrase, modifier) for modifier in vocabulary.modifiers for phrase in modifier.phrases]
        self._table = PhraseTable(entries, vocabulary.word_forms())

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        current, modifiers = -1, []
        for mention in reading.mentions:
            if mention.sentence != current:
                current = mention.sentence
                modifiers = self._modifiers(reading, reading.sentences[current])
            _assert(mention, modifiers, reading.sentences[current])
        return doc

    def _modifiers(self, reading: Reading, sentence: Sentence) -> list[tuple[Match[ContextModifier], ContextModifier]]:
        found = self._table.longest(reading.stream.words, sentence.first, sentence.last)
        return [(match, modifier) for match in found for modifier in match.values if modifier.direction != "pseudo"]


_Found = tuple[Match[ContextModifier], ContextModifier]


def _assert(mention: DraftMention, modifiers: Sequence[_Found], sentence: Sentence) -> None:
    reached: dict[Assertion, str] = {}
    for match, modifier in modifiers:
        if modifier.assertion is not None and _reaches(match, modifier, mention, modifiers, sentence):
            reached.setdefault(modifier.assertion, modifier.id)
            if modifier.assertion == "possible" and not modifier.counted:
                mention.counted = False
    from_section = _SECTION_ASSERTION.get(sentence.section)
    if from_section is not None:
        reached.setdefault(from_section, f"section.{sentence.section}")
    for assertion in _PRIORITY:
        if assertion in reached:
            if mention.assertion == "absent":
                _assert_denial(mention, assertion)
                return
            mention.assertion, mention.assertion_rule = assertion, reached[assertion]
            return


def _assert_denial(mention: DraftMention, reached: Assertion) -> None:
    """A mention that denies by itself (`lungs are clear`): denying it again leaves it open."""
    if reached == "absent":
        mention.assertion, mention.counted = "possible", False
    elif reached in ("family", "historical", "hypothetical"):
        mention.assertion = reached


def _reaches(
    match: Match[ContextModifier],
    modifier: ContextModifier,
    mention: DraftMention,
    others: Collection[_Found],
    sentence: Sentence,
) -> bool:
    scope = modifier.scope or _DEFAULT_SCOPE
    if modifier.direction in ("forward", "both") and match.start < mention.head_first:
        return mention.head_first - match.end < scope and not _ended(match.end, mention.head_first, modifier, others)
    if modifier.direction in ("backward", "both") and match.end > mention.head_last:
        return match.start - mention.head_last < scope and not _ended(mention.head_last, match.start, modifier, others)
    return False


def _ended(first: int, last: int, modifier: ContextModifier, others: Collection[_Found]) -> bool:
    """Whether a terminator lies between words `first` and `last`."""
    return any(
        first <= match.start < last
        for match, other in others
        if other.direction == "terminate" and other.assertion in (None, modifier.assertion)
    )


def make_context_reader(nlp: Language, name: str, vocabulary: dict[str, object]) -> ContextReader:
    """The component, as spaCy makes it."""
    return ContextReader(Vocabulary.model_validate(vocabulary))


Language.factory("report_context", default_config={"vocabulary": {}}, func=make_context_reader)
