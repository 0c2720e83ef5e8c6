"""What is too old goes with all that hangs on it, a patient's data go on request, and nothing else does."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.audit import Access
from cds.deidentify.project import Project
from cds.errors import NotFoundError
from cds.operating.retention import Purged
from cds.service import Service
from cds.settings import Settings
from cds.store.cards import Feedback, ShownCard, add_cards, add_feedback
from cds.store.films import store_imaging_result
from cds.store.ledger import store_case
from cds.store.reports import store_report_result
from cds.store.tables import Base, FilmRow, ReportRow
from cds.store.verdicts import add_verdict
from fusion.assessment import Assessment
from nlp import StructuredReport
from tests.cds.conftest import SYSTEM
from vision import ImagingResult
from vision.result import Finding, ModelRef

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=400)
WHOSE = f"{SYSTEM}|4711"
MODEL = ModelRef(id="adult", version="1", sha256="0" * 64)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    days = {"films": 365, "reports": 365, "cases": 365, "cards": 365}
    made = Service(Settings(data_dir=tmp_path / "data", config_dir=_site(tmp_path), retention_days=days))
    made.database.migrate()
    yield made
    made.close()


def _site(folder: Path) -> Path:
    site = folder / "site"
    site.mkdir()
    (site / "identity.yaml").write_text(
        f"issuers:\n  - id: north\n    system: {SYSTEM}\n    dicom_issuer: NORTH\n    accession_system: {SYSTEM}.1\n"
    )
    return site


def fill(service: Service, film: bytes, report: dict[str, Any], *, at: datetime, subject: str = WHOSE) -> str:
    """Keep a film, a report, their results, a verdict, a case, a card and its feedback; return the film's id."""
    film_id = service.film_arrivals.receive(film, source="upload", at=at).film_id
    report_id = service.report_arrivals.receive_fhir(report, patient=None, source="fhir:x", at=at).report_id
    finding = Finding(key="lung_opacity", score=0.4, label=False, model=MODEL)
    card = str(uuid.uuid4())
    with service.database.writing() as session:
        store_imaging_result(session, film_id, ImagingResult(findings=(finding,), analysed_at=at), at=at)
        store_report_result(session, report_id, StructuredReport(extracted_at=at), at=at)
        add_verdict(session, film_id, finding, "agree", said_by="ann", at=at)
        store_case(session, subject, Assessment(at=at, modalities=()), film_id=film_id, report_id=report_id, at=at)
        add_cards(
            session,
            [ShownCard(card, "s", "order-sign", "h", subject, None, "k", "r", "1", {}, "info", False)],
            at=at,
        )
        add_feedback(session, "s", [Feedback(card, "accepted", at, {})], at=at)
    return film_id


def age_files(service: Service) -> None:
    for digest in service.blobs.digests():
        os.utime(service.blobs.path(digest), (OLD.timestamp(), OLD.timestamp()))


def rows(session: Session) -> dict[str, int]:
    counted = {
        name: session.scalar(select(func.count()).select_from(table)) or 0
        for name, table in Base.metadata.tables.items()
    }
    return {name: count for name, count in counted.items() if count}


def test_what_is_old_goes_with_all_that_hangs_on_it(service: Service, make_film: Any, make_report: Any) -> None:
    fill(service, make_film(), make_report(), at=OLD)
    age_files(service)
    counted = service.retention.purge(at=NOW, by="cli:ann", dry_run=True)
    assert (counted.films, counted.reports, counted.cases, counted.cards) == (1, 1, 1, 1)
    with service.database.reading() as session:
        assert rows(session)["film"] == 1
    assert list(service.audit.entries()) == []
    removed = service.retention.purge(at=NOW, by="cli:ann", dry_run=False)
    assert removed == Purged(films=1, reports=1, cases=1, cards=1, files=2)
    with service.database.reading() as session:
        assert rows(session) == {}
    assert list(service.blobs.digests()) == []
    assert [(entry.client, entry.what) for entry in service.audit.entries()] == [("cli:ann", "cds purge")]
    assert service.retention.purge(at=NOW, by="cli:ann", dry_run=False) == Purged()


def test_what_is_young_stays_with_all_that_hangs_on_it(service: Service, make_film: Any, make_report: Any) -> None:
    fill(service, make_film(), make_report(), at=NOW - timedelta(days=300))
    age_files(service)
    with service.database.reading() as session:
        before = rows(session)
    assert service.retention.purge(at=NOW, by="x", dry_run=False) == Purged()
    with service.database.reading() as session:
        assert rows(session) == before
    assert len(list(service.blobs.digests())) == 2


def test_without_a_policy_everything_is_kept(
    service: Service, tmp_path: Path, make_film: Any, make_report: Any
) -> None:
    plain = Service(Settings(data_dir=tmp_path / "other", config_dir=tmp_path / "site"))
    plain.database.migrate()
    fill(plain, make_film(), make_report(), at=OLD - timedelta(days=10_000))
    age_files(plain)
    assert plain.retention.purge(at=NOW, by="x", dry_run=False) == Purged()
    plain.close()


