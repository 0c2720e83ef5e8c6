"""What the store promises: synced before acknowledged, one result per input, later versions over earlier ones."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from cds.arrival import FilmArrivals, ReportArrivals
from cds.errors import DamagedBlobError, DatabaseVersionError
from cds.store import BlobFolder, Database
from cds.store.encryption import BlobCipher, blob_key_name
from cds.store.films import film_by_id, films_of, recent_films, store_imaging_result
from cds.store.ledger import case_by_id, kept_case, open_follow_ups, store_case, subject_in_use
from cds.store.reports import report_by_id, reports_of, store_report_result
from cds.store.tables import FollowUpRow, JobRow
from fusion import Assessment, FollowUp, Suggestion
from nlp import StructuredReport
from vision import ImagingResult
from vision.result import Rejection

PATIENT = [("urn:oid:2.999.1", "4711")]


# blobs


def test_a_blob_is_named_by_its_content_and_kept_once(blobs: BlobFolder) -> None:
    assert blobs.put(b"film") == blobs.put(b"film")
    assert blobs.get(blobs.put(b"film")) == b"film"
    assert len(list(blobs.root.glob("??/*"))) == 1


def test_a_blob_and_its_folder_are_synced_before_its_name_is_known(
    blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    place = blobs.path(blobs.put(b"film"))
    assert any(Path(name).parent == place.parent and ".incoming-" in name for name in synced)
    assert synced[-1] == str(place.parent)
    assert str(blobs.root) in synced
    synced.clear()
    blobs.put(b"film")
    assert str(place.parent) in synced


def test_a_torn_or_changed_blob_is_noticed_and_mended_by_the_next_arrival(blobs: BlobFolder) -> None:
    digest = blobs.put(b"film")
    blobs.path(digest).write_bytes(b"fil")
    with pytest.raises(DamagedBlobError):
        blobs.get(digest)
    assert blobs.get(blobs.put(b"film")) == b"film"


def test_a_failed_write_leaves_nothing_behind(blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"film")
    assert not [path for path in blobs.root.rglob("*") if path.is_file()]


def test_clearing_up_spares_what_another_process_is_writing(blobs: BlobFolder) -> None:
    folder = blobs.path(blobs.put(b"film")).parent
    fresh, old = folder / ".incoming-fresh", folder / ".incoming-old"
    fresh.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    assert blobs.drop_unfinished() == 1
    assert fresh.exists()
    assert not old.exists()


def test_what_is_made_of_a_blob_is_made_once_and_gone_with_it(blobs: BlobFolder) -> None:
    digest, made = blobs.put(b"film"), list[bytes]()

    def make(data: bytes) -> bytes:
        made.append(data)
        return b"picture of " + data

    assert blobs.derived(digest, "png", make) == blobs.derived(digest, "png", make) == b"picture of film"
    assert made == [b"film"]
    assert list(blobs.digests()) == [digest], "it needs no backup"
    blobs.remove(digest)
    assert not list(blobs.root.glob("derived/*"))


def test_what_was_made_of_a_sealed_blob_is_sealed_and_made_anew_where_its_key_is_gone(tmp_path: Path) -> None:
    def blobs(key: bytes) -> BlobFolder:
        return BlobFolder(tmp_path / "blobs", BlobCipher(lambda: {blob_key_name(1): key}))

    digest = blobs(b"1" * 32).put(b"film")
    blobs(b"1" * 32).derived(digest, "png", lambda data: b"picture of " + data)
    (kept,) = (tmp_path / "blobs" / "derived").iterdir()
    assert b"picture" not in kept.read_bytes()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert blobs(b"1" * 32).derived(digest, "png", lambda data: b"again " + data) == b"again film"


def test_blobs_are_for_their_owner_only(blobs: BlobFolder) -> None:
    place = blobs.path(blobs.put(b"film"))
    assert place.stat().st_mode & 0o077 == 0
    assert blobs.root.stat().st_mode & 0o077 == 0


# database


def test_the_database_is_durable_and_concurrent(database: Database) -> None:
    with database.reading() as session:
        pragmas = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")}
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_a_writer_waits_for_another_writer(database: Database) -> None:
    order: list[str] = []
    began = threading.Event()

    def first() -> None:
        with database.writing() as session:
            began.set()
            time.sleep(0.3)
            session.execute(text("DELETE FROM job"))
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    began.wait()
    with database.writing():
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_many_writers_of_one_process_all_come_to_their_turn(database: Database) -> None:
    failed: list[OperationalError] = []

    def write() -> None:
        for _ in range(5):
            try:
                with database.writing(patience_ms=5_000):
                    time.sleep(0.004)
            except OperationalError as error:
                failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_writer_waits_no_longer_than_its_patience_for_another_process(database: Database) -> None:
    other = Database(database.url)
    with other.writing(), pytest.raises(OperationalError, match="locked"), database.writing(patience_ms=20):
        pass
    with database.writing(patience_ms=20) as session:
        assert session.execute(text("SELECT count(*) FROM film")).scalar() == 0
    other.close()


def test_a_writer_without_patience_gives_up_and_a_reader_goes_on(database: Database) -> None:
    with database.writing(), database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM film")).scalar() == 0
        with pytest.raises(OperationalError, match="locked"), database.writing(patience_ms=20):
            pass


def test_an_error_of_the_database_names_no_value(database: Database, at: datetime) -> None:
    def job() -> JobRow:
        return JobRow(id="1", kind="PLANTED^NAME", subject_id="s", state="queued", due_at=at, created_at=at)

    with database.writing() as session:
        session.add(job())
    with pytest.raises(IntegrityError) as caught, database.writing() as session:
        session.add(job())
    assert "PLANTED" not in str(caught.value)


def test_nothing_of_a_failed_transaction_stays(database: Database, at: datetime) -> None:
    with contextlib.suppress(RuntimeError), database.writing() as session:
        session.add(JobRow(id="1", kind="k", subject_id="s", state="queued", due_at=at, created_at=at))
        session.flush()
        raise RuntimeError
    with database.reading() as session:
        assert session.get(JobRow, "1") is None


def test_migration_makes_the_tables_that_the_program_declares(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from cds.store.tables import Base

    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_twice_changes_nothing_and_a_newer_database_is_refused(database: Database) -> None:
    database.migrate()
    assert database.is_current()
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not database.is_current()
    with pytest.raises(DatabaseVersionError, match="newer"):
        database.migrate()
    with pytest.raises(DatabaseVersionError, match="migrate"):
        database.require_current()


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    stores = [Database(f"sqlite:///{tmp_path}/fresh.sqlite3") for _ in range(3)]
    failures: list[BaseException] = []

    def migrate(store: Database) -> None:
        try:
            store.migrate()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(store.is_current() for store in stores)
    for store in stores:
        store.close()


def test_times_without_a_zone_are_refused(database: Database) -> None:
    with database.reading() as session, pytest.raises(Exception, match="without zone"):
        recent_films(session, limit=1, before=datetime(2026, 1, 1))  # noqa: DTZ001


# films


def test_a_film_is_stored_with_its_job_in_one_transaction(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    receipt = films.receive(make_film(), source="upload", at=at)
    with database.reading() as session:
        film = film_by_id(session, receipt.film_id)
        job = session.query(JobRow).one()
    assert film is not None
    assert (film.row.status, film.result) == ("received", None)
    assert (job.kind, job.subject_id, job.state) == ("analyse_film", receipt.film_id, "queued")


def test_a_correction_of_a_film_supersedes_it(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    wrong = films.receive(make_film(PatientID="9999"), source="c-store", at=at)
    right = films.receive(make_film(), source="c-store", at=at + timedelta(minutes=1))
    again = films.receive(make_film(PatientID="9999"), source="c-store", at=at + timedelta(minutes=2))
    assert (again.film_id, again.new) == (wrong.film_id, False)
    with database.reading() as session:
        assert [film.row.id for film in films_of(session, PATIENT)] == [right.film_id]
        assert films_of(session, [("urn:oid:2.999.1", "9999")]) == []
        assert [film.row.id for film in recent_films(session, limit=9)] == [right.film_id]


def test_a_film_has_one_result_whoever_stores_it(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    film_id = films.receive(make_film(), source="upload", at=at).film_id
    first = ImagingResult(rejection=Rejection(code="truncated", reason="ends early"), analysed_at=at)
    with database.writing() as session:
        assert store_imaging_result(session, film_id, first, at=at)
    with database.writing() as session:
        assert not store_imaging_result(session, film_id, ImagingResult(analysed_at=at), at=at)
    with database.reading() as session:
        film = film_by_id(session, film_id)
    assert film is not None
    assert film.result == first
    assert film.row.status == "rejected"


def test_films_come_newest_first_by_the_time_they_were_taken(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    late = films.receive(make_film(SOPInstanceUID="2.25.10", ContentDate="20260228"), source="stow", at=at)
    old = films.receive(
        make_film(SOPInstanceUID="2.25.11", ContentDate="20200101"), source="stow", at=at + timedelta(hours=1)
    )
    with database.reading() as session:
        assert [film.row.id for film in films_of(session, PATIENT)] == [late.film_id, old.film_id]


def test_no_name_of_a_patient_enters_the_database(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], tmp_path: Path, at: datetime
) -> None:
    films.receive(make_film(), source="upload", at=at)
    with database.writing() as session:
        dump = "\n".join(session.connection().connection.dbapi_connection.iterdump())  # type: ignore[union-attr]
    assert "4711" in dump
    assert "PLANTED" not in dump
    assert not [path for path in tmp_path.rglob("*") if "4711" in path.name or "PLANTED" in path.name]


# reports


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


# ledger


def _assessment(at: datetime, *follow_ups: FollowUp) -> Assessment:
    return Assessment(at=at, follow_ups=follow_ups)


def _follow_up(action: str, **more: Any) -> FollowUp:
    return FollowUp(
        key="nodule-ct",
        action=action,  # type: ignore[arg-type]
        source="rule",
        rule_id="nodule",
        rule_version="1",
        summary="CT of the nodule",
        severity="warning",
        orderables=("ct_chest_without_contrast",),
        suggestions=(Suggestion(orderable="ct_chest_without_contrast", text="CT"),),
        due_to=date(2026, 6, 1),
        citation="c",
        **more,
    )


def _store(database: Database, assessment: Assessment, at: datetime, subject: str = "s|1") -> str:
    with database.writing() as session:
        return store_case(session, subject, assessment, film_id=None, report_id=None, at=at)


def test_a_case_keeps_its_id_and_holds_the_latest_assessment(database: Database, at: datetime) -> None:
    first = _store(database, _assessment(at), at)
    later = at + timedelta(hours=1)
    assert _store(database, _assessment(later, _follow_up("open")), later) == first
    with database.reading() as session:
        case = case_by_id(session, first)
    assert case is not None
    assert case.assessment.follow_ups[0].key == "nodule-ct"


def test_an_assessment_that_says_nothing_new_or_is_older_need_not_be_stored(database: Database, at: datetime) -> None:
    case_id = _store(database, _assessment(at), at)
    later, earlier = at + timedelta(hours=1), at - timedelta(days=1)
    with database.reading() as session:

        def kept(assessment: Assessment, when: datetime, film: str | None = None) -> str | None:
            return kept_case(session, "s|1", assessment, film_id=film, report_id=None, at=when)

        assert kept(_assessment(later), later) == case_id
        assert kept(_assessment(earlier, _follow_up("open")), earlier) == case_id
        assert kept(_assessment(later, _follow_up("open")), later) is None
        assert kept(_assessment(later), later, film="another") is None
        assert kept_case(session, "s|2", _assessment(at), film_id=None, report_id=None, at=at) is None


def test_the_ledger_opens_keeps_closes_and_opens_anew(database: Database, at: datetime) -> None:
    def opened() -> list[date]:
        with database.reading() as session:
            return [entry.opened_on for entry in open_follow_ups(session, "s|1")]

    _store(database, _assessment(at, _follow_up("close", reason="done")), at)
    assert opened() == []
    _store(database, _assessment(at, _follow_up("open")), at)
    later = at + timedelta(days=3)
    _store(database, _assessment(later, _follow_up("keep")), later)
    assert opened() == [at.date()]
    _store(database, _assessment(later, _follow_up("overdue")), later)
    assert opened() == [at.date()]
    _store(database, _assessment(later, _follow_up("close", reason="CT done")), later)
    assert opened() == []
    with database.reading() as session:
        assert session.query(FollowUpRow).one().closed_reason == "CT done"
    _store(database, _assessment(later, _follow_up("open")), later)
    assert opened() == [later.date()]


def test_an_open_follow_up_names_every_step_that_would_close_it(database: Database, at: datetime) -> None:
    _store(database, _assessment(at, _follow_up("open")), at)
    with database.reading() as session:
        (entry,) = open_follow_ups(session, "s|1")
    assert entry.orderables == ("ct_chest_without_contrast",)
    assert entry.due_to == date(2026, 6, 1)


def test_what_is_kept_stays_with_the_subject_it_was_first_kept_under(database: Database, at: datetime) -> None:
    _store(database, _assessment(at), at, subject="z|1")
    with database.reading() as session:
        assert subject_in_use(session, ["a|1", "z|1"]) == "z|1"
        assert subject_in_use(session, ["a|1", "b|1"]) == "a|1"


def test_the_database_file_can_be_read_by_plain_sqlite(database: Database, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "data" / "roentgen.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
