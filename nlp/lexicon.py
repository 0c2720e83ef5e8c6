"""The entries of the lexicon documents: what a hospital may write, typed.

Knows no text and no file: only the shape of one entry of each kind. Every entry has an `id`, so
that a site's document can replace or add it, and so that a result can name the rule that fired.
Phrases are words separated by spaces, in any case; `(a|b)` means either, `(a|)` means
optional, groups nest, and a last word `$` stands for the end of the sentence.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from nlp.result import Assertion, Change, Laterality

_GROUP = re.compile(r"\(([^()]*)\)")
_MAX_EXPANSION = 4000

Direction = Literal["forward", "backward", "both", "pseudo", "terminate"]
Modality = Literal["CT", "MR", "XR", "US", "MG", "DXA", "PET", "biopsy", "clinical", "lab", "other"]


def expand(pattern: str) -> list[str]:
    """All phrases that a pattern with `(a|b)` groups stands for, innermost groups first.

    Raises ValueError for unbalanced parentheses, an empty phrase or too many phrases.
    """
    innermost = _GROUP.search(pattern)
    if innermost is None:
        if set(pattern) & set("()|"):
            raise ValueError(f"unbalanced parentheses in {pattern!r}")
        phrase = " ".join(pattern.casefold().split())
        if not phrase:
            raise ValueError("an empty phrase")
        return [phrase]
    before, after = pattern[: innermost.start()], pattern[innermost.end() :]
    phrases = [phrase for option in innermost[1].split("|") for phrase in expand(before + option + after)]
    if len(phrases) > _MAX_EXPANSION:
        raise ValueError(f"{pattern!r} stands for more than {_MAX_EXPANSION} phrases")
    return list(dict.fromkeys(phrases))


def _expand_all(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrase for pattern in patterns for phrase in expand(pattern)))


OptionalPhrases = Annotated[tuple[str, ...], AfterValidator(_expand_all)]
Phrases = Annotated[OptionalPhrases, Field(min_length=1)]


class Entry(BaseModel):
    """Anything with an id; unknown keys are mistakes. A site takes an entry out with `enabled: false`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    enabled: bool = True


class FindingTerm(Entry):
    """Words that name a finding by themselves."""

    finding: str
    phrases: Phrases


class IgnoredTerm(Entry):
    """Words that look like a finding and are none, such as `mass effect`."""

    phrases: Phrases


class Term(Entry):
    """A part of the body, or a quality, that compositions join into findings."""

    phrases: Phrases


class Composition(Entry):
    """A finding said as a part and its quality, such as `the heart is mildly enlarged`.

    `part` and `quality` name terms; at most `gap` words lie between them. With `assertion` absent
    the words deny the finding, such as `the heart is normal in size`.
    """

    finding: str
    part: tuple[str, ...] = Field(min_length=1)
    quality: tuple[str, ...] = Field(min_length=1)
    order: Literal["part_first", "quality_first", "either"] = "either"
    gap: int = Field(default=5, ge=0, le=20)
    assertion: Literal["present", "absent"] = "present"


class Region(Entry):
    """What bare words such as `mass` name where the text speaks of another region of the body.

    A report is about the region when it holds one of `phrases`, or one of `titles` in its title or
    opening words and none of `without` anywhere; a sentence when it holds one of `near`, and never
    when it holds one of `unless`. There a finding that is a key of `readings` is read as its value,
    or not at all where that is null; findings of `only` exist nowhere else.
    """

    phrases: OptionalPhrases = ()
    titles: OptionalPhrases = ()
    without: OptionalPhrases = ()
    near: OptionalPhrases = ()
    unless: OptionalPhrases = ()
    readings: dict[str, str | None] = Field(min_length=1)
    only: tuple[str, ...] = ()


class ContextModifier(Entry):
    """Words that change how findings in their scope are asserted (ConText, Harkema 2009).

    `pseudo` modifiers only shield their words; `terminate` modifiers end the scope of others.
    `scope` is the greatest number of words it reaches. `counted` marks doubts under which human coders
    still write the finding down (`probable effusion`, not `may represent an effusion`).
    """

    assertion: Assertion | None = None
    direction: Direction
    counted: bool = False
    phrases: Phrases
    scope: int | None = Field(default=None, ge=1)


