"""Checks of a report against what is known beside it: the patient's sex and age, and the order.

What is not known is not checked. Knows no patient record: only the context handed in with the text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from nlp.phrases import PhraseTable
from nlp.reading import Reading
from nlp.result import ExamModality, Inconsistency
from nlp.tokens import read_stream
from nlp.vocabulary import Vocabulary

_AGE = re.compile(
    r"\b(?P<age>\d{1,3})[\s-]{0,2}(?P<unit>year|yr|month|mo|week|wk|day)s?[\s-]{0,2}(?:old\b|of age\b)"
    r"(?!\s+(?:study|exam|film|fracture|radiograph|ct|prior|scan|injury|comparison|surgery|nodule|image))"
    r"|\b(?P<short>\d{1,3})\s?-?(?:yo|y/o|y\.o\.?|yof|yom)(?![a-z])"
    r"|(?<!at )(?<!since )\bag(?:e|ed)\b:?\s?(?P<aged>\d{1,3})\b(?!\s?(?:month|week|day|mm|cm))",
    re.IGNORECASE,
)
_INITIALS = re.compile(r"(?<![\w.])(?P<age>\d{1,3})\s?(?:y/?o?\s?)?/?(?P<sex>[MF])\b(?!\.?\s?(?:catheter|french))")
_YEARS = {"year": 1.0, "yr": 1.0, "month": 1 / 12, "mo": 1 / 12, "week": 1 / 52, "wk": 1 / 52, "day": 1 / 365}
_AGE_TOLERANCE = 2
_ADULT = 25
_FEWEST_CHEST_WORDS = 3
_SEXES = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}
_CONTRAST = re.compile(
    r"\b(?P<without>without|w/?o|w/out|no|non-?)\b\s?-?"
    r"(?:the use of |administration of |iv |i\.v\. |intravenous |oral ){0,3}contrast|\b(?P<un>un|non-?)enhanced\b"
    r"|\b(?P<with>with|w/|following|after|post)\s?(?:the )?(?:(?:uneventful )?administration of |use of )?"
    r"(?:\d{2,3}\s?(?:ml|cc) (?:of )?)?(?:iv |i\.v\. |intravenous |oral and iv )?(?:\w+ )?contrast"
    r"|\bcontrast[\s-]enhanced\b",
    re.IGNORECASE,
)
_BOTH_CONTRASTS = re.compile(r"\b(?:with(?:out)? and with(?:out)?|w/?wo|wwo|w and w/?o|pre and post)\b", re.IGNORECASE)
_EXTENT = re.compile(r"\b(?P<extent>complete|limited)\b", re.IGNORECASE)
_EXTENT_OF = re.compile(
    r"\b(?:ultrasound|sonogra\w+|us|duplex|doppler|echo\w*|series|skeletal survey)\b", re.IGNORECASE
)
_VIEWS = re.compile(
    r"\b(?P<one>single|1|one)[\s-](?:(?:ap|pa|frontal|portable|upright|supine)[\s,]{1,2}){0,3}(?:view|projection|radiograph|image)\b"
    r"|\b(?:ap|portable)\s(?:portable\s|ap\s)?(?:view|chest)\b(?P<portable>)"
    r"|\b(?P<two>(?:two|2)[\s-]views?|(?:pa|ap|frontal)(?: and |/|, ?| & )lat(?:eral)?)\b",
    re.IGNORECASE,
)
_DESCRIBED = frozenset({"exam", "technique"})
_CLINICAL = frozenset({"indication", "history", "exam"})


class ContextChecker:
    """Compares text and context; tables of sex-specific words, modalities and regions are data."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms = vocabulary.word_forms()
        lists = ("sex_male", "sex_female", "pronoun_male", "pronoun_female", "sex_either", "age_child")
        self._people = PhraseTable([(phrase, name) for name in lists for phrase in vocabulary.words(name)], forms)
        kinds = [entry for entry in vocabulary.word_lists if entry.id.startswith(("exam_modality_", "exam_region_"))]
        self._exams = PhraseTable([(phrase, entry.id) for entry in kinds for phrase in entry.phrases], forms)
        self._chest = PhraseTable([(phrase, phrase) for phrase in vocabulary.words("chest_words")], forms)
        self._forms = forms

    def check(self, text: str, reading: Reading) -> Iterator[Inconsistency]:
        """All contradictions between the text and its context, and of stated sex and age in the text."""
        spoken: dict[str, tuple[int, int]] = {}
        for match in self._people.longest(reading.stream.words):
            span = (reading.stream.starts[match.start], reading.stream.ends[match.end - 1])
            spoken.setdefault(match.values[0], span)
        initials = _initials(text, reading)
        for name, span in ((f"sex_{_SEXES[match['sex'].casefold()]}", match.span()) for match in initials):
            spoken.setdefault(name, span)
        known = _SEXES.get((reading.context.sex or "").casefold())
        yield from _sex(_with_pronouns(spoken, known), known)
        ages = [(float(match["age"]), match.span()) for match in initials]
        yield from _age([*_ages(text), *ages], spoken.get("age_child"), reading.context.age)
        yield from self._order(text, reading)

    def modality(self, reading: Reading) -> ExamModality | None:
        """What was examined: by the title, else the technique, else the order; the first that names just one."""
        named = [part for name in ("exam", "technique") for part in _described_parts(reading.text, reading, {name})]
        texts = [reading.text[start:end] for start, end in [*named, *_opening(reading)]]
        for words in [*texts, reading.context.ordered_exam or ""]:
            kinds = _of_kind(self._exam_words(words), "exam_modality_")
            if len(kinds) == 1:
                return cast("ExamModality", kinds.pop().upper())
        return None

    def _order(self, text: str, reading: Reading) -> Iterator[Inconsistency]:
        described = _described_parts(text, reading)
        ordered = reading.context.ordered_exam
        if not ordered:
            yield from _own_contrast(text, described)
            return
        wanted = self._exam_words(ordered)
        if not described:
            yield from self._unlike_region(wanted, reading)
        for start, end in described or _opening(reading):
            done = self._exam_words(text[start:end])
            for kind in ("exam_modality_", "exam_region_"):
                asked, seen = _of_kind(wanted, kind), _of_kind(done, kind)
                if asked and seen and not asked & seen:
                    yield _conflict("order", f"ordered {_names(asked)}, described {_names(seen)}", (start, end))
                    return
            for read in (_contrast, _extent, _views):
                asked_value, done_value = read(ordered), read(text[start:end])
                if asked_value and done_value and asked_value != done_value:
                    yield _conflict("order", f"ordered {asked_value}, described {done_value}", (start, end))
                    return

    def _unlike_region(self, wanted: set[str], reading: Reading) -> Iterator[Inconsistency]:
        """A report without title that describes a chest throughout, where another region was ordered."""
        asked = _of_kind(wanted, "exam_region_")
        named = _of_kind(self._exam_words(reading.text), "exam_region_")
        if not asked or asked & (named | {"chest"}):
            return
        matches = list(self._chest.longest(reading.stream.words))
        if len({match.values[0] for match in matches}) >= _FEWEST_CHEST_WORDS:
            span = (reading.stream.starts[matches[0].start], reading.stream.ends[matches[-1].end - 1])
            yield _conflict("order", f"ordered {_names(asked)}, described chest", span)

    def _exam_words(self, text: str) -> set[str]:
        return {name for match in self._exams.longest(read_stream(text, self._forms).words) for name in match.values}


