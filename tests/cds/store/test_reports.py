"""Reports in the store: the latest version is current whatever came first, one result each."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cds.arrival import ReportArrivals
from cds.store import Database
from cds.store.reports import report_by_id, reports_of, store_report_result
from cds.store.tables import JobRow
from nlp import StructuredReport

PATIENT = [("urn:oid:2.999.1", "4711")]


def _versions() -> list[dict[str, Any]]:
    return [
        {"text": "Possible mass.", "status": "preliminary", "issued": "2026-03-01T09:00:00Z"},
        {"text": "Mass.", "status": "final", "issued": "2026-03-01T10:00:00Z"},
        {"text": "Mass, 3 cm.", "status": "amended", "issued": "2026-03-01T11:00:00Z"},
        {"text": "Mass, 31 mm.", "status": "corrected", "issued": "2026-03-01T12:00:00Z"},
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_latest_version_of_a_report_is_current_whatever_the_order_of_arrival(
    database: Database,
    reports: ReportArrivals,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    order: tuple[int, ...],
) -> None:
    for minute, number in enumerate(order):
        resource = make_report(**_versions()[number])
        reports.receive_fhir(resource, source="fhir", at=at + timedelta(minutes=minute))
    with database.reading() as session:
        current = reports_of(session, PATIENT)
    assert [report.row.status for report in current] == ["corrected"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_report_entered_in_error_is_gone_though_its_original_arrives_later(
    database: Database,
    reports: ReportArrivals,
    make_report: Callable[..., dict[str, Any]],
    at: datetime,
    order: tuple[int, ...],
) -> None:
    versions = [make_report("Mass."), make_report(None, status="entered-in-error")]
    for number in order:
        reports.receive_fhir(versions[number], source="fhir", at=at)
    with database.reading() as session:
        assert reports_of(session, PATIENT) == []
        assert session.query(JobRow).count() == 1


def test_the_same_version_twice_is_one_report(
    database: Database, reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    first = reports.receive_fhir(make_report(), source="fhir", at=at)
    second = reports.receive_fhir(make_report(), source="fhir", at=at)
    assert first.new
    assert not second.new
    assert first.report_id == second.report_id


def test_an_amendment_taken_back_by_an_amendment_with_the_first_words_is_current(
    database: Database, reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    for words, issued in (("Mass.", "09"), ("No mass.", "10"), ("Mass.", "11")):
        resource = make_report(words, status="amended", issued=f"2026-03-01T{issued}:00:00Z")
        reports.receive_fhir(resource, source="fhir", at=at)
    with database.reading() as session:
        (current,) = reports_of(session, PATIENT)
        assert current.row.issued_at.hour == 11


def test_the_same_words_moved_to_another_patient_are_another_version(
    database: Database, reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    reports.receive_fhir(make_report(status="corrected"), source="fhir", at=at)
    subject = {"identifier": {"system": "urn:oid:2.999.1", "value": "4712"}}
    moved = make_report(status="corrected", subject=subject, issued="2026-03-01T12:00:00Z")
    assert reports.receive_fhir(moved, source="fhir", at=at).new
    with database.reading() as session:
        assert reports_of(session, PATIENT) == []
        assert len(reports_of(session, [("urn:oid:2.999.1", "4712")])) == 1


def test_the_same_identifier_of_another_sender_is_another_report(
    database: Database, reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    bare = make_report("A.", identifier=None, id="1"), make_report("B.", identifier=None, id="1", status="amended")
    for resource, source in zip(bare, ("fhir:ris", "fhir:ehr"), strict=True):
        reports.receive_fhir(resource, source=source, at=at)
    with database.reading() as session:
        assert len(reports_of(session, PATIENT)) == 2


def test_a_report_has_one_result(
    database: Database, reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], at: datetime
) -> None:
    report_id = reports.receive_fhir(make_report(), source="fhir", at=at).report_id
    result = StructuredReport(extracted_at=at)
    with database.writing() as session:
        assert store_report_result(session, report_id, result, at=at)
        assert not store_report_result(session, report_id, result, at=at)
    with database.reading() as session:
        stored = report_by_id(session, report_id)
    assert stored is not None
    assert stored.result == result
