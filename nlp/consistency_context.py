"""Checks of a report against what is known beside it: the patient's sex and age, and the order.

What is not known is not checked. Knows no patient record: only the context handed in with the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from nlp.phrases import PhraseTable
from nlp.reading import Reading
from nlp.result import Inconsistency
from nlp.tokens import read_stream
from nlp.vocabulary import Vocabulary

_AGE = re.compile(
    r"\b(?P<age>\d{1,3})[\s-]{0,2}(?:year|yr)s?[\s-]{0,2}old\b|\b(?P<short>\d{1,3})\s?(?:yo|y/o|y\.o\.)(?![a-z])",
    re.IGNORECASE,
)
_AGE_TOLERANCE = 2
_MALE = frozenset({"m", "male", "man"})
_FEMALE = frozenset({"f", "female", "woman"})
_OTHER_SIDE = {"left": "right", "right": "left"}
_CONTRAST = re.compile(
    r"\b(?P<without>without|w/o|no|non-?)\s?"
    r"(?:the use of |administration of |iv |intravenous |oral ){0,3}contrast"
    r"|\b(?P<with>with|following|after|post)\s(?:the )?(?:administration of |use of )?"
    r"(?:iv |intravenous |oral and iv )?contrast",
    re.IGNORECASE,
)
_EXTENT = re.compile(
    r"\b(?P<extent>complete|limited)\b(?=[^.\n]{0,30}\b(?:ultrasound|sonogram|study|exam|series|examination|us)\b)",
    re.IGNORECASE,
)
_DESCRIBED = frozenset({"exam", "technique"})


class ContextChecker:
    """Compares text and context; tables of sex-specific words, modalities and regions are data."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        forms = vocabulary.word_forms()
        lists = ("sex_male", "sex_female")
        self._sexes = PhraseTable([(phrase, name) for name in lists for phrase in vocabulary.words(name)], forms)
        kinds = [entry for entry in vocabulary.word_lists if entry.id.startswith(("exam_modality_", "exam_region_"))]
        self._exams = PhraseTable([(phrase, entry.id) for entry in kinds for phrase in entry.phrases], forms)
        self._forms = forms

    def check(self, text: str, reading: Reading) -> Iterator[Inconsistency]:
        """All contradictions between the text and its context, and of stated sex and age in the text."""
        yield from self._sex(reading)
        yield from self._age(text, reading)
        yield from self._order(text, reading)

    def _sex(self, reading: Reading) -> Iterator[Inconsistency]:
        found: dict[str, tuple[int, int]] = {}
        for match in self._sexes.longest(reading.stream.words):
            span = (reading.stream.starts[match.start], reading.stream.ends[match.end - 1])
            found.setdefault(match.values[0], span)
        known = (reading.context.sex or "").casefold()
        if known in _MALE and "sex_female" in found:
            yield _conflict("sex", "the text speaks of a female, the patient is male", found["sex_female"])
        elif known in _FEMALE and "sex_male" in found:
            yield _conflict("sex", "the text speaks of a male, the patient is female", found["sex_male"])
        elif not known and len(found) > 1:
            yield _conflict("sex", "the text speaks of both sexes", *sorted(found.values()))

    def _age(self, text: str, reading: Reading) -> Iterator[Inconsistency]:
        stated = [(int(match["age"] or match["short"]), match.span()) for match in _AGE.finditer(text)]
        if not stated:
            return
        first, span = stated[0]
        known = reading.context.age
        if known is not None and abs(known - first) > _AGE_TOLERANCE:
            yield _conflict("age", f"the text says {first} years, the patient is {known:g}", span)
        elif known is None:
            for other, other_span in stated[1:]:
                if abs(other - first) > _AGE_TOLERANCE:
                    yield _conflict("age", f"the text says {first} and {other} years", span, other_span)
                    return

    def _order(self, text: str, reading: Reading) -> Iterator[Inconsistency]:
        yield from self._ordered_side(reading)
        ordered = reading.context.ordered_exam
        if not ordered:
            return
        wanted = self._exam_words(ordered)
        for start, end in _described_parts(text, reading):
            described = self._exam_words(text[start:end])
            for kind in ("exam_modality_", "exam_region_"):
                asked, done = _of_kind(wanted, kind), _of_kind(described, kind)
                if asked and done and not asked & done:
                    yield _conflict("order", f"ordered {_names(asked)}, described {_names(done)}", (start, end))
                    return
            for pattern in (_CONTRAST, _EXTENT):
                asked_value, done_value = _value(pattern, ordered), _value(pattern, text[start:end])
                if asked_value and done_value and asked_value != done_value:
                    message = f"ordered {ordered}, described {done_value}"
                    yield _conflict("order", message, (start, end))
                    return

    def _ordered_side(self, reading: Reading) -> Iterator[Inconsistency]:
        side = reading.context.laterality or _side_of(reading.context.ordered_exam)
        if side not in _OTHER_SIDE:
            return
        words, stream = reading.stream.words, reading.stream
        other = _OTHER_SIDE[side]
        if side in words or "bilateral" in words or other not in words:
            return
        index = words.index(other)
        span = (stream.starts[index], stream.ends[index])
        yield _conflict("laterality", f"ordered for the {side}, the text speaks of the {other} only", span)

    def _exam_words(self, text: str) -> set[str]:
        return {name for match in self._exams.longest(read_stream(text, self._forms).words) for name in match.values}


def _described_parts(text: str, reading: Reading) -> list[tuple[int, int]]:
    parts = [(section.start, section.end) for section in reading.sections if section.name in _DESCRIBED]
    return [part for part in parts if text[part[0] : part[1]].strip()]


def _of_kind(names: set[str], kind: str) -> set[str]:
    return {name.removeprefix(kind) for name in names if name.startswith(kind)}


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _value(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    if match is None:
        return None
    groups: Mapping[str, str | None] = match.groupdict()
    if "extent" in groups:
        return (groups["extent"] or "").casefold()
    return "without contrast" if groups["without"] else "with contrast"


def _side_of(exam: str | None) -> str | None:
    sides = [side for side in _OTHER_SIDE if re.search(rf"\b{side}\b", exam or "", re.IGNORECASE)]
    return sides[0] if len(sides) == 1 else None


def _conflict(kind: str, message: str, *spans: tuple[int, int]) -> Inconsistency:
    found: Sequence[tuple[int, int]] = spans
    return Inconsistency.model_validate({"type": kind, "message": message, "spans": tuple(found)})
