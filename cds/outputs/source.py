"""The film that objects are made of, as their makers need it; and who says that they were made, and with what."""

from __future__ import annotations

import hashlib
import io
import uuid
from dataclasses import dataclass, field
from typing import Any

import pydicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.config import RAISE
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from cds import __version__
from cds.site.codes import FINDINGS, RADLEX, SNOMED, FindingCodes
from vision import ImagingResult

MANUFACTURER = "Roentgen CDS"
SCHEME = "99ROENTGENCDS"
LABEL = "Computer output, not verified"
_SCHEMES = {SNOMED: "SCT", RADLEX: "RADLEX", FINDINGS: SCHEME}
_NAMESPACE = uuid.UUID("6d6f0b53-5a9b-5f0e-9c1b-0f3f5d0c7a11")
_LONGEST_LO = 64
_TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_AS_TEXT = ("AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM")
_SEXES = ("M", "F", "O")
_LATERAL = ("OT", "PR")
"""Modalities of ours whose series must say its side, though it be empty (PS3.3 table C.7-5a)."""


@dataclass(frozen=True)
class Source:
    """A film, what may leave of its result, and how findings are coded.

    data      the film as it is stored
    header    its data set without pixels, complete enough to be referred to
    result    what the site's gates let out
    revision  1 for the first objects of a film, counted up by each correction
    """

    data: bytes = field(repr=False)
    header: Dataset = field(repr=False)
    result: ImagingResult
    codes: FindingCodes
    revision: int

    @classmethod
    def of(cls, data: bytes, result: ImagingResult, codes: FindingCodes, *, revision: int) -> Source:
        return cls(data, _header(data), result, codes, revision)

    @property
    def fingerprint(self) -> str:
        """The sha256 of film and result, which says whether anything is to be made anew; times do not count."""
        said = self.result.model_dump_json(exclude={"analysed_at", "embedding"})
        return hashlib.sha256(hashlib.sha256(self.data).digest() + said.encode()).hexdigest()

    @property
    def rows(self) -> int:
        return int(self.header.Rows)

    @property
    def columns(self) -> int:
        return int(self.header.Columns)

    def instance_uid(self, kind: str) -> str:
        """Return the UID of an object: the same film, result, kind and revision give the same.

        A revision counts, because an instance that was rejected must not come back, though the word be the same.
        """
        return uid_of(self.header.SOPInstanceUID, self.fingerprint, kind, str(self.revision))

    def series_uid(self, kind: str) -> str:
        """Return the UID of the series of a kind, which holds all revisions."""
        return uid_of(self.header.SOPInstanceUID, "series", kind)

    def concept(self, key: str) -> CodedConcept:
        """Return a finding as a code: SNOMED CT, else RadLex, where verified; else the project's own."""
        coding = self.codes.concept(key)["coding"][0]
        return CodedConcept(coding["code"], _SCHEMES[coding["system"]], coding["display"][:_LONGEST_LO])

    def equipment(self) -> dict[str, Any]:
        """Return who made an object, for the makers of highdicom."""
        return {
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MANUFACTURER,
            "software_versions": self.versions(),
            "device_serial_number": __version__,
        }

    def versions(self) -> tuple[str, ...]:
        """Return the version of this program and of each model that has a part in the result."""
        models = [f"{model.id} {model.version} {model.sha256[:12]}"[:_LONGEST_LO] for model in self.result.models]
        return (f"{MANUFACTURER} {__version__}", *models)


def own_concept(value: str, meaning: str) -> CodedConcept:
    """Return a concept of the project's own scheme."""
    return CodedConcept(value, SCHEME, meaning[:_LONGEST_LO])


def own_scheme() -> CodingSchemeIdentificationItem:
    """Return what the project's scheme is, for objects that use it."""
    scheme = CodingSchemeIdentificationItem(
        designator=SCHEME,
        name="Roentgen CDS findings and results",
        version=__version__,
        responsible_organization=MANUFACTURER,
    )
    scheme.CodingSchemeUID = FINDINGS.removeprefix("urn:oid:")
    return scheme


def stamped(made: Dataset, source: Source) -> Dataset:
    """Date an object by its result, so that the same result gives the same object, and say what it is."""
    at = source.result.analysed_at
    for kind in ("InstanceCreation", "Content"):
        setattr(made, f"{kind}Date", f"{at:%Y%m%d}")
        setattr(made, f"{kind}Time", f"{at:%H%M%S}")
    made.TimezoneOffsetFromUTC = at.strftime("%z") or "+0000"
    if made.Modality in _LATERAL and "Laterality" not in made:
        made.Laterality = ""
    made.SeriesDescription = f"{LABEL}: {MANUFACTURER} {__version__}"[:_LONGEST_LO]
    return made


def _header(data: bytes) -> Dataset:
    """Return a film's header with the elements that must be there, empty where the film has none.

    What the film writes against the standard is left out, so that nothing made of it does so too; UIDs stay.
    """
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
    for tag in list(header.keys()):
        if not _is_sound(header, tag):
            del header[tag]
    if "WindowCenter" in header and "VOILUTSequence" in header:
        del header.VOILUTSequence
    for name in _TYPE_2:
        if name not in header:
            setattr(header, name, "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    return header


def _is_sound(header: Dataset, tag: BaseTag) -> bool:
    """Whether a value keeps the rules of its VR (PS3.5 section 6.2), and a distance is one."""
    try:
        element = header[tag]
        values = element.value if element.VM > 1 else [element.value]
        if element.VR not in ("UI", "SQ"):
            for value in values:
                validate_value(element.VR, str(value) if element.VR in _AS_TEXT else value, RAISE)
        return not element.keyword.endswith("PixelSpacing") or all(float(value) > 0 for value in values)
    except (KeyError, ValueError, TypeError, NotImplementedError):
        return False


def uid_of(*parts: str) -> str:
    """Return a UID made of a UUID (PS3.5 section B.2) that the same parts always give."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '|'.join(map(str, parts))).int}"
