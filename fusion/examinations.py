"""Earlier examinations, tests and referrals of a record, matched to orderable keys.

An examination counts for an orderable by its code, or as another one of the same modality and region (a CT chest with
contrast answers a CT chest without). Results of the laboratory count by their observation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from fusion.facts import Imaging, Patient
from fusion.orderables import Orderable

IMAGING_KINDS = frozenset({"ServiceRequest", "ImagingStudy", "DiagnosticReport", "Procedure"})
IMAGING_MODALITIES = frozenset({"XR", "CT", "MR", "US", "MG", "DXA", "PET", "NM"})
_ANYWHERE = frozenset({"DXA", "PET"})
_DICOM_MODALITIES: Mapping[str, str] = {"CR": "XR", "DX": "XR", "RF": "XR", "PT": "PET", "BMD": "DXA"}
_RESULTS: Mapping[str, tuple[str, ...]] = {
    "d_dimer": ("d_dimer_ng_ml_feu", "d_dimer_ng_ml_ddu"),
    "nt_probnp": ("nt_probnp_pg_ml", "bnp_pg_ml"),
    "bnp": ("bnp_pg_ml", "nt_probnp_pg_ml"),
    "troponin": ("troponin_i_ng_l", "troponin_t_ng_l"),
    "creatinine": ("creatinine_mg_dl",),
    "pregnancy_test": ("pregnancy_test",),
    "sputum_afb": ("sputum_afb",),
    "tb_naat": ("tb_naat",),
    "hiv_test": ("hiv_test",),
}
_REGION_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (region, re.compile(words, re.IGNORECASE))
    for region, words in (
        ("chest", r"\b(chest|thorax|lung|pulmonary)\b"),
        ("head", r"\b(head|brain)\b"),
        ("lumbar_spine", r"\blumbar\b"),
        ("cervical_spine", r"\bcervical\b"),
        ("abdomen_pelvis", r"\b(abdomen|abdominal|pelvis)\b"),
        ("breast", r"\b(breast|mammogra\w+)\b"),
        ("heart", r"\b(echocardiogra\w+|heart)\b"),
    )
)


@dataclass(frozen=True)
class Examination:
    """One entry of the record that stands for an orderable.

    status  "ordered", "done" or "planned"
    exact   whether its code is one of the orderable's own
    """

    at: datetime | None
    status: str
    reference: str
    text: str | None
    exact: bool

    def days_before(self, at: datetime) -> float | None:
        return None if self.at is None else max((at - self.at).total_seconds() / 86400, 0.0)


class Examinations:
    """What was ordered and done of each orderable, from a patient's record."""

    def __init__(self, patient: Patient, orderables: Mapping[str, Orderable]) -> None:
        self.patient = patient
        self.orderables = orderables
        self._of: dict[str, Sequence[Examination]] = {}
        self._of_place: dict[tuple[str, str], Sequence[Examination]] = {}

    def of(self, key: str) -> Sequence[Examination]:
        """Return what stands for an orderable, exactly or as its equal, newest first, undated last."""
        if key not in self._of:
            self._of[key] = _newest_first(self._all_of(key))
        return self._of[key]

    def of_place(self, modality: str, region: str) -> Sequence[Examination]:
        """Return the examinations of a modality and region, newest first, undated last."""
        place = _place(modality, region)
        if place not in self._of_place:
            found = [_as_examination(imaging, exact=False) for imaging in self._by_place.get(place, ())]
            self._of_place[place] = _newest_first(found)
        return self._of_place[place]

    def done_since(self, key: str, since: datetime) -> Examination | None:
        """Return what was done of an orderable after a time."""
        return next((e for e in self.of(key) if e.status == "done" and e.at is not None and e.at > since), None)

    def ordered(self, key: str, since: datetime) -> Examination | None:
        """Return an order that is still open, placed after a time or undated."""
        return next((e for e in self.of(key) if e.status == "ordered" and (e.at is None or e.at >= since)), None)

    def _all_of(self, key: str) -> list[Examination]:
        orderable = self.orderables.get(key)
        if orderable is None:
            return []
        exact = self._by_key.get(key, ())
        found = [_as_examination(imaging, exact=True) for imaging in exact]
        if orderable.modality in IMAGING_MODALITIES and orderable.region:
            references = {imaging.reference for imaging in exact}
            equals = self.of_place(orderable.modality, orderable.region)
            found += [examination for examination in equals if examination.reference not in references]
        for name in _RESULTS.get(key, ()):
            found += [
                Examination(observation.at, "done", observation.reference, name, exact=True)
                for observation in self.patient.series(name)
            ]
        return found

    @cached_property
    def _key_of_code(self) -> Mapping[tuple[str, str], str]:
        return {code: key for key, orderable in self.orderables.items() for code in orderable.codes}

    @cached_property
    def _by_key(self) -> Mapping[str, Sequence[Imaging]]:
        found: dict[str, list[Imaging]] = defaultdict(list)
        known = self._key_of_code
        for imaging in self.patient.imaging:
            for key in {known[code] for code in imaging.codes if code in known}:
                found[key].append(imaging)
        return found

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], Sequence[Imaging]]:
        found: dict[tuple[str, str], list[Imaging]] = defaultdict(list)
        coded: set[str] = set()
        for key, entries in self._by_key.items():
            orderable = self.orderables[key]
            if orderable.region is not None:
                found[_place(orderable.modality, orderable.region)] += entries
            coded |= {imaging.reference for imaging in entries}
        for imaging in self.patient.imaging:
            place = _place_by_words(imaging)
            if place is not None and imaging.reference not in coded:
                found[_place(*place)].append(imaging)
        return found


def _place(modality: str, region: str) -> tuple[str, str]:
    """Return what makes two examinations equal; bone density and PET are equal wherever they were measured."""
    return (modality, "anywhere" if modality in _ANYWHERE else region)


def _as_examination(imaging: Imaging, *, exact: bool) -> Examination:
    return Examination(imaging.at, imaging.status, imaging.reference, imaging.text, exact)


def _newest_first(found: list[Examination]) -> Sequence[Examination]:
    return sorted(found, key=lambda e: (e.at is None, -(e.at.timestamp() if e.at else 0), e.reference))


def _place_by_words(imaging: Imaging) -> tuple[str, str] | None:
    """Return modality and region of an uncoded imaging study by its description."""
    if imaging.modality is None or imaging.text is None:
        return None
    modality = _DICOM_MODALITIES.get(imaging.modality, imaging.modality)
    return next(((modality, region) for region, words in _REGION_WORDS if words.search(imaging.text)), None)