def _with_pronouns(spoken: Mapping[str, tuple[int, int]], known: str | None) -> dict[str, tuple[int, int]]:
    """What tells a sex; pronouns too, unless the text names the `known` sex by other words."""
    named = {name: span for name, span in spoken.items() if name in ("sex_male", "sex_female")}
    if f"sex_{known}" not in named:
        for sex in ("male", "female"):
            if f"pronoun_{sex}" in spoken:
                named.setdefault(f"sex_{sex}", spoken[f"pronoun_{sex}"])
    return named


def _sex(spoken: Mapping[str, tuple[int, int]], known: str | None) -> Iterator[Inconsistency]:
    if known == "male" and "sex_female" in spoken:
        yield _conflict("sex", "the text speaks of a female, the patient is male", spoken["sex_female"])
    elif known == "female" and "sex_male" in spoken:
        yield _conflict("sex", "the text speaks of a male, the patient is female", spoken["sex_male"])
    elif known is None and "sex_male" in spoken and "sex_female" in spoken:
        spans = sorted((spoken["sex_male"], spoken["sex_female"]))
        yield _conflict("sex", "the text speaks of both sexes", *spans)


def _age(
    stated: Sequence[tuple[float, tuple[int, int]]], child: tuple[int, int] | None, known: float | None
) -> Iterator[Inconsistency]:
    if known is not None and known >= _ADULT and child is not None:
        yield _conflict("age", f"the text describes a child, the patient is {known:g}", child)
        return
    if not stated:
        return
    first, span = stated[0]
    if known is not None:
        if abs(known - first) > _AGE_TOLERANCE:
            yield _conflict("age", f"the text says {first:g} years, the patient is {known:g}", span)
        return
    for other, other_span in stated[1:]:
        if abs(other - first) > _AGE_TOLERANCE:
            yield _conflict("age", f"the text says {first:g} and {other:g} years", *sorted((span, other_span)))
            return


