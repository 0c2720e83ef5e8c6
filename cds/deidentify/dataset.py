"""The header of a film without the patient in it, at every depth of its sequences. Knows no file and no pixels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from cds.deidentify.profile import CHARACTERISTICS, CODES, DATED_VRS, OLDEST_AGE, Action, action_for
from cds.deidentify.pseudonyms import Pseudonyms

_OF_THE_STANDARD = "1.2.840.10008."
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT", "PN"})
_UNREAD_VRS = frozenset({"UN", "OB"})
_DUMMIES = {"DS": "0", "IS": "0", "AS": "000Y", "UR": "http://anonymized.invalid", "PN": "ANONYMIZED"}
_BULK = frozenset({Tag("PixelData"), Tag("FloatPixelData"), Tag("DoubleFloatPixelData")})
_TABLES = frozenset({Tag("LUTData"), Tag("RedPaletteColorLookupTableData")})
_IDENTIFYING = (
    "PatientName",
    "PatientID",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientBirthDate",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "RequestingPhysician",
    "InstitutionName",
    "IssuerOfPatientID",
)
_SHORTEST_WORD = 3


def identity_of(dataset: Dataset) -> str:
    """Return whose a film is: issuer and number, so that all of a patient's films are moved alike."""
    return f"{dataset.get('IssuerOfPatientID') or ''}|{dataset.get('PatientID') or ''}"


def known_words(dataset: Dataset) -> frozenset[str]:
    """Return the words of a header that name a person or a place; none may be left anywhere."""
    values: set[str] = set()
    for element in dataset.iterall():
        if element.keyword in _IDENTIFYING or element.VR == "PN":
            values.update(word.casefold() for value in _texts(element) for word in re.split(r"[\^=\s,;]+", value))
    dated = str(dataset.get("PatientBirthDate") or "")
    if len(dated) == 8 and dated.isdigit():
        year, month, day = dated[:4], dated[4:6], dated[6:]
        values |= {f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}", f"{day}/{month}/{year}"}
    return frozenset(word for word in values if len(word) >= _SHORTEST_WORD)


def clean(dataset: Dataset, pseudonyms: Pseudonyms, *, keep_characteristics: bool = True) -> None:
    """Take the patient out of a header, in place, and say in it what was done (PS3.15 annex E.1.1)."""
    identity = identity_of(dataset)
    words = known_words(dataset)
    _clean(dataset, pseudonyms, identity, words, keep_characteristics=keep_characteristics)
    dataset.PatientID = pseudonyms.patient(identity)
    dataset.PatientName = pseudonyms.patient(identity)
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.BurnedInAnnotation = "NO"
    codes = [code for code in CODES if keep_characteristics or code != "113108"]
    dataset.DeidentificationMethod = [CODES[code][:64] for code in codes]
    dataset.DeidentificationMethodCodeSequence = Sequence(map(_code, codes))


def _clean(
    dataset: Dataset, pseudonyms: Pseudonyms, identity: str, words: frozenset[str], *, keep_characteristics: bool
) -> None:
    for element in list(dataset):
        action = action_for(element.tag, keep_characteristics=keep_characteristics)
        if element.VR == "SQ" and action is not Action.REMOVE and action is not Action.EMPTY:
            for item in element.value:
                _clean(item, pseudonyms, identity, words, keep_characteristics=keep_characteristics)
        elif element.VR in DATED_VRS and not element.tag.is_private and element.keyword != "PatientBirthDate":
            _move(dataset, element, pseudonyms, identity)
        elif action is Action.REMOVE:
            del dataset[element.tag]
        elif action is Action.EMPTY:
            element.value = Sequence() if element.VR == "SQ" else None
        elif element.VR == "UI":
            element.value = _replaced_uids(element.value, pseudonyms)
        elif action is Action.DUMMY:
            _dummy(dataset, element, pseudonyms)
        elif element.VR == "PN":
            element.value = None
        elif _may_say_who(element, words):
            del dataset[element.tag]
        elif element.tag in CHARACTERISTICS:
            element.value = _characteristic(element)


def _move(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms, identity: str) -> None:
    """Shift dates; a time of day stays, since all dates of a patient move by whole days."""
    shift = {"DA": pseudonyms.shifted_date, "DT": pseudonyms.shifted_moment}.get(element.VR)
    if shift is None:
        return
    moved = [shift(value, identity) for value in _texts(element)]
    element.value = moved if len(moved) != 1 else moved[0]


def _dummy(dataset: Dataset, element: DataElement, pseudonyms: Pseudonyms) -> None:
    if element.VR in _UNREAD_VRS:
        del dataset[element.tag]
    elif element.VR in _TEXT_VRS and element.VR not in _DUMMIES:
        element.value = "ANONYMIZED"
    else:
        element.value = _DUMMIES.get(element.VR, 0)


def _replaced_uids(value: object, pseudonyms: Pseudonyms) -> object:
    if isinstance(value, (MultiValue, list)):
        return [_replaced_uid(str(one), pseudonyms) for one in value]
    return _replaced_uid(str(value), pseudonyms) if value else value


def _replaced_uid(value: str, pseudonyms: Pseudonyms) -> str:
    """Return a UID of the standard (a class, a syntax) as it is, of an instance its pseudonym."""
    return value if value.startswith(_OF_THE_STANDARD) else pseudonyms.uid(value)


def _may_say_who(element: DataElement, words: frozenset[str]) -> bool:
    """Whether an attribute that the profile leaves holds a known word, or bytes that nobody can read."""
    if element.tag in _BULK or element.tag in _TABLES:
        return False
    if element.VR == "UN":
        return True
    if element.VR not in _TEXT_VRS:
        return False
    said = " ".join(_texts(element)).casefold()
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said) for word in words)


def _texts(element: DataElement) -> Iterator[str]:
    values: Iterable[object] = element.value if isinstance(element.value, (MultiValue, list)) else [element.value]
    return (str(value) for value in values if value not in (None, ""))


def _characteristic(element: DataElement) -> object:
    """Return sex, age, size or weight where it is one; an age beyond the oldest as 90 years."""
    value = str(element.value if element.value is not None else "")
    if element.keyword == "PatientSex":
        return value if value in ("M", "F", "O") else None
    if element.keyword != "PatientAge":
        return element.value
    if not re.fullmatch(r"\d{3}[DWMY]", value):
        return None
    return f"0{OLDEST_AGE + 1}Y" if value.endswith("Y") and int(value[:-1]) > OLDEST_AGE else value


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", CODES[value]
    return item
