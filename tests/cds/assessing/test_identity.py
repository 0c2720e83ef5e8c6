"""A film or report is a patient's only by (issuer, identifier), uncontradicted; never by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds.arrival import FilmArrivals, ReportArrivals
from cds.assessing.identity import Person, administrative_gender, contradiction, join
from cds.assessing.joining import Evidence, evidence_of
from cds.jobs.queue import MAX_ATTEMPTS
from cds.store import Database
from cds.store.films import store_imaging_result
from cds.store.reports import store_report_result
from cds.store.tables import FilmRow, JobRow
from fusion import read_patient
from nlp import StructuredReport
from vision import ImagingResult
from vision.result import Rejection

NORTH, SOUTH = "urn:oid:2.999.1", "urn:oid:2.999.2"
BORN = date(1950, 1, 2)


def _row(**changes: Any) -> FilmRow:
    values = {"identifier_system": NORTH, "identifier_value": "4711", "birth_date": BORN, "sex": "female"}
    return FilmRow(**{**values, **changes})


def _person(**changes: Any) -> Person:
    values = {"identifiers": {(NORTH, "4711")}, "birth_date": BORN, "sex": "female"}
    return Person(**{**values, **changes})  # type: ignore[arg-type]


def test_a_matching_identifier_joins() -> None:
    assert contradiction(_person(), _row()) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identifier_value": "4712"}, "identifier_differs"),
        ({"identifier_system": SOUTH}, "identifier_differs"),
        ({"identifier_system": None}, "issuer_unknown"),
        ({"identifier_value": None}, "identifier_missing"),
        ({"identifier_value": ""}, "identifier_missing"),
        ({"birth_date": date(1950, 2, 1)}, "birth_date_differs"),
        ({"sex": "male"}, "sex_differs"),
    ],
)
def test_what_speaks_against_joining_is_named(changes: dict[str, Any], reason: str) -> None:
    assert contradiction(_person(), _row(**changes)) == reason


@pytest.mark.parametrize("changes", [{"birth_date": None}, {"sex": None}, {"sex": "other"}, {"sex": "unknown"}])
def test_what_is_not_known_contradicts_nothing(changes: dict[str, Any]) -> None:
    assert contradiction(_person(), _row(**changes)) is None
    assert contradiction(_person(**changes), _row()) is None


def test_an_empty_identifier_never_matches_an_empty_identifier() -> None:
    person = _person(identifiers={(NORTH, ""), ("", ""), (None, None)})
    for value in ("", None):
        assert contradiction(person, _row(identifier_value=value)) is not None
        assert contradiction(person, _row(identifier_value=value, identifier_system=None)) is not None


_TEXT = st.one_of(st.none(), st.sampled_from(["", "4711", "4712", NORTH, SOUTH]), st.text(max_size=3))


@given(st.frozensets(st.tuples(_TEXT, _TEXT), max_size=3), _TEXT, _TEXT)
def test_nothing_is_joined_without_a_whole_identifier_in_common(
    identifiers: frozenset[tuple[str, str]], system: str | None, value: str | None
) -> None:
    row = _row(identifier_system=system, identifier_value=value, birth_date=None, sex=None)
    split = join(Person(identifiers, None, None), [row])
    assert bool(split.joined) == bool(system and value and (system, value) in identifiers)
    assert len(split.joined) + len(split.unresolved) == 1


def test_dicom_sex_becomes_administrative_gender() -> None:
    assert [administrative_gender(code) for code in ("M", " f ", "O", "", None, "X")] == [
        "male",
        "female",
        "other",
        None,
        None,
        None,
    ]


# joining what is stored with the record of a request


class Hospital:
    """Films and reports that arrived, analysed or not, and the record of patient 4711 who asks for them."""

    def __init__(
        self,
        database: Database,
        films: FilmArrivals,
        reports: ReportArrivals,
        make_film: Callable[..., bytes],
        make_report: Callable[..., dict[str, Any]],
        at: datetime,
    ) -> None:
        self.database, self.at = database, at
        self._films, self._reports, self._make_film, self._make_report = films, reports, make_film, make_report
        self._count = 0

    def film(
        self, *, analysed: bool = True, rejected: bool = False, received: timedelta | None = None, **e: Any
    ) -> str:
        self._count += 1
        data = self._make_film(**{"SOPInstanceUID": f"2.25.{self._count}0", **e})
        at = self.at - (received or timedelta())
        film_id = self._films.receive(data, source="upload", at=at).film_id
        if analysed:
            rejection = Rejection(code="not_frontal", reason="a lateral film") if rejected else None
            with self.database.writing() as session:
                store_imaging_result(session, film_id, ImagingResult(rejection=rejection, analysed_at=at), at=at)
        return film_id

    def report(self, *, patient: dict[str, Any] | None = None, **elements: Any) -> str:
        resource = self._make_report(**elements)
        receipt = self._reports.receive_fhir(resource, patient=patient, source="fhir", at=self.at)
        with self.database.writing() as session:
            store_report_result(session, receipt.report_id, StructuredReport(extracted_at=self.at), at=self.at)
        return receipt.report_id

    def evidence(self, *others: dict[str, Any], at: datetime | None = None, **patient: Any) -> Evidence:
        resource = {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [{"system": NORTH, "value": "4711"}],
            "birthDate": "1950-01-02",
            "gender": "female",
            **patient,
        }
        when = at or self.at
        record = [resource, *others]
        with self.database.reading() as session:
            return evidence_of(session, read_patient(record, patient_id="p1", at=when), record, at=when)


@pytest.fixture
def hospital(
    database: Database,
    films: FilmArrivals,
    reports: ReportArrivals,
    make_film: Callable[..., bytes],
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
) -> Hospital:
    return Hospital(database, films, reports, make_film, make_report, at)


def _order(number: str, system: str = "urn:oid:2.999.1.1") -> dict[str, Any]:
    identifier = {"type": {"coding": [{"code": "ACSN"}]}, "system": system, "value": number}
    return {"resourceType": "ServiceRequest", "id": "o", "identifier": [identifier]}


def test_film_and_report_of_the_patient_are_joined(hospital: Hospital) -> None:
    film, report = hospital.film(), hospital.report()
    evidence = hospital.evidence()
    assert (evidence.film_id, evidence.report_id) == (film, report)
    assert evidence.belong_together
    assert evidence.imaging is not None
    assert evidence.imaging.status == "current"
    assert evidence.report is not None
    assert evidence.report.status == "final"
    assert not evidence.notes


def test_another_patient_of_the_same_name_and_birth_date_gets_nothing(hospital: Hospital) -> None:
    hospital.film()
    hospital.report()
    name = [{"family": "PLANTED", "given": ["NAME"]}]
    evidence = hospital.evidence(identifier=[{"system": NORTH, "value": "9999"}], name=name)
    assert evidence.imaging is None
    assert evidence.report is None
    assert not evidence.notes


def test_a_patient_without_identifiers_gets_nothing(hospital: Hospital) -> None:
    hospital.film(PatientID="")
    hospital.film(PatientID=None, IssuerOfPatientID=None)
    for identifiers in ([], [{"system": NORTH, "value": ""}], [{"value": "4711"}]):
        evidence = hospital.evidence(identifier=identifiers)
        assert evidence.film_id is None


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientBirthDate": "19500201"},
        {"PatientSex": "M"},
        {"IssuerOfPatientID": "ELSEWHERE"},
        {"IssuerOfPatientID": None},
    ],
)
def test_a_contradicted_film_is_not_used_and_said_to_be_unresolved(
    hospital: Hospital, elements: dict[str, Any]
) -> None:
    hospital.film(**elements)
    evidence = hospital.evidence()
    assert evidence.film_id is None
    assert evidence.imaging is not None
    assert evidence.imaging.status == "identity_unresolved"
    assert not evidence.imaging.usable


def test_a_film_without_issuer_is_of_the_issuer_of_the_ae_that_sent_it(
    films: FilmArrivals, make_film: Callable[..., bytes], database: Database, at: datetime
) -> None:
    films.receive(make_film(IssuerOfPatientID=None), source="c-store", calling_ae="NORTHPACS", at=at)
    films.receive(
        make_film(IssuerOfPatientID="ELSEWHERE", SOPInstanceUID="2.25.8"),
        source="c-store",
        calling_ae="NORTHPACS",
        at=at,
    )
    with database.reading() as session:
        assert [row.identifier_system for row in session.query(FilmRow).order_by(FilmRow.sop_instance_uid)] == [
            NORTH,
            None,
        ]


def test_a_film_that_only_an_accession_number_names_is_unresolved(hospital: Hospital) -> None:
    hospital.film(PatientID="9999")
    evidence = hospital.evidence(_order("A1"))
    assert evidence.film_id is None
    assert evidence.imaging is not None
    assert evidence.imaging.status == "identity_unresolved"
    assert hospital.evidence().imaging is None


def test_the_same_accession_number_of_another_hospital_names_nothing(hospital: Hospital) -> None:
    hospital.film(PatientID="9999", IssuerOfPatientID="SOUTH")
    assert hospital.evidence(_order("A1")).imaging is None


def test_an_unresolved_film_does_not_hide_a_joined_one_and_is_mentioned(hospital: Hospital) -> None:
    film = hospital.film(ContentDate="20260225")
    hospital.film(PatientSex="M")
    evidence = hospital.evidence()
    assert evidence.film_id == film
    assert evidence.notes == {"imaging": "another is of unresolved identity"}


def test_a_lateral_film_does_not_hide_the_frontal_one_of_the_study(hospital: Hospital) -> None:
    frontal = hospital.film(ContentTime="100000")
    hospital.film(ContentTime="100200", rejected=True)
    assert hospital.evidence().film_id == frontal


def test_a_film_that_waits_or_failed_is_mentioned(hospital: Hospital) -> None:
    film = hospital.film(analysed=False)
    evidence = hospital.evidence()
    assert evidence.imaging is None
    assert evidence.notes == {"imaging": "the newest has arrived and waits to be worked on"}
    with hospital.database.writing() as session:
        job = session.query(JobRow).filter_by(subject_id=film).one()
        job.state, job.attempts = "failed", MAX_ATTEMPTS
    assert "could not be worked on" in hospital.evidence().notes["imaging"]


def test_a_question_about_the_past_sees_no_film_or_report_of_the_future(hospital: Hospital) -> None:
    old = hospital.film(ContentDate="20260101")
    hospital.film()
    hospital.report()
    evidence = hospital.evidence(at=hospital.at - timedelta(days=5))
    assert evidence.film_id == old
    assert evidence.report is None


def test_film_and_report_of_two_studies_do_not_belong_together(hospital: Hospital) -> None:
    hospital.film(AccessionNumber="A2", StudyInstanceUID="2.25.99")
    hospital.report()
    assert not hospital.evidence().belong_together


def test_film_and_report_of_one_study_belong_together_by_study_uid(hospital: Hospital) -> None:
    hospital.film(AccessionNumber=None)
    study = {"identifier": {"system": "urn:dicom:uid", "value": "urn:oid:2.25.2"}}
    hospital.report(imagingStudy=[study], identifier=[{"value": "R1"}])
    assert hospital.evidence().belong_together


def test_a_report_whose_patient_contradicts_is_unresolved(hospital: Hospital) -> None:
    hospital.report(patient={"resourceType": "Patient", "birthDate": "1950-02-01"})
    evidence = hospital.evidence()
    assert evidence.report_id is None
    assert evidence.report is not None
    assert evidence.report.status == "identity_unresolved"


def test_a_report_of_an_unknown_issuer_is_unresolved(hospital: Hospital) -> None:
    hospital.report(subject={"identifier": {"system": "urn:unknown", "value": "4711"}})
    evidence = hospital.evidence()
    assert evidence.report is not None
    assert evidence.report.status == "identity_unresolved"
