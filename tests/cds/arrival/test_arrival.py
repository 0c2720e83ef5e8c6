"""Arrival: stored before it is acknowledged; hostile bytes give a refusal or a receipt, never anything else."""

from __future__ import annotations

import base64
import functools
import io
import random
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, DigitalXRayImageStorageForPresentation

from cds.arrival import FilmArrivals, FilmReceipt, ReportArrivals
from cds.arrival.markup import text_of_html
from cds.errors import NotADicomFilmError, ReportNotAcceptedError
from cds.store import BlobFolder, Database
from cds.store.films import film_by_id
from cds.store.reports import report_by_id
from cds.store.tables import FilmRow, JobRow, ReportRow

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

_HOSTILE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


# films


def test_a_film_arrives_with_who_and_when_but_no_name(
    films: FilmArrivals, database: Database, blobs: BlobFolder, make_film: Callable[..., bytes], at: datetime
) -> None:
    data = make_film()
    receipt = films.receive(data, source="upload", at=at)
    assert receipt == FilmReceipt(
        receipt.film_id, "2.25.2", "2.25.1", new=True, sop_class_uid=DigitalXRayImageStorageForPresentation
    )
    with database.reading() as session:
        row = session.get_one(FilmRow, receipt.film_id)
    assert (row.identifier_system, row.identifier_value) == ("urn:oid:2.999.1", "4711")
    assert (row.accession_system, row.accession) == ("urn:oid:2.999.1.1", "A1")
    assert (row.birth_date, row.sex) == (date(1950, 1, 2), "female")
    assert row.taken_at == datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
    assert blobs.get(row.sha256) == data


def test_the_same_film_twice_is_one_film_and_one_job(
    films: FilmArrivals, database: Database, make_film: Callable[..., bytes], at: datetime
) -> None:
    first = films.receive(make_film(), source="upload", at=at)
    second = films.receive(make_film(), source="stow", at=at)
    assert (second.film_id, second.new) == (first.film_id, False)
    with database.reading() as session:
        assert session.query(JobRow).count() == 1


def test_a_film_that_cannot_be_committed_is_not_acknowledged(
    films: FilmArrivals,
    database: Database,
    make_film: Callable[..., bytes],
    at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the queue is gone")

    monkeypatch.setattr("cds.store.films.enqueue", broken)
    with pytest.raises(RuntimeError):
        films.receive(make_film(), source="upload", at=at)
    monkeypatch.undo()
    with database.reading() as session:
        assert session.query(FilmRow).count() == 0
    assert films.receive(make_film(), source="upload", at=at).new


def test_the_bytes_are_on_disk_before_the_row_is_written(
    films: FilmArrivals, make_film: Callable[..., bytes], at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    put = BlobFolder.put

    def spy(self: BlobFolder, data: bytes) -> str:
        order.append("blob")
        return put(self, data)

    monkeypatch.setattr(BlobFolder, "put", spy)

    def stop(*_: Any, **__: Any) -> None:
        order.append("row")
        raise RuntimeError

    monkeypatch.setattr("cds.arrival.films.add_film", stop)
    with pytest.raises(RuntimeError):
        films.receive(make_film(), source="upload", at=at)
    assert order == ["blob", "row"]


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"StudyInstanceUID": None}, "missing_uid"),
        ({"SeriesInstanceUID": ""}, "missing_uid"),
        ({"StudyInstanceUID": "../../etc"}, "bad_uid"),
    ],
)
def test_a_film_without_sound_uids_is_refused(
    films: FilmArrivals, make_film: Callable[..., bytes], at: datetime, elements: dict[str, Any], code: str
) -> None:
    with pytest.raises(NotADicomFilmError) as caught:
        films.receive(make_film(**elements), source="upload", at=at)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(64), b"%PDF-1.7", bytes(200), b"{}" * 200],
    ids=["empty", "png", "pdf", "zeros", "json"],
)
def test_what_is_not_dicom_is_refused(films: FilmArrivals, at: datetime, data: bytes) -> None:
    with pytest.raises(NotADicomFilmError) as caught:
        films.receive(data, source="upload", at=at)
    assert caught.value.code == "not_dicom"


