"""Arrival of DICOM films: the one way in for an upload, a C-STORE and STOW-RS.

A film is acknowledged when its bytes are synced to disk and its row and job are committed. Whether the pixels can
be used is decided later, by vision; here only what identifies the film is read, never a name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from cds.configuration import IdentityTable
from cds.errors import NotADicomFilmError
from cds.identity import administrative_gender
from cds.store import BlobFolder, Database
from cds.store.films import FilmHeader, add_film

_HEADER_TAGS = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "StudyDate",
    "StudyTime",
    "TimezoneOffsetFromUTC",
]


@dataclass(frozen=True)
class FilmReceipt:
    """The acknowledgement of an arrival; `new` is False when the same film had arrived before."""

    film_id: str
    study_instance_uid: str
    sop_instance_uid: str
    new: bool


class FilmArrivals:
    """Receives films into the store."""

    def __init__(self, database: Database, blobs: BlobFolder, identity: IdentityTable, zone: ZoneInfo) -> None:
        self._database = database
        self._blobs = blobs
        self._identity = identity
        self._zone = zone

    def receive(self, data: bytes, *, source: str, calling_ae: str | None = None, at: datetime) -> FilmReceipt:
        """Store one film and queue its analysis.

        data        a DICOM file, with or without preamble and file meta
        source      the way in: upload, c-store, stow, demo
        calling_ae  the AE that sent it; names the issuer of the PatientID where the film does not

        Raises NotADicomFilmError when it is not DICOM or lacks its SOP, series or study UID.
        """
        header = self._read_header(data, calling_ae)
        sha256 = self._blobs.put(data)
        with self._database.writing() as session:
            film, new = add_film(session, header, sha256, source=source, at=at)
            return FilmReceipt(film.id, film.study_instance_uid, film.sop_instance_uid, new)

    def _read_header(self, data: bytes, calling_ae: str | None) -> FilmHeader:
        dataset = _dataset(data)
        uids = [str(dataset.get(name) or "") for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
        if not all(uids):
            raise NotADicomFilmError(
                "missing_uid", "the file lacks SOPInstanceUID, StudyInstanceUID or SeriesInstanceUID"
            )
        if any(len(uid) > 64 for uid in uids):
            raise NotADicomFilmError("bad_uid", "a UID is longer than 64 characters (PS3.5 section 9)")
        issuer = self._identity.for_dicom(_text(dataset, "IssuerOfPatientID"), calling_ae)
        return FilmHeader(
            sop_instance_uid=uids[0],
            study_instance_uid=uids[1],
            series_instance_uid=uids[2],
            identifier_system=issuer.system if issuer else None,
            identifier_value=_text(dataset, "PatientID"),
            accession_system=issuer.accession_system if issuer else None,
            accession=_text(dataset, "AccessionNumber"),
            birth_date=_date(_text(dataset, "PatientBirthDate")),
            sex=administrative_gender(_text(dataset, "PatientSex")),
            taken_at=_taken_at(dataset, self._zone),
        )


def _dataset(data: bytes) -> Dataset:
    looks_like_dicom = data[128:132] == b"DICM"
    try:
        dataset = pydicom.dcmread(
            io.BytesIO(data), stop_before_pixels=True, specific_tags=_HEADER_TAGS, force=not looks_like_dicom
        )
        if "SOPInstanceUID" not in dataset:
            raise NotADicomFilmError("not_dicom", "not a DICOM file: no preamble and no SOPInstanceUID")
    except NotADicomFilmError:
        raise
    except (InvalidDicomError, OSError, ValueError, KeyError, AttributeError, NotImplementedError, TypeError) as error:
        raise NotADicomFilmError("not_dicom", f"cannot be read as DICOM ({type(error).__name__})") from None
    return dataset


def _text(dataset: Dataset, name: str) -> str | None:
    value = dataset.get(name)
    text = str(value).strip("\x00 ") if value is not None else ""
    return text[:255] or None


def _date(text: str | None) -> date | None:
    try:
        return datetime.strptime(text or "", "%Y%m%d").date()  # noqa: DTZ007 - a calendar date has no zone
    except ValueError:
        return None


def _taken_at(dataset: Dataset, zone: ZoneInfo) -> datetime | None:
    """Return when the film was taken, by the first complete pair of acquisition, content and study date and time."""
    for kind in ("Acquisition", "Content", "Study"):
        day, clock = _text(dataset, f"{kind}Date"), _text(dataset, f"{kind}Time")
        if _date(day) is None:
            continue
        digits = (clock or "").split(".")[0].ljust(6, "0")[:6]
        offset = _text(dataset, "TimezoneOffsetFromUTC")
        try:
            if offset:
                return datetime.strptime(f"{day}{digits}{offset}", "%Y%m%d%H%M%S%z")
            return datetime.strptime(f"{day}{digits}", "%Y%m%d%H%M%S").replace(tzinfo=zone)
        except ValueError:
            continue
    return None
