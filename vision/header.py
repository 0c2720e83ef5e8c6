"""DICOM header -> the facts of a radiograph, tolerant of what sites write. Knows no pixels.

A value that is not understood is not said; nothing is guessed, and nothing that names a person is read but the birth
date, from which only the age is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from vision.radiograph import HeaderView, Sex

_DAYS_A_YEAR = 365.25
_UNITS = {"D": _DAYS_A_YEAR, "W": _DAYS_A_YEAR / 7, "M": 12.0, "Y": 1.0}
"""How many of a unit make a year (PS3.5 table 6.2-1, AS)."""
_OLDEST = 130
_SEXES: Mapping[str, Sex] = {"M": "male", "F": "female", "O": "other"}
_VIEWS: Mapping[str, HeaderView] = {
    **dict.fromkeys(("PA", "POSTERO-ANTERIOR", "POSTEROANTERIOR"), "PA"),
    **dict.fromkeys(("AP", "ANTERO-POSTERIOR", "ANTEROPOSTERIOR", "AP SUPINE", "AP ERECT", "AP SEMI ERECT"), "AP"),
    **dict.fromkeys(
        ("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LEFT LATERAL", "RIGHT LATERAL", "ML", "LM"), "lateral"
    ),
    **dict.fromkeys(("RLO", "LLO", "LAO", "RAO", "LPO", "RPO", "OBL", "OBLIQUE"), "oblique"),
    **dict.fromkeys(("LLD", "RLD", "DECUBITUS", "LEFT LATERAL DECUBITUS", "RIGHT LATERAL DECUBITUS"), "decubitus"),
}
"""Values of View Position (PS3.3 C.8.7.1.1.2 and C.8.11.5) and meanings of View Code Sequence (PS3.16 CID 4010)."""
_UPRIGHT: Mapping[str, bool] = {"ERECT": True, "ORTHOSTATIC": True, "RECUMBENT": False, "SEMI-ERECT": False}
"""Meanings of Patient Orientation Code Sequence (PS3.16 CID 19)."""
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


@dataclass(frozen=True)
class Header:
    """What a header says; fields as in `Radiograph`."""

    modality: str | None
    body_part: str | None
    view: HeaderView | None
    laterality: str | None
    patient_orientation: tuple[str, ...]
    age_years: float | None
    sex: Sex | None
    pixel_spacing_mm: tuple[float, float] | None
    burned_in: bool | None
    presentation: bool
    institution: str | None
    device: str | None
    upright: bool | None


def header_of(dataset: Dataset) -> Header:
    """Return the facts that a dataset states in a form that is understood."""
    return Header(
        modality=_text(dataset, "Modality"),
        body_part=_text(dataset, "BodyPartExamined") or _meaning(dataset, "AnatomicRegionSequence"),
        view=_view(dataset),
        laterality=_one_of(_text(dataset, "ImageLaterality") or _text(dataset, "Laterality"), "LRB"),
        patient_orientation=_orientation(dataset),
        age_years=_age(dataset),
        sex=_SEXES.get(_text(dataset, "PatientSex") or ""),
        pixel_spacing_mm=_spacing(dataset, "PixelSpacing") or _spacing(dataset, "ImagerPixelSpacing"),
        burned_in={"YES": True, "NO": False}.get(_text(dataset, "BurnedInAnnotation") or ""),
        presentation=_text(dataset, "PresentationIntentType") != "FOR PROCESSING",
        institution=_text(dataset, "InstitutionName"),
        device=_text(dataset, "ManufacturerModelName"),
        upright=_UPRIGHT.get((_meaning(dataset, "PatientOrientationCodeSequence") or "").upper()),
    )


def age_in_years(text: str) -> float | None:
    """Return the years of an age string (PS3.5 AS: `034Y`, `018M`, `002W`, `010D`); None when it is none.

    Digits alone are read as years, as many sites write them; zero years is what de-identification leaves, so unknown.
    """
    match = re.fullmatch(r"\s*(\d{1,3})\s*([DWMYdwmy]?)\s*", text)
    if match is None:
        return None
    count, unit = int(match[1]), (match[2] or "Y").upper()
    years = count / _UNITS[unit]
    return None if (unit == "Y" and count == 0) or years > _OLDEST else years


def _age(dataset: Dataset) -> float | None:
    stated = age_in_years(_text(dataset, "PatientAge") or "")
    if stated is not None:
        return stated
    born = _date(_text(dataset, "PatientBirthDate"))
    taken = next(filter(None, (_date(_text(dataset, name)) for name in _DATES)), None)
    if born is None or taken is None:
        return None
    years = (taken - born).days / _DAYS_A_YEAR
    return years if 0 <= years <= _OLDEST else None


def view_of(text: str) -> HeaderView | None:
    """Return the projection that a View Position, or the meaning of a view code, names; None when not understood."""
    return _VIEWS.get(re.sub(r"[\s_]+", " ", text.strip().upper()))


def _view(dataset: Dataset) -> HeaderView | None:
    return view_of(_text(dataset, "ViewPosition") or _meaning(dataset, "ViewCodeSequence") or "")


def _orientation(dataset: Dataset) -> tuple[str, ...]:
    value = dataset.get("PatientOrientation")
    parts = [str(part).strip().upper() for part in value] if isinstance(value, list | tuple) or _many(value) else []
    return tuple(parts) if len(parts) == 2 and all(re.fullmatch(r"[LRAPHF]{1,3}", part) for part in parts) else ()


def _many(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def _spacing(dataset: Dataset, name: str) -> tuple[float, float] | None:
    value = dataset.get(name)
    if not _many(value):
        return None
    try:
        numbers = [float(part) for part in value]
    except (TypeError, ValueError):
        return None
    if len(numbers) != 2 or not all(0.01 <= number <= 10 for number in numbers):
        return None
    return numbers[0], numbers[1]


def _meaning(dataset: Dataset, name: str) -> str | None:
    items = dataset.get(name)
    return _text(items[0], "CodeMeaning") if items and _many(items) else None


def _text(dataset: Dataset, name: str) -> str | None:
    value = dataset.get(name)
    if value is None or _many(value):
        return None
    return str(value).strip("\x00 ").upper() or None


def _one_of(text: str | None, letters: str) -> str | None:
    return text if text and len(text) == 1 and text in letters else None


def _date(text: str | None) -> date | None:
    match = re.fullmatch(r"(\d{4})[.-]?(\d{2})[.-]?(\d{2})", text or "")
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None
