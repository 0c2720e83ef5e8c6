"""Whether a text can be read as a report in a language the lexicon knows; refusal with a reason.

Languages are told apart by their frequent small words, and by words of reports that no English one
holds, of which one is enough; a text in another script, or of signs rather than letters, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from nlp.lexicon import Language
from nlp.tokens import WordStream

LONGEST_TEXT = 2_000_000
"""Characters; a longer text is refused rather than read in part."""
_FEWEST_FOREIGN_WORDS = 2
_SAMPLE_WORDS = 2000


def _tells(word: str) -> bool:
    """Whether a word says something of the language; single plain letters are initials and stages."""
    return len(word) > 1 or not word.isascii()


class LanguageGate:
    """Says why a text is refused, or None."""

    def __init__(self, languages: Sequence[Language]) -> None:
        self._accepted = frozenset(word for entry in languages if entry.accepted for word in entry.phrases)
        self._foreign = {entry.id: frozenset(entry.phrases) for entry in languages if not entry.accepted}
        self._telling = {entry.id: frozenset(entry.telling) for entry in languages if not entry.accepted}

    def refusal_of_text(self, text: str) -> str | None:
        """Refusals that need no words: nothing there, too long, binary."""
        if not text.strip():
            return "empty"
        if len(text) > LONGEST_TEXT:
            return f"too long: {len(text)} characters, at most {LONGEST_TEXT}"
        sample = text[:20_000]
        odd = sum(1 for character in sample if character < " " and character not in "\t\n\r\x0b\x0c")
        odd += sum(1 for character in sample if character == "\ufffd" or "\ud800" <= character <= "\udfff")
        if odd * 10 > len(sample):
            return "not a text: control characters or undecodable bytes"
        return None

    def refusal_of_words(self, stream: WordStream) -> str | None:
        """Refusals for what the words say: another script, another language, no letters."""
        words = stream.words[:_SAMPLE_WORDS]
        letters = [word for word in words if word[0].isalpha()]
        if not letters:
            return "not a text: no words"
        latin = sum(1 for word in letters if word[0] < "\u0250")
        if latin * 2 < len(letters):
            return "other language: not in Latin script"
        own = sum(1 for word in letters if word in self._accepted and _tells(word))
        accented = sum(1 for word in letters if not word.isascii())
        name = max(self._foreign, key=lambda name: self._weight(name, letters), default=None)
        if name is not None:
            telling = sum(1 for word in letters if word in self._telling[name])
            count = telling + sum(1 for word in letters if word in self._foreign[name] and _tells(word))
            if telling > own or (count >= _FEWEST_FOREIGN_WORDS and count > 2 * own):
                return f"other language: {name}"
        return "other language: not English" if accented > own else None

    def _weight(self, name: str, letters: Sequence[str]) -> tuple[int, int]:
        """How much speaks for a language: its own words first, then the small ones that others share."""
        telling, frequent = self._telling[name], self._foreign[name]
        return (
            sum(1 for word in letters if word in telling or (word in frequent and _tells(word))),
            sum(1 for word in letters if word in telling),
        )
