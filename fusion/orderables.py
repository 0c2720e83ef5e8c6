"""What can be ordered, by key: what a rule suggests and a drafted order is mapped to.

The table itself is a hospital's own; `cds` reads it and passes it in. Knows no file and no FHIR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_IONISING = frozenset({"XR", "CT", "MG", "DXA", "PET", "NM", "RF"})


@dataclass(frozen=True)
class Orderable:
    """An examination, test or referral.

    modality    XR, CT, MR, US, MG, DXA, PET, NM; lab, procedure, referral or other for what is no imaging
    region      chest, abdomen_pelvis, head, cervical_spine, lumbar_spine, hip, ...; None where it has none
    contrast    intravenous contrast: "with", "without", or None where the question does not arise
    laterality  left, right, bilateral or None
    codes       (system, code) pairs that stand for it in orders, results and imaging studies
    """

    key: str
    display: str
    modality: str
    region: str | None = None
    contrast: Literal["with", "without"] | None = None
    laterality: Literal["left", "right", "bilateral"] | None = None
    codes: frozenset[tuple[str, str]] = frozenset()

    @property
    def ionising(self) -> bool:
        """Whether it exposes to ionising radiation."""
        return self.modality in _IONISING