def _ages(text: str) -> Iterator[tuple[float, tuple[int, int]]]:
    """Stated ages in years with their offsets."""
    for match in _AGE.finditer(text):
        number = float(match["age"] or match["short"] or match["aged"])
        years = _YEARS[match["unit"].casefold()] if match["unit"] else 1.0
        yield round(number * years, 2), match.span()


def _initials(text: str, reading: Reading) -> list[re.Match[str]]:
    """`34F`, `67 yo M`: age and sex in short, where clinicians write so."""
    parts = [section for section in reading.sections if section.name in _CLINICAL]
    return [match for part in parts for match in _INITIALS.finditer(text, part.start, part.end)]


def _own_contrast(text: str, described: Sequence[tuple[int, int]]) -> Iterator[Inconsistency]:
    """Title and technique of one examination that differ in contrast."""
    said = [(part, value) for part in described if (value := _contrast(text[part[0] : part[1]])) is not None]
    if len({value for _, value in said}) > 1:
        first = said[0]
        other = next(item for item in said if item[1] != first[1])
        yield _conflict("order", f"one part says {first[1]}, another {other[1]}", first[0], other[0])


def _described_parts(text: str, reading: Reading, names: Collection[str] = _DESCRIBED) -> list[tuple[int, int]]:
    parts = [(section.start, section.end) for section in reading.sections if section.name in names]
    return [part for part in parts if text[part[0] : part[1]].strip()]


def _opening(reading: Reading) -> list[tuple[int, int]]:
    """What stands before the first heading: often the title of the examination."""
    sections = reading.sections
    if len(sections) < 2 or sections[0].name != "report":
        return []
    return [(sections[0].start, sections[0].end)]


def _of_kind(names: set[str], kind: str) -> set[str]:
    return {name.removeprefix(kind) for name in names if name.startswith(kind)}


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _contrast(text: str) -> str | None:
    match = None if _BOTH_CONTRASTS.search(text) else _CONTRAST.search(text)
    if match is None:
        return None
    return "without contrast" if match["without"] or match["un"] else "with contrast"


def _extent(text: str) -> str | None:
    match = _EXTENT.search(text) if _EXTENT_OF.search(text) else None
    return match["extent"].casefold() if match else None


def _views(text: str) -> str | None:
    match = _VIEWS.search(text)
    if match is None:
        return None
    return "two views" if match["two"] else "one view"


def _conflict(kind: str, message: str, *spans: tuple[int, int]) -> Inconsistency:
    return Inconsistency.model_validate({"type": kind, "message": message, "spans": spans})
