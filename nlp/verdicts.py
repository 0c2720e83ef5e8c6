"""The verdict on the whole report: one label per finding, and whether anything is abnormal.

Knows drafted mentions only. Labels follow what a human coder of the report would write down:
1 present (likely included), 0 absent or not mentioned, -1 undetermined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from nlp.lexicon import VerdictRule
from nlp.reading import DraftMention, Sentence
from nlp.vocabulary import Vocabulary

Verdict = Literal[1, 0, -1]
_DEFAULT = VerdictRule(id="default", finding="")


class Judge:
    """Adds mentions up to labels by the verdict rules of the vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._keys = vocabulary.finding_keys()
        self._rules = {rule.finding: rule for rule in vocabulary.verdicts}
        self._harmless = frozenset(key for rule in vocabulary.normal for key in rule.ignored)

    def labels(self, mentions: Sequence[DraftMention]) -> dict[str, Verdict]:
        """Finding key -> verdict, for every finding that the vocabulary knows."""
        said: dict[str, set[str]] = {}
        for mention in mentions:
            said.setdefault(mention.finding, set()).add(_effective(mention))
        return {key: self._verdict(key, said) for key in self._keys}

    def normal(self, mentions: Sequence[DraftMention]) -> bool:
        """True when no mention says that something is abnormal."""
        return not any(
            _effective(mention) in ("present", "possible")
            for mention in mentions
            if mention.finding not in self._harmless
        )

    def _verdict(self, key: str, said: Mapping[str, set[str]]) -> Verdict:
        rule = self._rules.get(key, _DEFAULT)
        assertions = set(said.get(key, ()))
        for other in rule.implied_by:
            assertions |= said.get(other, set()) - {"absent"}
        if "present" in assertions or (rule.historical_counts and "historical" in assertions):
            return 1
        if "possible" in assertions:
            return 1 if rule.possible_counts else -1
        return 0


def _effective(mention: DraftMention) -> str:
    return "absent" if mention.change == "resolved" else mention.assertion


def in_body(mention: DraftMention, sentences: Sequence[Sentence]) -> bool:
    """Whether the mention stands where the author describes this examination."""
    return sentences[mention.sentence].section not in ("indication", "history", "comparison", "technique", "exam")
