"""De-identification by PS3.15: nothing planted survives anywhere, and what research needs is still there."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from dicognito.anonymizer import Anonymizer
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from cds.deidentify import Project, deidentified_film, deidentified_report
from cds.deidentify.burned_in import Text, TextFinder, blanked
from cds.deidentify.dataset import clean, identity_of, known_words
from cds.deidentify.profile import Action, action_for, attributes
from cds.deidentify.pseudonyms import Pseudonyms
from cds.errors import NotADicomFilmError, NotDeidentifiedError, NotFoundError
from cds.store import Database
from cds.store.keyring import Keyring

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

PSEUDONYMS = Pseudonyms(b"k" * 32)
PLANTED = ("PLANTED", "GRACE", "4711-0815", "ACC99", "19500102", "OAKFIELD", "1.2.826.0.1.99")
VALUES: dict[str, Any] = {
    "DA": "19870605",
    "DT": "19870605101500",
    "TM": "101500",
    "UI": "1.2.826.0.1.99.5",
    "DS": "7",
    "IS": "7",
    "AS": "051Y",
    "PN": "PLANTED^GRACE",
    "UR": "http://planted.example",
    "OB": b"PLANTED ",
    "OW": b"PLANTED ",
    "UN": b"PLANTED ",
    "SQ": None,
}


@pytest.fixture(scope="module")
def finder() -> TextFinder:
    return TextFinder(threads=1)


def _film(**elements: Any) -> Dataset:
    film = Dataset()
    film.file_meta = FileMetaDataset()
    film.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film.file_meta.SourceApplicationEntityTitle = "OAKFIELD"
    film.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.99.1"
    film.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    values: dict[str, Any] = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation,
        "SOPInstanceUID": "1.2.826.0.1.99.1",
        "StudyInstanceUID": "1.2.826.0.1.99.2",
        "SeriesInstanceUID": "1.2.826.0.1.99.3",
        "PatientName": "PLANTED^GRACE",
        "PatientID": "4711-0815",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "PatientAge": "076Y",
        "AccessionNumber": "ACC99",
        "StudyDate": "20260301",
        "AcquisitionDateTime": "20260301101500",
        "StudyDescription": "CHEST of Grace Planted",
        "InstitutionName": "OAKFIELD",
        "Modality": "DX",
        "ViewPosition": "PA",
        "FilterType": "Grace Planted",
        "Manufacturer": "MAKER",
    }
    for name, value in (values | elements).items():
        setattr(film, name, value)
    film.add_new((0x0009, 0x0010), "LO", "OAKFIELD PRIVATE")
    film.add_new((0x0009, 0x1001), "LO", "PLANTED GRACE")
    film.add_new((0x6000, 0x3000), "OW", b"PLANTED GRACE ")
    film.add_new((0x5000, 0x2500), "LO", "PLANTED")
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.826.0.1.99.2"
    inner.PatientName = "PLANTED^GRACE"
    inner.CodeMeaning = "seen by GRACE"
    inner.add_new((0x0011, 0x0010), "LO", "PLANTED")
    film.ViewCodeSequence = Sequence([inner])
    return film


def _with_pixels(film: Dataset, *words: str) -> bytes:
    """Return the file of a film with a chest-like picture and words in its corners."""
    y, x = np.mgrid[0:480, 0:640] / 480
    picture = (120 + 60 * np.sin(7 * x) * np.cos(5 * y)).astype(np.uint8)
    for place, word in zip(((12, 34), (330, 34), (12, 465), (330, 465)), words, strict=False):
        cv2.putText(picture, word, place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 255, 2, cv2.LINE_AA)
    film.set_pixel_data(picture.astype(np.uint16) * 16, "MONOCHROME2", 12, generate_instance_uid=False)
    file = io.BytesIO()
    film.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _said(dataset: Dataset) -> str:
    """Return everything a header says, at every depth, without the pixels."""
    shown = pydicom.dcmread(io.BytesIO(_bytes(dataset)))
    if "PixelData" in shown:
        del shown.PixelData
    return f"{shown.file_meta}\n{shown}\n{_bytes(shown)!r}"


def _bytes(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


# the header


def test_every_attribute_of_the_table_is_treated_as_the_table_says() -> None:
    for tag, action in attributes().items():
        film = Dataset()
        vr = _vr(tag)
        film.add_new(tag, vr, Sequence([Dataset()]) if vr == "SQ" else VALUES.get(vr, "PLANTED" if _is_text(vr) else 7))
        clean(film, PSEUDONYMS)
        element = film.get(tag)
        what = f"{tag} {vr} {action}"
        if vr in ("DA", "DT"):
            assert element is None or "19870605" not in str(element.value), what
        elif vr != "TM" and element is not None:
            assert "PLANTED" not in str(element.value), what
            assert action is not Action.REMOVE or tag in (Tag("PatientAge"), Tag("PatientSize"), Tag("PatientWeight"))
            assert not (vr == "UI" and element.value == VALUES["UI"]), what


def _vr(tag: BaseTag) -> str:
    return dictionary_VR(tag).split(" or ")[0] if dictionary_has_tag(tag) else "UN"


def _is_text(vr: str) -> bool:
    return vr in {"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT"}


def test_nothing_planted_survives_in_the_header_at_any_depth() -> None:
    film = _film()
    clean(film, PSEUDONYMS)
    film.file_meta.SourceApplicationEntityTitle = None
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    said = _said(film)
    assert [word for word in PLANTED if word in said.upper()] == []


def test_what_research_needs_is_still_there() -> None:
    film = _film()
    clean(film, PSEUDONYMS)
    assert (film.PatientSex, film.PatientAge, film.ViewPosition, film.Manufacturer) == ("F", "076Y", "PA", "MAKER")
    assert film.SOPClassUID == DigitalXRayImageStorageForPresentation
    assert film.PatientIdentityRemoved == "YES"
    codes = {item.CodeValue for item in film.DeidentificationMethodCodeSequence}
    assert codes == {"113100", "113101", "113105", "113107", "113108"}


def test_characteristics_can_be_taken_out_and_great_age_is_never_told() -> None:
    old = _film(PatientAge="097Y")
    clean(old, PSEUDONYMS)
    assert old.PatientAge == "090Y"
    bare = _film()
    clean(bare, PSEUDONYMS, keep_characteristics=False)
    assert not bare.PatientSex
    assert not bare.PatientAge


def test_references_still_lead_where_they_led_and_films_of_a_patient_stay_together() -> None:
    first, second = _film(), _film(SOPInstanceUID="1.2.826.0.1.99.9")
    clean(first, PSEUDONYMS)
    clean(second, PSEUDONYMS)
    assert first.StudyInstanceUID == second.StudyInstanceUID == first.ViewCodeSequence[0].ReferencedSOPInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.PatientID == second.PatientID


def test_intervals_between_the_dates_of_a_patient_stay_and_the_dates_do_not() -> None:
    first, second = _film(), _film(StudyDate="20260310")
    clean(first, PSEUDONYMS)
    clean(second, PSEUDONYMS)
    days = [datetime.strptime(film.StudyDate, "%Y%m%d").replace(tzinfo=UTC) for film in (first, second)]
    assert (days[1] - days[0]).days == 9
    assert first.StudyDate != "20260301"
    assert first.AcquisitionDateTime[8:] == "101500"


def test_another_project_has_other_names() -> None:
    other = Pseudonyms(b"o" * 32)
    assert PSEUDONYMS.patient("a|1") != other.patient("a|1")
    assert PSEUDONYMS.uid("1.2.3") != other.uid("1.2.3")
    assert PSEUDONYMS.days("a|1") != other.days("a|1")


@given(st.text(max_size=80))
def test_a_pseudonymous_uid_is_always_a_valid_one(value: str) -> None:
    uid = PSEUDONYMS.uid(value)
    assert pydicom.uid.UID(uid).is_valid
    assert len(uid) <= 64


def test_an_independent_tool_finds_nothing_identifying_that_this_one_left() -> None:
    ours, theirs = _film(), _film()
    before = {element.tag: str(element.value) for element in _film()}
    clean(ours, PSEUDONYMS)
    Anonymizer().anonymize(theirs)
    changed_by_them = {tag for tag, value in before.items() if tag not in theirs or str(theirs[tag].value) != value}
    left_by_us = {tag for tag in changed_by_them if tag in ours and str(ours[tag].value) == before[tag]}
    assert {Tag(tag) for tag in left_by_us} <= {Tag("PatientAge"), Tag("PatientSex")}


# the pixels


def test_names_in_the_corners_are_blanked_and_a_marker_stays(finder: TextFinder) -> None:
    data = _with_pixels(_film(), "PLANTED GRACE", "02.01.1950", "MRN 4711-0815", "ACC99")
    cleaned = pydicom.dcmread(io.BytesIO(deidentified_film(data, PSEUDONYMS, finder)))
    pixels = cleaned.pixel_array
    picture = (pixels / max(pixels.max(), 1) * 255).astype(np.uint8)
    assert [text for text in finder.find(picture) if not text.marker] == []
    assert pixels[200:300].std() > 0
    assert not any(word.encode() in _bytes(cleaned) for word in PLANTED)


def test_pixels_without_text_stay_as_they_were(finder: TextFinder) -> None:
    data = _with_pixels(_film())
    cleaned = pydicom.dcmread(io.BytesIO(deidentified_film(data, PSEUDONYMS, finder)))
    assert cleaned.PixelData == pydicom.dcmread(io.BytesIO(data)).PixelData


def test_only_what_is_no_marker_is_blanked() -> None:
    pixels = np.full((10, 10), 5, np.uint16)
    clean_pixels = blanked(pixels, [Text((0, 0, 3, 3), marker=False), Text((5, 5, 9, 9), marker=True)], 0)
    assert clean_pixels[:3, :3].sum() == 0
    assert (clean_pixels[5:, 5:] == 5).all()


def test_a_film_whose_pixels_cannot_be_looked_at_does_not_leave(finder: TextFinder) -> None:
    film = _film(Rows=8, Columns=8, BitsAllocated=16, BitsStored=12, HighBit=11, PixelRepresentation=0)
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.PixelData = b"\x00" * 10
    with pytest.raises(NotDeidentifiedError, match="decoded"):
        deidentified_film(_bytes(film), PSEUDONYMS, finder)


@pytest.mark.parametrize("data", [b"", b"not DICOM", b"\x00" * 200])
def test_what_is_no_dicom_file_is_refused(finder: TextFinder, data: bytes) -> None:
    with pytest.raises(NotADicomFilmError):
        deidentified_film(data, PSEUDONYMS, finder)


def test_a_document_is_not_taken(finder: TextFinder) -> None:
    with pytest.raises(NotDeidentifiedError, match="radiographs"):
        deidentified_film(_bytes(_film(Modality="SR")), PSEUDONYMS, finder)


# reports


@pytest.mark.parametrize(
    ("text", "gone", "stays"),
    [
        ("Discussed with Dr. Jane Fairweather at 14:35.", ["Fairweather", "Jane"], ["14:35", "Discussed"]),
        ("Electronically signed by: Harold Finch, MD", ["Finch", "Harold"], ["signed by"]),
        ("PATIENT NAME: Planted, Grace\nMRN: 4711-0815", ["Planted", "Grace", "4711"], []),
        ("Grace is seen; PLANTED^GRACE.", ["Grace", "PLANTED"], ["seen"]),
        ("Comparison: 2026-03-01 and 3/1/2025.", ["2026-03-01", "3/1/2025"], ["Comparison"]),
        ("Compared with March 3, 2024 and 5 June 2023.", ["March 3, 2024", "5 June 2023"], []),
        ("Call 555-123-4567 or pager 8812.", ["555", "8812"], ["Call"]),
        ("Oakfield General Hospital, 12 Harbour Street", ["Oakfield", "Harbour"], []),
        ("A 93-year-old woman.", ["93"], ["90+", "woman"]),
        ("Accession 20260301-99812.", ["99812"], []),
    ],
)
def test_a_report_loses_who_it_is_of_and_who_wrote_it(text: str, gone: list[str], stays: list[str]) -> None:
    known = known_words(_film())
    cleaned = deidentified_report(text, PSEUDONYMS, "|4711-0815", known)
    assert [word for word in gone if word in cleaned] == []
    assert [word for word in stays if word not in cleaned] == []


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Signed by: Dr. Jane Roe", "Signed by: Dr. [NAME]"),
        ("Electronically signed by: Jane Roe, MD", "Electronically signed by: [NAME]"),
        ("Discussed with Dr. Quentin Hartwell, by phone.", "Discussed with Dr. [NAME], by phone."),
        ("Reported by: Smith, John A.", "Reported by: [NAME]"),
        ("Seen by Dr. Jan van der Berg today.", "Seen by Dr. [NAME] today."),
        ("Mrs Müller-Lüdenscheidt came.", "Mrs [NAME] came."),
        ("Dr Smith Jones reported it.", "Dr [NAME] reported it."),
        ("Dr J Smith said.", "Dr [NAME] said."),
        ("Dr. van der Berg or Mr de Souza", "Dr. [NAME] or Mr [NAME]"),
        ("Dr Omar al-Rashid, Dr O'Brien, Dr D'Angelo", "Dr [NAME], Dr [NAME], Dr [NAME]"),
        ("Dr Maria da Silva e Costa saw it.", "Dr [NAME] saw it."),
        ("Dr Émile Zola, Dr E\u0301mile Zola", "Dr [NAME], Dr [NAME]"),
        ("Drs Smith and Jones, Dr Roe/Doe, Dr Roe & Doe", "Drs [NAME], Dr [NAME], Dr [NAME]"),
        ("DISCUSSED WITH DR SMITH AT 10:00.", "DISCUSSED WITH DR [NAME] AT 10:00."),
        ("Prof. Dr. med. Roe", "Prof. Dr. med. [NAME]"),
    ],
)
def test_no_piece_of_a_name_of_several_words_is_left(text: str, cleaned: str) -> None:
    assert deidentified_report(text, PSEUDONYMS, "|1") == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Seen by Dr Smith. Lungs clear.", "Seen by Dr [NAME]. Lungs clear."),
        ("Dr Smith Jones. No effusion.", "Dr [NAME]. No effusion."),
        ("Discussed with Dr. Lee. Heart normal.", "Discussed with Dr. [NAME]. Heart normal."),
        ("Dr. M. A. Smith. Heart normal.", "Dr. [NAME]. Heart normal."),
        ("Dr. St. John. Heart normal.", "Dr. [NAME]. Heart normal."),
        ("Signed by: Jane Roe, M.D. Lungs clear.", "Signed by: [NAME] Lungs clear."),
        ("DR SMITH. LUNGS CLEAR.", "DR [NAME]. LUNGS CLEAR."),
        ("Effusion. Oakfield Hospital. Lungs clear.", "Effusion. [PLACE]. Lungs clear."),
        ("St. Mary's Hospital", "[PLACE]"),
        ("MR BRAIN 2 years ago", "MR BRAIN 2 years ago"),
    ],
)
def test_a_name_ends_with_its_sentence(text: str, cleaned: str) -> None:
    assert deidentified_report(text, PSEUDONYMS, "|1") == cleaned


@given(
    st.sampled_from(["Dr", "Dr.", "DR", "Mrs", "Prof. Dr.", "Reported by:", "Discussed with Dr"]),
    st.lists(st.from_regex(r"\A(X\.|(van |de la |al-|O'|)(Xa|XÄ|Xan-Xo|X)xo?)\Z"), min_size=1, max_size=4),
    st.sampled_from([" ", ", "]),
)
def test_however_many_names_follow_a_title_none_is_left(title: str, names: list[str], between: str) -> None:
    cleaned = deidentified_report(f"{title} {between.join(names)}, who agrees.", PSEUDONYMS, "|1")
    assert "x" not in cleaned.lower()
    assert cleaned.endswith("who agrees.")


@pytest.mark.parametrize(
    "text",
    [
        "Heart size is normal. No pneumothorax.",
        "A 12 mm nodule in the right upper lobe, previously 8 mm.",
        "Impression: Pneumonia. Follow-up radiograph in 6 weeks.",
        "The Hickman line ends in the superior vena cava.",
        "T12 compression fracture, 64-year-old man.",
    ],
)
def test_what_the_report_says_of_the_film_stays(text: str) -> None:
    assert deidentified_report(text, PSEUDONYMS, "|1", known_words(_film())) == text


def test_the_dates_of_a_report_move_with_those_of_its_films() -> None:
    film = _film()
    identity = identity_of(film)
    clean(film, PSEUDONYMS)
    moved = datetime.strptime(film.StudyDate, "%Y%m%d").date().isoformat()  # noqa: DTZ007
    assert deidentified_report("On 2026-03-01.", PSEUDONYMS, identity) == f"On {moved}."


# the register


def test_only_the_register_knows_who_a_pseudonym_is(database: Database, tmp_path: Path) -> None:
    project = Project("trial-1", Keyring(tmp_path / "data"), database)
    pseudonym = project.register("north|4711", at=datetime(2026, 3, 1, tzinfo=UTC))
    assert project.identity(pseudonym.lower()) == "north|4711"
    with pytest.raises(NotFoundError):
        Project("trial-2", Keyring(tmp_path / "data"), database).identity(pseudonym)


@pytest.mark.parametrize("name", ["", "Trial", "a/b", "x" * 41, "../x"])
def test_a_projects_name_is_plain(database: Database, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="small letters"):
        Project(name, Keyring(tmp_path / "data"), database)


def test_repeating_groups_private_attributes_and_overlays_go() -> None:
    for tag in (0x50001234, 0x60020010, 0x60003000, 0x00091001):
        assert action_for(BaseTag(tag)) is Action.REMOVE
