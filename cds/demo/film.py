"""The demo copy of a real chest film: identity, dates and UIDs are the demo's, the pixels are as they came."""

from __future__ import annotations

import io
from datetime import timedelta

import pydicom
from pydicom.data import get_testdata_file

from cds.demo.state import DemoState
from cds.errors import DemoError

SOURCE = "RG1_J2KI.dcm"
TAKEN_BEFORE_START = timedelta(minutes=90)
_DATED = ("InstanceCreation", "Study", "Series", "Content", "Acquisition")
_OF_THE_SOURCE = ("OtherPatientIDs", "ReferringPhysicianName", "StudyID")


def demo_film(state: DemoState, *, patient_id: str, issuer: str) -> bytes:
    """Return the film as a DICOM file of the demo patient; the same state gives the same bytes.

    Raises DemoError when the package pydicom-data, which holds the film, is incomplete.
    """
    path = get_testdata_file(SOURCE, download=False)
    if path is None:
        raise DemoError(f"the package pydicom-data holds no {SOURCE}; install it anew")
    film = pydicom.dcmread(path)
    for name in _OF_THE_SOURCE:
        if name in film:
            delattr(film, name)
    film.PatientName, film.PatientID, film.IssuerOfPatientID = "Musterfrau^Erika", patient_id, issuer
    film.PatientBirthDate, film.PatientSex, film.PatientAge = f"{state.birth_date:%Y%m%d}", "F", f"{state.age:03d}Y"
    film.AccessionNumber = state.accession
    taken = state.started_at - TAKEN_BEFORE_START
    for kind in _DATED:
        setattr(film, f"{kind}Date", f"{taken:%Y%m%d}")
        setattr(film, f"{kind}Time", f"{taken:%H%M%S}")
    film.TimezoneOffsetFromUTC = "+0000"
    film.StudyInstanceUID, film.SeriesInstanceUID = state.uid("study"), state.uid("series")
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = state.uid("instance")
    written = io.BytesIO()
    film.save_as(written, enforce_file_format=True)
    return written.getvalue()
