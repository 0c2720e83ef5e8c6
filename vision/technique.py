"""What is known beside a film's own header. The header wins; this fills what it does not say."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Technique:
    """Given with a film that lacks it.

    age_years     at the time of the film
    sex           male or female
    view          PA, AP or lateral, in any case
    body_part     as DICOM BodyPartExamined, such as CHEST
    assume_adult  take a film of unknown age for an adult's, and say so in the result
    """

    age_years: float | None = None
    sex: str | None = None
    view: str | None = None
    body_part: str | None = None
    assume_adult: bool = False