def test_an_old_version_that_was_corrected_does_not_become_current_again(
    service: Service, make_film: Any, make_report: Any
) -> None:
    first = service.film_arrivals.receive(make_film(), source="upload", at=NOW).film_id
    second = service.film_arrivals.receive(make_film(AccessionNumber="A2"), source="upload", at=OLD).film_id
    assert first != second
    service.retention.purge(at=NOW, by="x", dry_run=False)
    with service.database.reading() as session:
        assert session.scalars(select(FilmRow.id)).all() == []


def test_a_file_that_another_row_names_or_that_came_just_now_stays(
    service: Service, make_film: Any, make_report: Any
) -> None:
    shared = make_report("Same words.")
    fill(service, make_film(), shared, at=OLD)
    other = make_report("Same words.", identifier=[{"system": "urn:ris", "value": "R2"}])
    service.report_arrivals.receive_fhir(other, patient=None, source="fhir:x", at=NOW)
    just_now = service.blobs.put(b"an arrival that is about to name it")
    age_files(service)
    service.blobs.put(b"an arrival that is about to name it")
    service.retention.purge(at=datetime.now(UTC), by="x", dry_run=False)
    with service.database.reading() as session:
        kept = {row.sha256 for row in session.scalars(select(ReportRow))}
    assert set(service.blobs.digests()) == kept | {just_now}
    assert len(kept) <= 1


def test_all_of_one_patient_goes_on_request_and_nothing_of_another(
    service: Service, make_film: Any, make_report: Any
) -> None:
    fill(service, make_film(), make_report(), at=NOW)
    theirs = fill(
        service,
        make_film(PatientID="9999", SOPInstanceUID="2.25.50", AccessionNumber="A9"),
        make_report(
            "Another report.",
            subject={"identifier": {"system": SYSTEM, "value": "9999"}},
            identifier=[{"system": "urn:ris", "value": "R9"}],
        ),
        at=NOW,
        subject=f"{SYSTEM}|9999",
    )
    age_files(service)
    with service.database.reading() as session:
        before = rows(session)
    assert service.retention.remove_patient(WHOSE, at=NOW, by="cli:ann", dry_run=True).films == 1
    removed = service.retention.remove_patient(WHOSE, at=NOW, by="cli:ann", dry_run=False)
    assert removed == Purged(films=1, reports=1, cases=1, cards=1, files=2)
    with service.database.reading() as session:
        assert session.scalars(select(FilmRow.id)).all() == [theirs]
        assert {name: 2 * count for name, count in rows(session).items()} == before
    (entry,) = service.audit.entries(patient=WHOSE)
    assert entry.what == "cds purge --patient"
    with pytest.raises(NotFoundError):
        service.retention.remove_patient(WHOSE, at=NOW, by="cli:ann", dry_run=True)


def test_a_patient_who_is_removed_leaves_the_registers_of_who_is_who(service: Service, make_film: Any) -> None:
    service.film_arrivals.receive(make_film(), source="upload", at=OLD)
    project = Project("lung-study", service.keyring, service.database)
    theirs = project.register("NORTH|4711", at=OLD)
    others = project.register("SOUTH|4711", at=OLD)
    service.retention.remove_patient(WHOSE, at=NOW, by="cli:ann", dry_run=False)
    with pytest.raises(NotFoundError):
        project.identity(theirs)
    assert project.identity(others) == "SOUTH|4711"


NO_PATIENT_DATA = {"subscription", "token_seen", "watched_study"}
BY_SUBJECT = {"assessment", "follow_up", "card", "feedback", "patient", "patient_alias", "patient_merge"}
BY_ITEM = {"job", "event", "identity_decision", "film", "report"}
SHORT_LIVED = {"idempotency_key", "code_request", "browser_session"}
BY_HEADER = {"pseudonym"}


def test_every_table_is_reached_by_a_purge_or_holds_nothing_of_patients() -> None:
    by_key = {
        name
        for name, table in Base.metadata.tables.items()
        if any(key.column.table.name in ("film", "report") for key in table.foreign_keys)
    }
    known = NO_PATIENT_DATA | BY_SUBJECT | BY_ITEM | SHORT_LIVED | BY_HEADER | by_key
    assert set(Base.metadata.tables) == known


def test_the_trail_itself_has_an_age(service: Service, tmp_path: Path) -> None:
    limited = Service(Settings(data_dir=tmp_path / "limited", retention_days={"audit": 365}))
    limited.database.migrate()
    for _ in range(3):
        limited.audit.record(Access("ward", "read", "x"))
    assert limited.retention.purge(at=NOW + timedelta(days=9000), by="x", dry_run=False).audit == 2
    assert limited.audit.verify().problems == ()
    limited.close()