class SectionTitle(Entry):
    """Titles of a section; its id is the section's name unless `section` gives another.

    `spoken` titles are part of what is said under them: `Heart: mildly enlarged`.
    """

    section: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_.-]*$")
    spoken: bool = False
    phrases: Phrases


class SeverityTerm(Entry):
    value: str
    phrases: Phrases


class ChangeTerm(Entry):
    value: Change
    phrases: Phrases


class LocationTerm(Entry):
    """A place; `laterality` when the words give the side as well, `level` how high it lies in the lung."""

    value: str | None = None
    level: Literal["upper", "middle", "lower"] | None = None
    laterality: Laterality | None = None
    phrases: Phrases


class RecommendationTrigger(Entry):
    """Words that ask for a next step; they count only beside a modality or a step of unsaid kind."""

    strength: Literal["strong", "moderate", "weak"]
    phrases: Phrases


class ModalityTerm(Entry):
    """Something to do.

    A `generic` one says that, but not what (`follow-up`, `further evaluation`); an `imperative` one
    needs no trigger (`correlate clinically`).
    """

    modality: Modality
    body_part: str | None = None
    generic: bool = False
    imperative: bool = False
    phrases: Phrases


class BodyPartTerm(Entry):
    value: str
    phrases: Phrases


class WordList(Entry):
    """A plain list of phrases that one step of the pipeline looks for."""

    phrases: Phrases


class IntervalTerm(Entry):
    """Words for a time span without a number, such as `annual`; days from the report."""

    days_min: int = Field(ge=0)
    days_max: int = Field(ge=0)
    phrases: Phrases


class DateOrder(Entry):
    """What `4/3/2025` means where the reports come from; without one, a date that could be two days is not read."""

    order: Literal["month_first", "day_first"]


class GuidelineInterval(Entry):
    """The interval of a guideline for a step after a finding or a stated score, offered when the text gives none.

    Of several that fit, the first holds. `scores` names scores and the values under which it holds.
    """

    findings: tuple[str, ...] = ()
    scores: dict[Literal["birads", "lung_rads"], tuple[str, ...]] = {}
    modalities: tuple[Modality, ...] = Field(min_length=1)
    days_min: int = Field(ge=0)
    days_max: int = Field(ge=0)
    source: str

    @model_validator(mode="after")
    def _rests_on_something(self) -> Self:
        if not self.findings and not self.scores:
            raise ValueError("names neither findings nor scores")
        return self


class CriticalTerm(Entry):
    """A finding that must be told, with the urgency class of its communication.

    `severity`, `change` and `at_least_mm` must be said for the entry to hold; `unless` names changes
    under which it does not.
    """

    finding: str
    urgency: Literal[1, 2, 3]
    severity: tuple[str, ...] = ()
    change: tuple[Change, ...] = ()
    unless: tuple[Change, ...] = ()
    at_least_mm: float | None = Field(default=None, gt=0)


class SupersededFinding(Entry):
    """A finding that another names more exactly: of two overlapping mentions the exact one stays."""

    finding: str
    implied_by: tuple[str, ...] = Field(min_length=1)


class Support(Entry):
    """What the findings must mention for an impression of a finding to rest on something.

    Without `must_be_mentioned` only a denial in the findings contradicts the impression: of the finding
    itself, or of one of `denied_by`, of which it is a kind (`the lungs are clear`). An `acute` finding
    contradicts an impression that finds nothing acute.
    """

    finding: str
    supported_by: tuple[str, ...] = ()
    denied_by: tuple[str, ...] = ()
    must_be_mentioned: bool = True
    acute: bool = False


class VerdictRule(Entry):
    """How mentions of a finding add up to the verdict on the report.

    `doubt`: whether mentions in doubt make the report positive: those of counted modifiers, all or
    none. `implied_by`: mentions of these findings count too.
    """

    finding: str
    doubt: Literal["counted", "all", "none"] = "counted"
    historical_counts: bool = False
    implied_by: tuple[str, ...] = ()


class NormalRule(Entry):
    """Findings whose presence does not make a report abnormal."""

    ignored: tuple[str, ...] = ()


class Language(Entry):
    """Frequent small words by which a language is told from others, and `telling` ones that English never holds."""

    accepted: bool = False
    phrases: Phrases
    telling: OptionalPhrases = ()
