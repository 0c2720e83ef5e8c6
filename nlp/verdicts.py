"""The verdict on the whole report: one label per finding, and whether anything is abnormal.

Knows drafted mentions only. Labels follow what a human coder of the report would write down:
1 present (likely included), 0 absent or not mentioned, -1 undetermined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nlp.lexicon import VerdictRule
from nlp.phrases import PhraseTable
from nlp.reading import DraftMention, Sentence
from nlp.vocabulary import Vocabulary

Verdict = Literal[1, 0, -1]
_SAYING = frozenset({"present", "possible", "historical"})
_DEFAULT = VerdictRule(id="default", finding="")


class Judge:
    """Adds mentions up to labels by the verdict rules of the vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._keys = vocabulary.finding_keys()
        self._rules = {rule.finding: rule for rule in vocabulary.verdicts}
        self._harmless = frozenset(key for rule in vocabulary.normal for key in rule.ignored)
        hidden = vocabulary.words("hidden_statements")
        self._hidden = PhraseTable([(phrase, phrase) for phrase in hidden], vocabulary.word_forms())

    def labels(self, mentions: Sequence[DraftMention]) -> dict[str, Verdict]:
        """Finding key -> verdict, for every finding that the vocabulary knows."""
        said: dict[str, list[DraftMention]] = {}
        for mention in mentions:
            if mention.assertion in _SAYING and mention.change != "resolved":
                said.setdefault(mention.finding, []).append(mention)
        return {key: self._verdict(key, said) for key in self._keys}

    def normal(self, mentions: Sequence[DraftMention], words: Sequence[str]) -> bool:
        """True when no mention says that something is abnormal, and no word that says how an organ is was masked."""
        if any(
            mention.assertion in ("present", "possible") and mention.change != "resolved"
            for mention in mentions
            if mention.finding not in self._harmless
        ):
            return False
        return next(self._hidden.longest(words), None) is None

    def _verdict(self, key: str, said: Mapping[str, Sequence[DraftMention]]) -> Verdict:
        rule = self._rules.get(key, _DEFAULT)
        mentions = [mention for name in (key, *rule.implied_by) for mention in said.get(name, ())]
        if any(_is_counted(mention, rule) for mention in mentions):
            return 1
        return -1 if any(mention.assertion == "possible" for mention in mentions) else 0


def _is_counted(mention: DraftMention, rule: VerdictRule) -> bool:
    if mention.assertion == "possible":
        return rule.doubt == "all" or (rule.doubt == "counted" and mention.counted)
    return mention.assertion == "present" or rule.historical_counts


def in_body(mention: DraftMention, sentences: Sequence[Sentence]) -> bool:
    """Whether the mention stands where the author describes this examination."""
    return sentences[mention.sentence].section not in ("indication", "history", "comparison", "technique", "exam")
