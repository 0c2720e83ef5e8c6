"""The worker stores one result per input, whatever dies and whenever."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cds.arrival import FilmArrivals, ReportArrivals
from cds.errors import DatabaseVersionError
from cds.jobs.pictures import shown_film
from cds.jobs.queue import LEASE, MAX_ATTEMPTS
from cds.jobs.worker import Worker
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, ImagingResultRow, JobRow, ReportResultRow
from nlp import ReportContext, StructuredReport
from vision import ImagingResult, Radiograph
from vision.read import CODES

LONG_AGO = timedelta(days=1)


class Models:
    """Stands for the models: takes its time, and fails where it is told to."""

    def __init__(self, seconds: float = 0.0, failure: Exception | None = None) -> None:
        self.analyzer = self.extractor = self
        self._seconds, self._failure = seconds, failure
        self.contexts: list[ReportContext] = []

    def analyze(self, _: Radiograph, *, at: datetime) -> ImagingResult:
        time.sleep(self._seconds)
        if self._failure is not None:
            raise self._failure
        return ImagingResult(analysed_at=at)

    def extract(self, _: str, context: ReportContext, *, at: datetime) -> StructuredReport:
        self.contexts.append(context)
        return StructuredReport(extracted_at=at)


@pytest.fixture
def work(database: Database, blobs: BlobFolder) -> Callable[..., Worker]:
    def worker(models: Models | None = None) -> Worker:
        return Worker(database, blobs, models or Models())  # type: ignore[arg-type]

    return worker


@pytest.fixture
def film(films: FilmArrivals, make_film: Callable[..., bytes], at: datetime) -> Iterator[str]:
    return films.receive(
        make_film(Rows=64, Columns=64, PixelData=bytes(8192)), source="upload", at=at - LONG_AGO
    ).film_id


def _film(database: Database, film_id: str) -> tuple[str, int]:
    """Return the state of a film and how many results there are."""
    with database.reading() as session:
        return session.get_one(FilmRow, film_id).status, session.query(ImagingResultRow).count()


def test_the_picture_a_page_opens_with_is_drawn_with_the_result(
    database: Database, blobs: BlobFolder, work: Callable[..., Worker], film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work().run_one()
    with database.reading() as session:
        digest = session.get_one(FilmRow, film).sha256
    monkeypatch.delattr("cds.jobs.pictures.render_png")
    assert shown_film(blobs, digest).startswith(b"\x89PNG")


def test_nothing_is_drawn_while_another_film_waits(
    blobs: BlobFolder,
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    work: Callable[..., Worker],
    film: str,
    at: datetime,
) -> None:
    assert films.receive(make_film(), source="upload", at=at - LONG_AGO).film_id != film
    assert work().run_one()
    assert not list(blobs.root.glob("derived/*"))
    assert work().run_one()
    assert len(list(blobs.root.glob("derived/*"))) == 1


def test_a_film_is_analysed_once(database: Database, work: Callable[..., Worker], film: str) -> None:
    worker = work()
    assert worker.run_one()
    assert not worker.run_one()
    assert _film(database, film) == ("analysed", 1)


def test_a_film_that_cannot_be_read_is_rejected_with_the_reason(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], work: Callable[..., Worker], at: datetime
) -> None:
    film_id = films.receive(make_film(PixelData=None), source="upload", at=at - LONG_AGO).film_id
    work().run_one()
    assert _film(database, film_id) == ("rejected", 1)
    with database.reading() as session:
        assert session.get_one(ImagingResultRow, film_id).rejected in CODES


def test_a_report_is_extracted_with_age_sex_and_examination(
    database: Database,
    reports: ReportArrivals,
    make_report: Callable[..., dict[str, Any]],
    work: Callable[..., Worker],
    at: datetime,
) -> None:
    patient = {"resourceType": "Patient", "birthDate": "1950-03-02", "gender": "female"}
    report = make_report(code={"text": "CT chest"})
    reports.receive_fhir(report, patient=patient, source="fhir", at=at - LONG_AGO)
    models = Models()
    work(models).run_one()
    assert models.contexts == [
        ReportContext(age=75, sex="female", ordered_exam="CT chest", reported_on=date(2026, 3, 1))
    ]
    with database.reading() as session:
        assert session.query(ReportResultRow).count() == 1


def test_an_impossible_birth_date_gives_no_age(
    reports: ReportArrivals, make_report: Callable[..., dict[str, Any]], work: Callable[..., Worker], at: datetime
) -> None:
    patient = {"resourceType": "Patient", "birthDate": "2050-03-02", "gender": "robot"}
    reports.receive_fhir(make_report(), patient=patient, source="fhir", at=at - LONG_AGO)
    models = Models()
    work(models).run_one()
    assert models.contexts == [ReportContext(reported_on=date(2026, 3, 1))]


def test_a_film_that_no_attempt_can_analyse_is_given_up_visibly(
    database: Database, work: Callable[..., Worker], film: str, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = work(Models(failure=ValueError("PLANTED^NAME")))
    for attempt in range(MAX_ATTEMPTS):
        assert worker.run_one(), attempt
        with database.writing() as session:
            session.query(JobRow).one().due_at = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    assert not worker.run_one()
    assert _film(database, film) == ("failed", 0)
    with database.reading() as session:
        assert session.query(JobRow).one().failure == "ValueError"
    captured = capsys.readouterr()
    assert "PLANTED" not in captured.out + captured.err


def test_a_film_that_kills_every_worker_is_given_up_visibly(
    database: Database, work: Callable[..., Worker], film: str
) -> None:
    with database.writing() as session:
        job = session.query(JobRow).one()
        job.state, job.attempts, job.leased_by = "leased", MAX_ATTEMPTS, "elsewhere:1:a"
        job.leased_until = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    assert not work().run_one()
    assert _film(database, film) == ("failed", 0)


def test_a_lost_lease_stores_nothing(database: Database, blobs: BlobFolder, film: str) -> None:
    class Stolen(Models):
        def analyze(self, radiograph: Radiograph, *, at: datetime) -> ImagingResult:
            with database.writing() as session:
                session.query(JobRow).one().leased_by = "another"
            return super().analyze(radiograph, at=at)

    Worker(database, blobs, Stolen()).run_one()  # type: ignore[arg-type]
    assert _film(database, film) == ("received", 0)


def test_the_lease_is_kept_while_a_film_takes_long(
    database: Database, work: Callable[..., Worker], film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[str] = []
    monkeypatch.setattr("cds.jobs.worker.LEASE", timedelta(seconds=0.3))
    monkeypatch.setattr("cds.jobs.worker.renew", lambda _, job, __, **___: renewed.append(job.subject_id))
    work(Models(seconds=0.5)).run_one()
    assert film in renewed
    assert _film(database, film) == ("analysed", 1)


def test_a_database_that_is_locked_does_not_end_the_worker(
    database: Database, work: Callable[..., Worker], film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = work()
    monkeypatch.setattr("cds.jobs.worker._STORE_IN_TROUBLE_SECONDS", 0.01)
    impatient = database.writing
    monkeypatch.setattr(database, "writing", lambda: impatient(patience_ms=10))
    locked, release = threading.Event(), threading.Event()

    def hold() -> None:
        with impatient():
            locked.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    thread = threading.Thread(target=worker.run)
    thread.start()
    time.sleep(0.2)
    release.set()
    holder.join()
    until = time.monotonic() + 20
    while _film(database, film)[1] == 0 and time.monotonic() < until:
        time.sleep(0.05)
    assert thread.is_alive()
    worker.stop.set()
    thread.join()
    assert _film(database, film) == ("analysed", 1)


def test_a_worker_ends_when_the_service_that_started_it_is_gone(work: Callable[..., Worker]) -> None:
    work().run(parent=os.getpid())


def test_a_worker_refuses_a_database_of_another_version(database: Database, work: Callable[..., Worker]) -> None:
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'old'"))
    with pytest.raises(DatabaseVersionError):
        work().run()


def _work_until_killed(folder: Path) -> None:
    store = Database(f"sqlite:///{folder}/roentgen.sqlite3")
    Worker(store, BlobFolder(folder / "blobs"), Models(seconds=0.02)).run()  # type: ignore[arg-type]


def test_every_acknowledged_film_has_exactly_one_result_however_often_the_worker_is_killed(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], tmp_path: Path, at: datetime
) -> None:
    for number in range(1, 7):
        data = make_film(SOPInstanceUID=f"2.25.{number}", Rows=64, Columns=64, PixelData=bytes(8192))
        films.receive(data, source="upload", at=at - LONG_AGO)
    database.close()
    chance = random.Random(4)  # noqa: S311 - no secret
    context = multiprocessing.get_context("fork")
    for kill in range(9):
        worker = context.Process(target=_work_until_killed, args=(tmp_path / "data",))
        worker.start()
        if kill < 8:
            time.sleep(chance.uniform(0.0, 0.12))
        else:
            _wait_for_results(database, 6)
        os.kill(worker.pid or 0, signal.SIGKILL)
        worker.join()
    with database.reading() as session:
        assert {row.status for row in session.query(FilmRow)} == {"analysed"}
        assert session.query(ImagingResultRow).count() == 6
        assert {row.state for row in session.query(JobRow)} == {"done"}
        assert session.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def _wait_for_results(database: Database, count: int) -> None:
    until = time.monotonic() + LEASE.total_seconds()
    while time.monotonic() < until:
        with database.reading() as session:
            if session.query(ImagingResultRow).count() == count:
                return
        time.sleep(0.05)
