"""Earlier examinations, tests and referrals of a record, matched to orderable keys.

An examination counts for an orderable by its code, or as another one of the same modality and region (a CT chest with
contrast answers a CT chest without). Results of the laboratory count by their observation.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

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


class Examination(NamedTuple):
    """One entry of the record that stands for an orderable; status "ordered", "done" or "planned"."""

    at: datetime | None
    status: str
    reference: str
    text: str | None

    def days_before(self, at: datetime) -> float | None:
        return None if self.at is None else max((at - self.at).total_seconds() / 86400, 0.0)


class Examinations:
    """What was ordered and done of each orderable, from a patient's record."""

    def __init__(self, patient: Patient, orderables: Mapping[str, Orderable]) -> None:
        self.patient = patient
        self.orderables = orderables
        self._exactly: dict[str, Sequence[Examination]] = {}
        self._of_place: dict[tuple[str, str], Sequence[Examination]] = {}

    def of(self, key: str) -> Sequence[Examination]:
        """Return what stands for an orderable, exactly or as its equal, newest first, undated last."""
        orderable = self.orderables.get(key)
        if orderable is not None and orderable.modality in IMAGING_MODALITIES and orderable.region:
            return self.of_place(orderable.modality, orderable.region)
        return self.exactly(key)

    def exactly(self, key: str) -> Sequence[Examination]:
        """Return what has a code of the orderable itself, or is its result, newest first, undated last."""
        if key not in self._exactly:
            self._exactly[key] = sorted(self._all_exactly(key), key=_newest_first)
        return self._exactly[key]

    def of_place(self, modality: str, region: str) -> Sequence[Examination]:
        """Return the examinations of a modality and region, newest first, undated last."""
        place = _place(modality, region)
        if place not in self._of_place:
            self._of_place[place] = sorted(map(_examination, self._grouped[1].get(place, ())), key=_newest_first)
        return self._of_place[place]

    def done_since(self, key: str, since: datetime) -> Examination | None:
        """Return what was done of an orderable after a time."""
        return next((e for e in self.of(key) if e.status == "done" and e.at is not None and e.at > since), None)

    def ordered(self, key: str, since: datetime) -> Examination | None:
        """Return an order that is still open, placed after a time or undated."""
        return next((e for e in self.of(key) if e.status == "ordered" and (e.at is None or e.at >= since)), None)

    def _all_exactly(self, key: str) -> Iterator[Examination]:
        if key not in self.orderables:
            return
        yield from map(_examination, self._grouped[0].get(key, ()))
        for name in _RESULTS.get(key, ()):
            for observation in self.patient.series(name):
                yield Examination(observation.at, "done", observation.reference, name)

    @cached_property
    def _key_of_code(self) -> Mapping[tuple[str, str], str]:
        return {code: key for key, orderable in self.orderables.items() for code in orderable.codes}

    @cached_property
    def _grouped(self) -> tuple[Mapping[str, list[Imaging]], Mapping[tuple[str, str], list[Imaging]]]:
        """What was examined, by the orderables of its codes, and by its place."""
        matched: dict[frozenset[tuple[str, str]], tuple[set[str], set[tuple[str, str]]]] = {}
        by_key: dict[str, list[Imaging]] = defaultdict(list)
        by_place: dict[tuple[str, str], list[Imaging]] = defaultdict(list)
        for imaging in self.patient.imaging:
            if imaging.codes not in matched:
                matched[imaging.codes] = self._matched(imaging.codes)
            keys, places = matched[imaging.codes]
            for key in keys:
                by_key[key].append(imaging)
            found = None if keys else _place_by_words(imaging)
            for place in places if found is None else {_place(*found)}:
                by_place[place].append(imaging)
        return by_key, by_place

    def _matched(self, codes: frozenset[tuple[str, str]]) -> tuple[set[str], set[tuple[str, str]]]:
        """Return the orderables of some codes, and their places."""
        keys = {self._key_of_code[code] for code in codes if code in self._key_of_code}
        orderables = [self.orderables[key] for key in keys]
        return keys, {_place(each.modality, each.region) for each in orderables if each.region is not None}


def _examination(imaging: Imaging) -> Examination:
    return Examination(imaging.at, imaging.status, imaging.reference, imaging.text)


def _place(modality: str, region: str) -> tuple[str, str]:
    """Return what makes two examinations equal; bone density and PET are equal wherever they were measured."""
    return (modality, "anywhere" if modality in _ANYWHERE else region)


def _newest_first(entry: Examination) -> tuple[bool, float, str]:
    at = entry.at
    return at is None, 0.0 if at is None else -at.timestamp(), entry.reference


def _place_by_words(imaging: Imaging) -> tuple[str, str] | None:
    """Return modality and region of an uncoded imaging study by its description."""
    if imaging.modality is None or imaging.text is None:
        return None
    modality = _DICOM_MODALITIES.get(imaging.modality, imaging.modality)
    return next(((modality, region) for region, words in _REGION_WORDS if words.search(imaging.text)), None)