def test_a_film_without_preamble_is_taken(films: FilmArrivals, make_film: Callable[..., bytes], at: datetime) -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_film()))
    bare = io.BytesIO()
    pydicom.dcmwrite(bare, pydicom.Dataset(dataset), implicit_vr=True, little_endian=True)
    assert films.receive(bare.getvalue(), source="c-store", at=at).sop_instance_uid == "2.25.1"


def test_a_deflated_film_is_taken_and_a_deflated_bomb_is_refused(
    films: FilmArrivals, make_film: Callable[..., bytes], at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = pydicom.dcmread(io.BytesIO(make_film()))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    file = io.BytesIO()
    dataset.save_as(file)
    assert films.receive(file.getvalue(), source="upload", at=at).new
    monkeypatch.setattr("cds.arrival.films._LARGEST_INFLATED", 1 << 22)
    start = 144 + int.from_bytes(file.getvalue()[140:144], "little")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = file.getvalue()[:start] + squeezer.compress(bytes(1 << 24)) + squeezer.flush()
    with pytest.raises(NotADicomFilmError) as caught:
        films.receive(bomb, source="upload", at=at)
    assert caught.value.code == "too_large"


@pytest.mark.parametrize(
    ("elements", "column", "value"),
    [
        ({"PatientID": "X" * 200}, "identifier_value", None),
        ({"PatientID": ["4711", "4712"]}, "identifier_value", None),
        ({"PatientID": "47\x0711"}, "identifier_value", None),
        ({"PatientID": " 4711 "}, "identifier_value", "4711"),
        ({"PatientBirthDate": "1950.01.02"}, "birth_date", date(1950, 1, 2)),
        ({"PatientBirthDate": "unknown"}, "birth_date", None),
        ({"ContentDate": "20990101"}, "taken_at", None),
        ({"ContentTime": "10"}, "taken_at", datetime(2026, 3, 1, 9, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "-0500"}, "taken_at", datetime(2026, 3, 1, 15, 15, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "soon"}, "taken_at", None),
        ({"ContentDate": None, "StudyDate": "20260228"}, "taken_at", datetime(2026, 2, 27, 23, tzinfo=UTC)),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_element_is_taken_whole_or_not_at_all(
    films: FilmArrivals,
    database: Database,
    make_film: Callable[..., bytes],
    at: datetime,
    elements: dict[str, Any],
    column: str,
    value: Any,
) -> None:
    late = at + timedelta(hours=6)
    receipt = films.receive(make_film(**elements), source="upload", at=late)
    with database.reading() as session:
        film = film_by_id(session, receipt.film_id)
    assert film is not None
    assert getattr(film.row, column) == value


@functools.cache
def _real_files() -> list[bytes]:
    names = ["RG1_J2KI.dcm", "RG3_J2KI.dcm", "CT_small.dcm", "image_dfl.dcm", "rtplan.dcm", "no_meta.dcm", "DICOMDIR"]
    found = [pydicom.data.get_testdata_file(name, download=False) for name in names]
    return [Path(file).read_bytes()[:20_000] for file in found if file]


def test_the_real_files_of_pydicom_are_taken_or_refused(films: FilmArrivals, at: datetime) -> None:
    outcomes = [_outcome(films, data, at) for data in _real_files()]
    assert "receipt" in outcomes
    assert "refused" in outcomes


@_HOSTILE
@given(data=st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda tail: bytes(128) + b"DICM" + tail)))
def test_any_bytes_are_refused_or_acknowledged(films: FilmArrivals, at: datetime, data: bytes) -> None:
    assert _outcome(films, data, at) in ("receipt", "refused")


@_HOSTILE
@given(which=st.integers(min_value=0), seed=st.integers(min_value=0), changes=st.integers(min_value=1, max_value=40))
def test_real_files_with_bytes_changed_cut_or_doubled_are_refused_or_acknowledged(
    films: FilmArrivals, at: datetime, which: int, seed: int, changes: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - no secret
    data = bytearray(_real_files()[which % len(_real_files())])
    for _ in range(changes):
        place = chance.randrange(min(len(data), 3000)) if len(data) > 1 else 0
        kind = chance.randrange(4)
        if kind == 0:
            data[place] = chance.randrange(256)
        elif kind == 1:
            data[place : place + 4] = b"\xff\xff\xff\xff"
        elif kind == 2:
            del data[place : place + chance.randrange(1, 16)]
        else:
            data[place:place] = data[place : place + chance.randrange(1, 16)]
    assert _outcome(films, bytes(data), at) in ("receipt", "refused")


def test_sequences_nested_without_end_are_refused_or_acknowledged(films: FilmArrivals, at: datetime) -> None:
    nested = b"\x08\x00\x15\x11SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    assert _outcome(films, bytes(128) + b"DICM" + nested, at) == "refused"


def _outcome(films: FilmArrivals, data: bytes, at: datetime) -> str:
    try:
        films.receive(data, source="upload", at=at)
    except NotADicomFilmError:
        return "refused"
    return "receipt"


# reports


def _row(database: Database, report_id: str) -> ReportRow:
    with database.reading() as session:
        report = report_by_id(session, report_id)
    assert report is not None
    return report.row


def test_a_report_arrives_with_who_which_study_and_when(
    reports: ReportArrivals,
    database: Database,
    blobs: BlobFolder,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
) -> None:
    study = {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:2.25.2"}}
    patient = {"resourceType": "Patient", "birthDate": "1950-01-02", "gender": "female"}
    resource = make_report("Größe unverändert.", imagingStudy=[study])
    row = _row(database, reports.receive_fhir(resource, patient=patient, source="fhir", at=at).report_id)
    assert (row.identifier_system, row.identifier_value) == ("urn:oid:2.999.1", "4711")
    assert (row.accession_system, row.accession, row.study_instance_uid) == ("urn:oid:2.999.1.1", "A1", "2.25.2")
    assert (row.birth_date, row.sex, row.status) == (date(1950, 1, 2), "female", "final")
    assert row.issued_at == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert blobs.get(row.sha256).decode() == "Größe unverändert."


@pytest.mark.parametrize(
    ("code", "exam"),
    [
        ({"coding": [{"system": "http://loinc.org", "code": "24627-2"}], "text": "Study"}, "CT chest"),
        ({"coding": [{"system": "urn:ris", "code": "71260", "display": "CT CHEST W"}]}, "CT CHEST W"),
        ({"text": "Chest CT"}, "Chest CT"),
        ({"text": ["Chest CT"]}, None),
        (None, None),
    ],
)
def test_a_report_says_what_was_examined_by_code_else_in_words(
    reports: ReportArrivals,
    database: Database,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    code: Any,
    exam: str | None,
) -> None:
    receipt = reports.receive_fhir(make_report(code=code), source="fhir", at=at)
    assert _row(database, receipt.report_id).exam == exam


def test_the_patient_sent_along_says_whose_a_report_without_identifier_is(
    reports: ReportArrivals, database: Database, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [
            {"system": "urn:insurer", "value": "99"},
            {"system": "urn:oid:2.999.1", "value": "old", "use": "old"},
            {"system": "urn:oid:2.999.1", "value": "4711"},
        ],
    }
    resource = make_report(subject={"reference": "Patient/p1"})
    row = _row(database, reports.receive_fhir(resource, patient=patient, source="fhir", at=at).report_id)
    assert (row.identifier_system, row.identifier_value) == ("urn:oid:2.999.1", "4711")


@pytest.mark.parametrize(
    "patient",
    [
        {"resourceType": "Patient", "identifier": [{"system": "urn:oid:2.999.1", "value": "4712"}]},
        {"resourceType": "Patient", "id": "p2"},
    ],
)
def test_a_report_about_another_than_the_patient_sent_along_is_refused(
    reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime, patient: dict[str, Any]
) -> None:
    subject = {"reference": "Patient/p1", "identifier": {"system": "urn:oid:2.999.1", "value": "4711"}}
    with pytest.raises(ReportNotAcceptedError) as caught:
        reports.receive_fhir(make_report(subject=subject), patient=patient, source="fhir", at=at)
    assert caught.value.code == "two_patients"


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"resourceType": "Observation"}, "not_a_report"),
        ({"presentedForm": None}, "no_text"),
        ({"presentedForm": [{"contentType": "text/plain", "data": "%%%"}]}, "bad_text"),
        ({"presentedForm": [{"contentType": "text/plain", "data": base64.b64encode(b"\xff").decode()}]}, "bad_text"),
        ({"presentedForm": [{"contentType": "text/plain", "data": 5}]}, "bad_text"),
        ({"identifier": None}, "no_identifier"),
        ({"identifier": [{"value": "R" * 256}]}, "bad_identifier"),
        ({"identifier": [{"value": "\ud800"}]}, "bad_identifier"),
        ({"identifier": None, "id": ["x"]}, "bad_identifier"),
        ({"status": "done"}, "bad_status"),
        ({"status": None}, "bad_status"),
        ({"issued": "yesterday"}, "bad_time"),
    ],
)
def test_a_report_is_refused_with_a_code_and_no_word_of_it(
    reports: ReportArrivals,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    elements: dict[str, Any],
    code: str,
) -> None:
    resource = make_report("PLANTED words.", **{**elements})
    for name, value in elements.items():
        if value is None:
            resource.pop(name, None)
    with pytest.raises(ReportNotAcceptedError) as caught:
        reports.receive_fhir(resource, source="fhir", at=at)
    assert caught.value.code == code
    assert "PLANTED" not in str(caught.value)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("registered", "preliminary"),
        ("partial", "preliminary"),
        ("appended", "amended"),
        ("cancelled", "entered-in-error"),
    ],
)
def test_the_states_of_fhir_become_those_of_the_store(
    reports: ReportArrivals,
    database: Database,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    sent: str,
    stored: str,
) -> None:
    receipt = reports.receive_fhir(make_report(status=sent), source="fhir", at=at)
    assert _row(database, receipt.report_id).status == stored


