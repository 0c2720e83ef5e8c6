"""What a caller may say of a report beside its text, checked: the `context` of `cds extract` and of the REST API."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nlp import ReportContext


class GivenContext(BaseModel):
    """Age in years, sex, the examination as ordered and its side, and the day of the report; all optional."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    age: float | None = Field(default=None, ge=0, le=130)
    sex: Literal["male", "female", "other", "unknown"] | None = None
    ordered_exam: str | None = Field(default=None, max_length=1000)
    laterality: Literal["left", "right", "bilateral"] | None = None
    reported_on: date | None = None

    def as_context(self) -> ReportContext:
        """Return it as the extractor takes it."""
        return ReportContext(
            age=self.age,
            sex=self.sex,
            ordered_exam=self.ordered_exam,
            laterality=self.laterality,
            reported_on=self.reported_on,
        )
