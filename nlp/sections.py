"""Component `report_sections`: which part of a report a word stands in.

A heading is a known title at the start of a line followed by a colon, a title alone on its line,
or a title in capitals followed by a colon anywhere. A text without headings is one section `report`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from spacy.language import Language
from spacy.tokens import Doc

from nlp.reading import SectionSpan, reading_of

UNTITLED = "report"


def _heading_pattern(titles: Sequence[str]) -> re.Pattern[str]:
    words = sorted(titles, key=len, reverse=True)
    either = "|".join(r"[ \t]+".join(re.escape(word) for word in title.split()) for title in words)
    return re.compile(
        rf"(?:(?P<line>^)[ \t>*#]*|(?<=[\s.;,)])|(?<=:))(?P<title>{either})[ \t]*(?P<colon>:|-(?=\s)|\.(?=[ \t]*$))?"
        r"(?P<end>[ \t]*$)?",
        re.IGNORECASE | re.MULTILINE,
    )


class SectionFinder:
    """Splits a text at its headings; `titles` maps a section name to its titles.

    Titles that are also in `spoken` belong to the body of their section.
    """

    def __init__(self, titles: Mapping[str, Sequence[str]], spoken: Sequence[str] = ()) -> None:
        self._names = {title: name for name, names in titles.items() for title in names}
        self._spoken = frozenset(spoken)
        self._pattern = _heading_pattern(list(self._names)) if self._names else None

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        reading.sections = self.split(reading.text)
        return doc

    def split(self, text: str) -> list[SectionSpan]:
        """The sections of a text in order; they cover it whole."""
        sections = [SectionSpan(UNTITLED, 0, len(text), 0)]
        for match in self._pattern.finditer(text) if self._pattern else ():
            if not _is_heading(match):
                continue
            sections[-1].end = match.start("title")
            title = " ".join(match["title"].casefold().split())
            body = match.end("colon") if match["colon"] else match.end("title")
            start = match.start("title") if title in self._spoken and match["colon"] == ":" else body
            sections.append(SectionSpan(self._names[title], start, len(text), match.start("title")))
        if len(sections) > 1 and not text[: sections[0].end].strip():
            sections.pop(0)
        return sections


def _is_heading(match: re.Match[str]) -> bool:
    at_line_start = match["line"] is not None
    alone = at_line_start and match["end"] is not None
    if match["colon"] == ":":
        return at_line_start or match["title"].isupper() or match["title"][0].isupper()
    if match["colon"] == "-":
        return at_line_start and match["title"][0].isupper()
    return alone and (match["title"].isupper() or match["title"].istitle())


def make_section_finder(nlp: Language, name: str, titles: dict[str, list[str]], spoken: list[str]) -> SectionFinder:
    """The component, as spaCy makes it."""
    return SectionFinder(titles, spoken)


Language.factory("report_sections", default_config={"titles": {}, "spoken": []}, func=make_section_finder)