def test_a_report_can_be_taken_back_without_text(
    reports: ReportArrivals, database: Database, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    receipt = reports.receive_fhir(make_report(None, status="entered-in-error"), source="fhir", at=at)
    assert receipt.new
    with database.reading() as session:
        assert session.query(JobRow).count() == 0


def test_plain_text_comes_before_html_and_html_before_the_conclusion(
    reports: ReportArrivals,
    database: Database,
    blobs: BlobFolder,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
) -> None:
    def form(kind: str, text: str) -> dict[str, str]:
        return {"contentType": kind, "data": base64.b64encode(text.encode()).decode()}

    html, plain = form("text/html; charset=utf-8", "<p>from html</p>"), form("text/plain", "plain")
    for forms, words in (([html, plain], "plain"), ([html], "from html"), ([], "concluded")):
        resource = make_report(None, presentedForm=forms, conclusion="concluded")
        receipt = reports.receive_fhir(resource, source="fhir", at=at)
        assert blobs.get(_row(database, receipt.report_id).sha256).decode() == words


def test_html_becomes_the_text_that_a_reader_sees() -> None:
    markup = "<style>p{}</style><h1>FINDINGS</h1><p>No&nbsp;mass &amp; no<br>effusion</p><td>3</td><td>mm</td><script>x"
    assert text_of_html(markup) == "FINDINGS\nNo mass & no\neffusion\n3 mm"


def test_the_number_of_an_order_is_no_accession_number_unless_it_says_so(
    reports: ReportArrivals, database: Database, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    placer = {"identifier": {"type": {"coding": [{"code": "PLAC"}]}, "value": "P1"}}
    untyped = {"identifier": {"value": "A7"}}
    resource = make_report(identifier=[{"value": "R1"}], basedOn=[placer, untyped])
    receipt = reports.receive_fhir(resource, source="fhir", at=at)
    assert _row(database, receipt.report_id).accession == "A7"


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@_HOSTILE
@given(
    elements=st.dictionaries(
        st.sampled_from(
            [
                "identifier",
                "status",
                "subject",
                "issued",
                "presentedForm",
                "conclusion",
                "basedOn",
                "imagingStudy",
                "id",
            ]
        ),
        _JSON,
    ),
    patient=st.one_of(st.none(), st.dictionaries(st.sampled_from(["id", "identifier", "birthDate", "gender"]), _JSON)),
)
def test_any_shape_of_a_report_is_refused_or_acknowledged(
    reports: ReportArrivals,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    elements: dict[str, Any],
    patient: dict[str, Any] | None,
) -> None:
    try:
        receipt = reports.receive_fhir({**make_report(), **elements}, patient=patient, source="fhir", at=at)
    except ReportNotAcceptedError as error:
        assert error.code  # noqa: PT017 - both outcomes are right
    else:
        assert receipt.report_id
