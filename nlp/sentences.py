"""Component `report_sentences`: where one statement of a report ends and the next begins.

Full stops end a sentence unless they belong to a number, an initial or an abbreviation; a new line
ends one only when the author broke the line on purpose (the next word would have fitted, or the
next line starts an item), so wrapped text stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from spacy.language import Language
from spacy.tokens import Doc

from nlp.reading import Reading, Sentence, reading_of

_BREAK = re.compile(
    r"(?P<stop>[.!]+|(?<=[\w)\]])\?+)(?=[\s\"')\]]|$|[A-Z])|(?P<lines>\n[ \t]*\n\s*)|(?P<line>\n)"
    r"|(?P<item>(?<=[\s])\d{1,2}[.)](?=\s+[A-Z]))"
)
_ITEM = re.compile(r"[ \t]*(?:[-*•·]|\d{1,2}[.)])(?=\s)")
_WORD_BEFORE = re.compile(r"([A-Za-z]+|\d+)$")
_NARROW = 30
_LONGEST_SENTENCE = 150


class SentenceFinder:
    """Splits each section into sentences."""

    def __init__(self, abbreviations: Collection[str]) -> None:
        self._abbreviations = frozenset(word.rstrip(".") for word in abbreviations)

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        text = reading.text
        width = max(map(len, text.split("\n"))) if "\n" in text else 0
        for section in reading.sections:
            self._split(text, section.start, section.end, section.name, width, reading)
        return doc

    def _split(self, text: str, start: int, end: int, name: str, width: int, reading: Reading) -> None:
        stream = reading.stream
        first = stream.at(start)
        for match in _BREAK.finditer(text, start, end):
            if not self._ends_sentence(text, match, width):
                continue
            last = stream.at(match.start() if match["item"] else match.end())
            _add(reading, first, last, name)
            first = max(first, last)
        _add(reading, first, stream.at(end), name)

    def _ends_sentence(self, text: str, match: re.Match[str], width: int) -> bool:
        if match["lines"] or match["item"]:
            return True
        if match["stop"]:
            return match["stop"] != "." or not self._is_abbreviation(text, match.start())
        return _is_intended_break(text, match.start(), width)

    def _is_abbreviation(self, text: str, position: int) -> bool:
        before = _WORD_BEFORE.search(text, max(0, position - 20), position)
        if before is None:
            return False
        word = before.group()
        if word.isdigit():
            opening = before.start() == 0 or text[before.start() - 1].isspace()
            return opening and len(word) <= 2 and not text[position + 1 : position + 3].strip().isupper()
        return len(word) == 1 or word.casefold() in self._abbreviations


def _add(reading: Reading, first: int, last: int, name: str) -> None:
    """One sentence, or several where it is too long to be one: later steps look at pairs of its words."""
    for start in range(first, last, _LONGEST_SENTENCE):
        reading.sentences.append(Sentence(start, min(start + _LONGEST_SENTENCE, last), name))


def _is_intended_break(text: str, position: int, width: int) -> bool:
    rest = text[position + 1 : position + 80]
    following = rest.lstrip(" \t")
    if not following or _ITEM.match(rest):
        return True
    if following[0].islower():
        return False
    line_start = text.rfind("\n", 0, position) + 1
    used = position - line_start
    next_word = following.split(maxsplit=1)[0]
    return used + 1 + len(next_word) <= width or width < _NARROW


def make_sentence_finder(nlp: Language, name: str, abbreviations: list[str]) -> SentenceFinder:
    """The component, as spaCy makes it."""
    return SentenceFinder(abbreviations)


Language.factory("report_sentences", default_config={"abbreviations": []}, func=make_sentence_finder)
