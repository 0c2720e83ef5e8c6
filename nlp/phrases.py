"""Finding the phrases of the lexicon in a stream of words, longest first, in one pass.

Knows words only: no text, no report. Time is linear in the number of words (times the longest
phrase, which the lexicon bounds).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from nlp.tokens import stream_words

T = TypeVar("T")


@dataclass(slots=True)
class _Node(Generic[T]):
    following: dict[str, _Node[T]] = field(default_factory=dict)
    values: list[T] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """`values` of the phrase over the words `start` to `end` (end exclusive)."""

    start: int
    end: int
    values: Sequence[T]


END = "$"
"""The word of a phrase that stands for the end of the words looked at."""


class PhraseTable(Generic[T]):
    """Phrases and what they stand for; several values may share a phrase.

    A phrase that ends with `$` is found only at the end of the words looked at.
    """

    def __init__(self, entries: Iterable[tuple[str, T]], forms: Mapping[str, str] | None = None) -> None:
        self._root: _Node[T] = _Node()
        self._forms = forms or {}
        for phrase, value in entries:
            node = self._root
            for word in stream_words(phrase):
                node = node.following.setdefault(self._forms.get(word, word), _Node())
            node.values.append(value)

    def longest(self, words: Sequence[str], start: int = 0, end: int | None = None) -> Iterator[Match[T]]:
        """Longest matches from left to right that do not overlap, within words `start` to `end`."""
        position, stop = start, len(words) if end is None else end
        roots = self._root.following
        while position < stop:
            node = roots.get(words[position])
            if node is None:
                position += 1
                continue
            best: _Node[T] | None = None
            best_end = index = position
            while node is not None:
                index += 1
                if node.values:
                    best, best_end = node, index
                elif index == stop and END in node.following:
                    best, best_end = node.following[END], stop
                node = node.following.get(words[index]) if index < stop else None
            if best is None:
                position += 1
                continue
            yield Match(position, best_end, best.values)
            position = best_end
