"""Component `report_scores`: assessments that the author states by name.

BI-RADS with density, Lung-RADS, TNM, Kellgren-Lawrence, Salter-Harris, the distance of the
endotracheal tube from the carina, and whether Fleischner follow-up applies. Only what is written
is read; nothing is worked out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc

from nlp.reading import reading_of

_ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4", "v": "5"}
_BIRADS = re.compile(
    r"\bBI-?\s?RADS?\b[^\n.;]{0,40}?(?:categor(?:y|ies)|assessment|score|code|final|class)?[\s:#=()-]{0,6}"
    r"(?P<value>[0-6](?:\s?[ABCabc])?|(?<=category )(?:IV|V|I{1,3})\b)(?![\w.]*\d)",
    re.IGNORECASE,
)
_BIRADS_UNNAMED = re.compile(
    r"\bassessment:?\s{0,3}(?:final )?category:?\s?(?P<value>[0-6](?:\s?[ABC])?)(?![\w.]*\d)", re.IGNORECASE
)
_BREAST = re.compile(r"breast|mammo|fibroglandular|BI-?\s?RADS", re.IGNORECASE)
_DENSITY = (
    re.compile(
        r"\b(?i:breast (?:tissue )?(?:density|composition)|density(?: of the breasts?)?|composition|ACR(?: density)?)"
        r"[\s:=]{0,4}(?i:is )?(?i:category |type |class )?\(?(?P<value>[a-dA-D])\)?(?![\w-])"
    ),
    re.compile(r"\b(?P<value>entirely fat|almost entirely fat|predominantly fat)", re.IGNORECASE),
    re.compile(r"\b(?P<value>scattered (?:areas of )?(?:fibroglandular|fibro-glandular))", re.IGNORECASE),
    re.compile(r"\b(?P<value>heterogeneously dense)", re.IGNORECASE),
    re.compile(r"\b(?P<value>extremely dense)", re.IGNORECASE),
)
_DENSITY_WORDS = {"entirely fat": "a", "almost": "a", "predomi": "a", "scatter": "b", "heterog": "c", "extreme": "d"}
_SIDE_BEFORE = re.compile(r"\b(?:left|right)\b[^.;]{0,40}$", re.IGNORECASE)
_PRIOR_BEFORE = re.compile(r"\b(?:prior|previous(?:ly)?|formerly|earlier|history)\b[^.;,]{0,40}$", re.IGNORECASE)
_BEFORE = 60
_BIRADS_BY_CONCERN = "1236045"
_LUNG_RADS = re.compile(
    r"\bLung-?\s?RADS?\b(?:\s?(?:version\s?|v\.?\s?)?(?:\d{4}|\d\.\d))?[^\n.;\d]{0,30}?(?:category|score|assessment)?[\s:#=()-]{0,6}"
    r"(?P<value>[0-3]|4[ABXabx]?)(?P<modifier>S|s)?(?!\w|\.\d)",
    re.IGNORECASE,
)
_TNM = re.compile(
    r"\b(?P<value>[cpy]{0,2}T(?:is|x|[0-4][a-d]?(?:mi)?)[\s,]{0,2}[cpy]{0,2}N(?:x|[0-3][a-c]?)"
    r"(?:[\s,]{0,2}[cpy]{0,2}M(?:x|[01][a-c]?))?)\b",
    re.IGNORECASE,
)
_KELLGREN = (
    re.compile(
        r"\b(?:Kellgren(?:\s?(?:-|–|and|/)?\s?Lawrence)?(?:\s?\(K[-/]?L\))?|K[-/]?L(?=\s?(?:grade|score|stage|\d)))(?!\w)"
        r"[^\n.;]{0,25}?(?:grade|score|class|stage)?[\s:=-]{0,3}(?P<value>[0-4]|IV|I{1,3})\b",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:grade|stage)\s(?P<value>[0-4]|IV|I{1,3})\s(?:Kellgren|K[-/]?L\b)", re.IGNORECASE),
)
_SALTER = (
    re.compile(
        r"\bSalter(?:\s?(?:-|–|and)\s?Harris)?\b[^\n.;]{0,20}?(?:type|class|grade)?[\s:=-]{0,3}(?P<value>[1-5]|IV|V|I{1,3})\b",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:type|class|grade)\s(?P<value>[1-5]|IV|V|I{1,3})\sSalter", re.IGNORECASE),
    re.compile(r"\bSH\s(?:type\s)?(?P<value>[1-5]|IV|V|I{1,3})\b(?=[^.;\n]{0,20}\b(?:fracture|injur))"),
)
_COUNTED = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_COUNT = r"(?:\d{1,2}(?:\.\d{1,2})?|" + "|".join(_COUNTED) + ")"
_LENGTH = rf"(?P<value>{_COUNT})(?:\s?(?:-|–|to)\s?{_COUNT})?\s?(?P<unit>cm|mm|centimet|millimet)"
_CARINA = (
    re.compile(
        rf"\b{_LENGTH}[^.;\n]{{0,25}}\b"
        r"(?P<side>above|below|from|superior to|proximal to)\s(?:the\s)?(?:level of (?:the )?)?carina",
        re.IGNORECASE,
    ),
    re.compile(
        r"\bcarina\s?(?P<side>to|-)\s?(?:the\s)?(?:ETT?|endotracheal|tube|tip)\b[^.;\n\d]{0,25}"
        rf"{_LENGTH}",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?P<side>at)\s(?:the\s)?(?:level\sof\s)?(?:the\s)?(?P<unit>)(?P<value>)carina\b", re.IGNORECASE),
)
_TUBE = re.compile(r"\b(?:endotracheal|ET|ETT|tracheal)\b", re.IGNORECASE)
_FLEISCHNER = re.compile(
    r"\bFleischner\b(?P<denied>[^.;\n]{0,60}\b(?:(?:can)?not|non)[\s-]?(?:be )?(?:appl|intended|valid))?", re.IGNORECASE
)
_MM_PER_CM = 10.0
_TUBE_REACH, _TUBE_AFTER = 160, 40


class ScoreReader:
    """Reads the stated assessments into `scores`."""

    def __call__(self, doc: Doc) -> Doc:
        reading = reading_of(doc)
        reading.scores = stated_scores(reading.text)
        return doc


def stated_scores(text: str) -> dict[str, Any]:
    """Name -> value of every assessment stated in the text; the last one of a kind wins."""
    readers: dict[str, Callable[[str], Any]] = {
        "birads": _birads,
        "density": _density,
        "lung_rads": _lung_rads,
        "tnm": _tnm,
        "kellgren_lawrence": lambda text: _grade(_KELLGREN, text),
        "salter_harris": lambda text: _grade(_SALTER, text),
        "ett_carina_mm": _carina_distance,
        "fleischner": _fleischner,
    }
    values = ((name, read(text)) for name, read in readers.items())
    return {name: value for name, value in values if value is not None}


def _birads(text: str) -> str | None:
    """The category: of several the last, of one for each breast the one of most concern; prior ones are left out."""
    found: list[str] = []
    sided: list[str] = []
    matches = list(_BIRADS.finditer(text))
    if not matches and _BREAST.search(text):
        matches = list(_BIRADS_UNNAMED.finditer(text))
    for match in matches:
        before = text[max(0, match.start() - _BEFORE) : match.start()]
        value = _ROMAN.get(match["value"].casefold(), match["value"].replace(" ", "").upper())
        if not _PRIOR_BEFORE.search(before):
            found.append(value)
            if _SIDE_BEFORE.search(before):
                sided.append(value)
    if found and len(sided) == len(found):
        return max(found, key=lambda value: (_BIRADS_BY_CONCERN.index(value[0]), value))
    return found[-1] if found else None


def _fleischner(text: str) -> bool | None:
    """Whether the author follows the Fleischner recommendations; False when they are said not to apply."""
    match = _FLEISCHNER.search(text)
    return match["denied"] is None if match else None


def _density(text: str) -> str | None:
    if not _BREAST.search(text):
        return None
    for pattern in _DENSITY:
        match = pattern.search(text)
        if match:
            value = match["value"].casefold()
            return (
                value
                if len(value) == 1
                else next(letter for words, letter in _DENSITY_WORDS.items() if value.startswith(words))
            )
    return None


def _lung_rads(text: str) -> str | None:
    """The category: of several the last; prior ones are left out."""
    found = [
        match
        for match in _LUNG_RADS.finditer(text)
        if not _PRIOR_BEFORE.search(text[max(0, match.start() - _BEFORE) : match.start()])
    ]
    return found[-1]["value"].upper() + ("S" if found[-1]["modifier"] else "") if found else None


def _tnm(text: str) -> str | None:
    match = _TNM.search(text)
    return re.sub(r"[\s,]", "", match["value"]) if match else None


def _grade(patterns: Sequence[re.Pattern[str]], text: str) -> int | None:
    match = next((match for pattern in patterns if (match := pattern.search(text))), None)
    return int(_ROMAN.get(match["value"].casefold(), match["value"])) if match else None


def _carina_distance(text: str) -> float | None:
    """Distance of the tube's tip from the carina in mm; negative when it lies below."""
    for pattern in _CARINA:
        for match in pattern.finditer(text):
            if _TUBE.search(text, max(0, match.start() - _TUBE_REACH), match.end() + _TUBE_AFTER):
                said = match["value"].casefold() or "0"
                value = float(_COUNTED.get(said, said)) * (_MM_PER_CM if match["unit"][:1] in ("c", "C") else 1.0)
                return round(-value if match["side"].casefold() == "below" else value, 2)
    return None


def make_scores(nlp: Language, name: str, vocabulary: dict[str, object]) -> ScoreReader:
    """The component, as spaCy makes it."""
    return ScoreReader()


Language.factory("report_scores", default_config={"vocabulary": {}}, func=make_scores)
