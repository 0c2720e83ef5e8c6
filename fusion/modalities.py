"""What a film and a report bring to an assessment, as `cds` hands them in: the result, its time and its standing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from nlp.result import StructuredReport
from vision.result import ImagingResult


@dataclass(frozen=True)
class ImagingInput:
    """The latest film that may be used; `reference` names it in evidence."""

    result: ImagingResult
    at: datetime
    status: Literal["current", "identity_unresolved"] = "current"
    reference: str = "imaging"

    @property
    def usable(self) -> bool:
        return self.status == "current" and self.result.rejection is None


@dataclass(frozen=True)
class ReportInput:
    """The latest report that may be used; `reference` names it in evidence."""

    report: StructuredReport
    at: datetime
    status: Literal["preliminary", "final", "amended", "corrected", "identity_unresolved"] = "final"
    reference: str = "report"

    @property
    def usable(self) -> bool:
        return self.status != "identity_unresolved" and self.report.refusal is None

    @property
    def modality(self) -> str | None:
        """What was examined (XR, CT, MR, US, MG, NM), where it is known; otherwise a radiograph is assumed."""
        return self.report.modality
