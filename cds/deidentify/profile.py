"""What is done to each attribute: table E.1-1 of DICOM PS3.15 (2026c), as the package dicom-anonymizer carries it.

Options in force: Clean Pixel Data, Clean Descriptors (attributes with text that the basic profile leaves are searched
for what is known of the patient), Retain Longitudinal Temporal Information with Modified Dates, and Retain Patient
Characteristics (sex, age up to 89, size, weight), which can be taken out.
"""

from __future__ import annotations

from enum import Enum

from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.tag import BaseTag, Tag


class Action(Enum):
    """What table E.1-1 says of an attribute, as far as it can be done without knowing its type in every IOD."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"


CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113105": "Clean Descriptors Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
}
"""CID 7050."""
CHARACTERISTICS = frozenset({Tag("PatientSex"), Tag("PatientAge"), Tag("PatientSize"), Tag("PatientWeight")})
OLDEST_AGE = 89
"""Older ages are given as 90 years: so few people are that old that the age tells who it is."""
DATED_VRS = frozenset({"DA", "DT", "TM"})
_LISTS = {
    Action.REMOVE: table.X_TAGS,
    Action.EMPTY: [*table.Z_TAGS, *table.X_Z_TAGS],
    Action.DUMMY: [*table.D_TAGS, *table.Z_D_TAGS, *table.X_D_TAGS, *table.X_Z_D_TAGS],
    Action.UID: [*table.U_TAGS, *table.X_Z_U_STAR_TAGS],
}
"""Where an attribute may be removed or must stay by its type (X/Z, Z/D, X/D, X/Z/D), what keeps every IOD valid is
done: emptied or given a dummy."""
_ACTIONS = {Tag(*entry): action for action, entries in _LISTS.items() for entry in entries if len(entry) == 2}
_CURVES, _OVERLAYS = range(0x5000, 0x5100), range(0x6000, 0x6100)


def action_for(tag: BaseTag, *, keep_characteristics: bool = True) -> Action | None:
    """Return what is done to an attribute; None where the profile leaves it.

    Curves and overlays go whole: either may hold a name.
    """
    if tag.is_private or tag.group in _CURVES or tag.group in _OVERLAYS:
        return Action.REMOVE
    if tag in CHARACTERISTICS:
        return None if keep_characteristics else Action.EMPTY
    return _ACTIONS.get(tag)


def attributes() -> dict[BaseTag, Action]:
    """Return the attributes of the table that stand for themselves, without repeating groups."""
    return dict(_ACTIONS)
