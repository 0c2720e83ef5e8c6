"""Arrival of DICOM films: the one way in for an upload, a C-STORE and STOW-RS.

A film is acknowledged when its bytes are synced to disk and its row and job are committed. Whether the pixels can
be used is decided later, by vision; here only what identifies the film is read, never a name.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage

from cds.assessing.identity import administrative_gender
from cds.errors import NotADicomFilmError
from cds.site.configuration import IdentityTable
from cds.store import BlobFolder, Database
from cds.store.dicom_objects import is_ours
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
_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 section 9.1; leading zeros are met in practice
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_META_GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
_LARGEST_INFLATED = 512 * 1024 * 1024
_LONGEST_TEXT = 64
OWN_OBJECT = "own_object"
_CLOCK_ERROR = timedelta(days=1)


@dataclass(frozen=True)
class FilmReceipt:
    """The acknowledgement of an arrival; `new` is False when the same film had arrived before."""

    film_id: str
    study_instance_uid: str
    sop_instance_uid: str
    new: bool
    sop_class_uid: str = ""


class FilmArrivals:
    """Receives films into the store."""

    def __init__(self, database: Database, blobs: BlobFolder, identity: IdentityTable, zone: ZoneInfo) -> None:
        self._database = database
        self._blobs = blobs
        self._identity = identity
        self._zone = zone

    def receive(
        self,
        data: bytes,
        *,
        source: str,
        calling_ae: str | None = None,
        announced_uid: str | None = None,
        study: str | None = None,
        at: datetime,
    ) -> FilmReceipt:
        """Store one film and queue its analysis.

        data           a DICOM file, with or without preamble and file meta
        source         the way in: upload, c-store, stow, pacs, prior, demo
        calling_ae     the AE that sent it; names the issuer of the PatientID where the film does not
        announced_uid  the SOPInstanceUID that its sender says it has
        study          the StudyInstanceUID that it must have

        Raises NotADicomFilmError when it is not DICOM, no image, lacks its SOP, series or study UID, or is not what
        its sender says.
        """
        texts = _header_texts(data)
        header = self._header(texts, calling_ae, at)
        if announced_uid not in (None, header.sop_instance_uid):
            raise NotADicomFilmError("other_instance", "the film has another SOPInstanceUID than its sender says")
        if study not in (None, header.study_instance_uid):
            raise NotADicomFilmError("other_study", "the film has another StudyInstanceUID than its sender says")
        self._refuse_own(texts)
        sha256 = self._blobs.put(data)
        with self._database.writing() as session:
            film, new = add_film(session, header, sha256, source=source, at=at)
            return FilmReceipt(
                film.id, film.study_instance_uid, film.sop_instance_uid, new, texts.get("SOPClassUID", "")
            )

    def _refuse_own(self, texts: dict[str, str]) -> None:
        """Refuse a picture that was made here of a film, and comes back from an archive that forwards everything."""
        if texts.get("SOPClassUID") == SecondaryCaptureImageStorage:
            with self._database.reading() as session:
                if is_ours(session, texts["SOPInstanceUID"]):
                    raise NotADicomFilmError(OWN_OBJECT, "an object that was made here; it is kept already")

    def _header(self, texts: dict[str, str], calling_ae: str | None, at: datetime) -> FilmHeader:
        uids = [texts.get(name) for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")]
        if not all(uids):
            raise NotADicomFilmError(
                "missing_uid", "the file lacks SOPInstanceUID, StudyInstanceUID or SeriesInstanceUID"
            )
        if not all(_UID.fullmatch(uid or "") for uid in uids):
            raise NotADicomFilmError("bad_uid", "a UID is not 1 to 64 digits and dots (PS3.5 section 9)")
        if _holds_no_image(texts.get("SOPClassUID", "")):
            raise NotADicomFilmError("not_an_image", "a DICOM object without pixels; only images are received")
        issuer = self._identity.for_dicom(texts.get("IssuerOfPatientID"), calling_ae)
        taken_at = _taken_at(texts, self._zone)
        return FilmHeader(
            sop_instance_uid=str(uids[0]),
            study_instance_uid=str(uids[1]),
            series_instance_uid=str(uids[2]),
            identifier_system=issuer.system if issuer else None,
            identifier_value=texts.get("PatientID"),
            accession_system=issuer.accession_system if issuer else None,
            accession=texts.get("AccessionNumber"),
            birth_date=_date(texts.get("PatientBirthDate")),
            sex=administrative_gender(texts.get("PatientSex")),
            taken_at=taken_at if taken_at is None or taken_at <= at + _CLOCK_ERROR else None,
        )


def _header_texts(data: bytes) -> dict[str, str]:
    """Return the header elements that an arrival needs, as text, without those that are empty or not usable."""
    _refuse_inflation(data)
    looks_like_dicom = data[128:132] == b"DICM"
    try:
        dataset = pydicom.dcmread(
            io.BytesIO(data), stop_before_pixels=True, specific_tags=_HEADER_TAGS, force=not looks_like_dicom
        )
        texts = {name: _text(dataset, name) for name in _HEADER_TAGS if name in dataset}
    except Exception as error:  # noqa: BLE001 - hostile bytes make the parser raise whatever there is
        raise NotADicomFilmError("not_dicom", f"cannot be read as DICOM ({type(error).__name__})") from None
    if "SOPInstanceUID" not in texts:
        raise NotADicomFilmError("not_dicom", "not a DICOM file: no SOPInstanceUID")
    return {name: text for name, text in texts.items() if text is not None}


def _holds_no_image(sop_class: str) -> bool:
    """Whether a class of the standard stores something else than images; a class that is not known may store them."""
    name = UID(sop_class).name
    return name.endswith("Storage") and "Image Storage" not in name


def _refuse_inflation(data: bytes) -> None:
    """Refuse a deflated file (PS3.5 section A.5) that would fill the memory when inflated."""
    start = 144 + int.from_bytes(data[140:144], "little") if data[132:140] == _META_GROUP_LENGTH else 4096
    if _DEFLATED not in data[:start]:
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[start:]
    try:
        while rest and not inflater.eof:
            size += len(inflater.decompress(rest, 1 << 20))
            rest = inflater.unconsumed_tail
            if size > _LARGEST_INFLATED:
                raise NotADicomFilmError("too_large", "inflates to more bytes than any film has")
    except zlib.error:
        raise NotADicomFilmError("not_dicom", "cannot be read as DICOM (not deflated as it says)") from None


def _text(dataset: Dataset, name: str) -> str | None:
    """Return one element as text; None when empty, multi-valued, overlong or not printable, never a part of it."""
    element = dataset[name]
    text = str(element.value if element.value is not None else "").strip("\x00 ")
    return text if text and element.VM == 1 and len(text) <= _LONGEST_TEXT and text.isprintable() else None


def _date(text: str | None) -> date | None:
    """Return a DICOM date, also as ACR-NEMA wrote it (PS3.5 section 6.2)."""
    try:
        return datetime.strptime((text or "").replace(".", ""), "%Y%m%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return None


def _taken_at(texts: dict[str, str], zone: ZoneInfo) -> datetime | None:
    """Return when the film was taken, by the first complete pair of acquisition, content and study date and time."""
    for kind in ("Acquisition", "Content", "Study"):
        day, clock = _date(texts.get(f"{kind}Date")), texts.get(f"{kind}Time")
        if day is None:
            continue
        digits = (clock or "").replace(":", "").split(".")[0].ljust(6, "0")[:6]
        offset = texts.get("TimezoneOffsetFromUTC")
        try:
            if offset:
                taken = datetime.strptime(f"{day:%Y%m%d}{digits}{offset}", "%Y%m%d%H%M%S%z")
            else:
                taken = datetime.strptime(f"{day:%Y%m%d}{digits}", "%Y%m%d%H%M%S").replace(tzinfo=zone)
            return taken.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None
