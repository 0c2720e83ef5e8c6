"""Splitting a report into words: the tokenizer of the pipeline and the stream that matchers read.

Words are runs of letters, numbers with their decimals, and single other marks, so offsets never
depend on English exceptions. The stream leaves out white space and hyphens inside compounds
(`air-space` reads as `air space`), and folds case and spelling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from spacy.tokens import Doc
from spacy.vocab import Vocab

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]|_+|\s+")
_HYPHENS = frozenset("-‐‑‒–")


class ReportTokenizer:
    """A spaCy tokenizer: text -> Doc, loss-free (`doc.text == text`)."""

    def __init__(self, vocab: Vocab) -> None:
        self.vocab = vocab

    def __call__(self, text: str) -> Doc:
        words: list[str] = []
        spaces: list[bool] = []
        for word in _TOKEN.findall(text):
            if word == " " and words and not spaces[-1] and not words[-1].isspace():
                spaces[-1] = True
            else:
                words.append(word)
                spaces.append(False)
        return Doc(self.vocab, words=words, spaces=spaces)


@dataclass(frozen=True, slots=True)
class WordStream:
    """The folded words of a text with their character offsets."""

    words: list[str]
    starts: list[int]
    ends: list[int]

    def at(self, offset: int) -> int:
        """Index of the first word that starts at or after a character offset."""
        low, high = 0, len(self.starts)
        while low < high:
            middle = (low + high) // 2
            if self.starts[middle] < offset:
                low = middle + 1
            else:
                high = middle
        return low


def read_stream(text: str, forms: Mapping[str, str]) -> WordStream:
    """The word stream of a text; `forms` maps a folded word to the form that the lexicon uses."""
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(text):
        word = match.group()
        if word.isspace():
            continue
        start, end = match.span()
        if word in _HYPHENS and _inside_compound(text, start, end):
            continue
        folded = word.casefold()
        words.append(forms.get(folded, folded))
        starts.append(start)
        ends.append(end)
    return WordStream(words, starts, ends)


def stream_words(phrase: str) -> list[str]:
    """The words of a lexicon phrase, split as a text is."""
    return read_stream(phrase, {}).words


def _inside_compound(text: str, start: int, end: int) -> bool:
    return start > 0 and end < len(text) and text[start - 1].isalpha() and text[end].isalpha()
