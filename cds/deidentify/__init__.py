"""De-identification for research export and for a remote second reader, by DICOM PS3.15 annex E.

    profile.py      what is done to each attribute: the table of the standard, and the options in force
    pseudonyms.py   a project's keyed names, UIDs and shifts of dates: the same every time, nothing without the key
    dataset.py      the header, at every depth
    burned_in.py    text in the pixels, found and blanked
    film.py         one DICOM file -> one without the patient in it
    report.py       report text
    project.py      a project's key and its register of who is who

What cannot be cleaned is refused. Knows no web.
"""

from __future__ import annotations

from cds.deidentify.film import deidentified_film
from cds.deidentify.project import Project
from cds.deidentify.report import deidentified_report

__all__ = ["Project", "deidentified_film", "deidentified_report"]
