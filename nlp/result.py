"""What the nlp package returns: one frozen, versioned structured report per text.

Knows no pixels, no patient record, no web. Every span is a pair of character offsets into the
text as it was given: `text[start:end]` is the words the value rests on.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1.0"

Assertion = Literal["present", "absent", "possible", "hypothetical", "historical", "family"]
Laterality = Literal["left", "right", "bilateral"]
Change = Literal["new", "worse", "stable", "better", "resolved"]
ExamModality = Literal["XR", "CT", "MR", "US", "MG", "NM"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Span(_Frozen):
    start: int = Field(ge=0)
    end: int = Field(ge=0)


class SizeMeasurement(_Frozen):
    """Axes in mm; `prior` when the words give the size on an earlier examination."""

    values_mm: tuple[float, ...]
    prior: bool = False


class Mention(_Frozen):
    """One finding mentioned in the text."""

    finding: str
    assertion: Assertion
    laterality: Laterality | None = None
    location: str | None = None
    severity: str | None = None
    change: Change | None = None
    measurements: tuple[SizeMeasurement, ...] = ()
    section: str
    start: int
    end: int
    rule: str | None = None


class Recommendation(_Frozen):
    """A next step the author asks for; intervals in days from the report, None where not said.

    `contrast` is what the sentence says of a contrast agent, None where it says nothing.

    `due_from` and `due_until` are days of the calendar: as the text names them, or the interval counted
    from the day of the report where that is known.

    `guideline_*` suggest an interval, with its source, where the author gave none.
    """

    modality: Literal["CT", "MR", "XR", "US", "MG", "DXA", "PET", "biopsy", "clinical", "lab", "other"]
    body_part: str | None = None
    contrast: Literal["with", "without"] | None = None
    interval_days_min: int | None = None
    interval_days_max: int | None = None
    due_from: date | None = None
    due_until: date | None = None
    conditional: bool = False
    strength: str | None = None
    finding: str | None = None
    start: int
    end: int
    rule: str | None = None
    guideline_days_min: int | None = None
    guideline_days_max: int | None = None
    guideline: str | None = None


class CriticalResult(_Frozen):
    """A present finding that needs direct communication; urgency 1 minutes, 2 hours, 3 days."""

    finding: str
    urgency: Literal[1, 2, 3]
    start: int
    end: int


class Communication(_Frozen):
    """Whether the text documents that a critical result was told, to whom, when and how."""

    documented: bool
    to: str | None = None
    at: str | None = None
    how: str | None = None
    start: int | None = None
    end: int | None = None


class Inconsistency(_Frozen):
    type: Literal["laterality", "sex", "age", "order", "unsupported_impression"]
    message: str
    spans: tuple[tuple[int, int], ...]


class Section(_Frozen):
    """A part of the text; `start`/`end` delimit its body, without the heading."""

    name: str
    start: int
    end: int


class Embedding(_Frozen):
    model: str
    version: str
    values: tuple[float, ...]


class StructuredReport(_Frozen):
    """Everything the extractor says about one report.

    With `refusal` set (unreadable, other language, too long) nothing else is filled. `modality` is what was examined,
    by its title or technique, else by the order; None where they do not say it or name several.
    """

    schema_version: str = SCHEMA_VERSION
    refusal: str | None = None
    modality: ExamModality | None = None
    sections: tuple[Section, ...] = ()
    findings: tuple[Mention, ...] = ()
    recommendations: tuple[Recommendation, ...] = ()
    critical: tuple[CriticalResult, ...] = ()
    communication: Communication = Communication(documented=False)
    scores: dict[str, Any] = {}
    inconsistencies: tuple[Inconsistency, ...] = ()
    labels: dict[str, Literal[1, 0, -1]] = {}
    normal: bool | None = None
    embedding: Embedding | None = None
    model: str = "rules"
    model_version: str = ""
    extracted_at: datetime
