"""A store of its own for each test, and films and reports to send into it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cds.arrival import FilmArrivals, ReportArrivals
from cds.site.configuration import Configs, IdentityTable, Issuer
from cds.site.orders import OrderTable
from cds.store import BlobFolder, Database

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SYSTEM = "urn:oid:2.999.1"
FilmMaker = Callable[..., bytes]
ReportMaker = Callable[..., dict[str, Any]]


@pytest.fixture
def at() -> datetime:
    return AT


@pytest.fixture
def identity() -> IdentityTable:
    """Two hospitals that number their patients."""
    return IdentityTable(
        (
            Issuer(
                id="north",
                system=SYSTEM,
                dicom_issuer="NORTH",
                hl7_authority="NORTH",
                calling_aes=("NORTHPACS",),
                accession_system="urn:oid:2.999.1.1",
            ),
            Issuer(id="south", system="urn:oid:2.999.2", dicom_issuer="SOUTH", accession_system="urn:oid:2.999.2.1"),
        )
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "data").mkdir(mode=0o700)
    store = Database(f"sqlite:///{tmp_path}/data/roentgen.sqlite3")
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def blobs(database: Database, tmp_path: Path) -> BlobFolder:
    return BlobFolder(tmp_path / "data" / "blobs")


@pytest.fixture
def films(database: Database, blobs: BlobFolder, identity: IdentityTable) -> FilmArrivals:
    return FilmArrivals(database, blobs, identity, ZoneInfo("Europe/Berlin"))


@pytest.fixture
def reports(database: Database, blobs: BlobFolder, identity: IdentityTable) -> ReportArrivals:
    return ReportArrivals(database, blobs, identity, OrderTable.from_csv(Configs().packaged_text("orders.csv")))


@pytest.fixture
def make_film() -> FilmMaker:
    return _film


@pytest.fixture
def make_report() -> ReportMaker:
    return _report


def _film(**elements: Any) -> bytes:
    """Return the bytes of a small radiograph of patient 4711; an element given as None is left out."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = Dataset()
    film.file_meta = meta
    defaults: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": "2.25.1",
        "StudyInstanceUID": "2.25.2",
        "SeriesInstanceUID": "2.25.3",
        "PatientName": "PLANTED^NAME",
        "PatientID": "4711",
        "IssuerOfPatientID": "NORTH",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "AccessionNumber": "A1",
        "ContentDate": "20260301",
        "ContentTime": "101500",
        "Modality": "DX",
        "Rows": 8,
        "Columns": 8,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "PixelData": np.arange(64, dtype=np.uint16).tobytes(),
    }
    for name, value in (defaults | elements).items():
        if value is not None:
            setattr(film, name, value)
    meta.MediaStorageSOPClassUID = film.SOPClassUID
    meta.MediaStorageSOPInstanceUID = film.get("SOPInstanceUID", "2.25.9")
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _report(text: str | None = "No acute disease.", **elements: Any) -> dict[str, Any]:
    """Return a DiagnosticReport R1 of patient 4711's study; an element given as None is left out."""
    report: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "identifier": [
            {"system": "urn:ris", "value": "R1"},
            {
                "type": {"coding": [{"code": "ACSN"}]},
                "system": "urn:oid:2.999.1.1",
                "value": "A1",
            },
        ],
        "status": "final",
        "subject": {"identifier": {"system": SYSTEM, "value": "4711"}},
        "issued": "2026-03-01T11:00:00+00:00",
    }
    if text is not None:
        data = base64.b64encode(text.encode()).decode()
        report["presentedForm"] = [{"contentType": "text/plain", "data": data}]
    return {name: value for name, value in (report | elements).items() if value is not None}
