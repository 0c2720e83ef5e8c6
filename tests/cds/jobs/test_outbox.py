"""Deliveries leave the outbox at least once, wait together for a destination that is down, and are given up visibly."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cds.arrival import FilmArrivals
from cds.cli.app import app
from cds.errors import DeliveryError, NotFoundError
from cds.jobs.queue import ANALYSIS, DELIVERY, Job, claim, enqueue, fail, given_up, is_due, job_state, queue_state
from cds.jobs.retrying import retry_given_up
from cds.jobs.worker import Worker
from cds.operating.doctor import examine
from cds.service import Service
from cds.settings import Settings
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, JobRow

SECOND = timedelta(seconds=1)
LONG_AGO = timedelta(days=1)


class Receiver:
    """Takes deliveries, or refuses them with an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.got: list[tuple[str, str]] = []

    def __call__(self, job: Job) -> None:
        if self.error is not None:
            raise self.error
        self.got.append((job.destination, job.subject_id))


def _worker(database: Database, blobs: BlobFolder, receiver: Receiver) -> Worker:
    return Worker(database, blobs, object(), deliveries={"notify": receiver})  # type: ignore[arg-type]


def _send(database: Database, *references: str, to: str = "ward", at: datetime) -> None:
    with database.writing() as session:
        for reference in references:
            enqueue(session, "notify", reference, destination=to, at=at)


def _failed_once(database: Database, reference: str, at: datetime, *, to: str = "ward") -> None:
    _send(database, reference, to=to, at=at)
    with database.writing() as session:
        job = claim(session, "w", DELIVERY, at=at)
        assert job is not None
        fail(session, job, "w", "connection refused", at=at)


def _is_due(database: Database, at: datetime) -> bool:
    with database.reading() as session:
        return is_due(session, DELIVERY, at=at)


def test_what_is_queued_is_delivered_once_to_each_destination(database: Database, blobs: BlobFolder) -> None:
    at = datetime.now(UTC)
    for destination in ("ward", "pathway", "ward"):
        _send(database, "event-1", to=destination, at=at)
    receiver = Receiver()
    worker = _worker(database, blobs, receiver)
    while worker.deliver_one():
        pass
    assert sorted(receiver.got) == [("pathway", "event-1"), ("ward", "event-1")]


def test_a_delivery_that_failed_is_tried_again_after_its_back_off(database: Database, at: datetime) -> None:
    _failed_once(database, "event-1", at)
    assert not _is_due(database, at + DELIVERY.pause - SECOND)
    assert _is_due(database, at + DELIVERY.pause)


def test_back_off_doubles_up_to_its_longest() -> None:
    assert [DELIVERY.back_off(n) / SECOND for n in (1, 2, 3)] == [10, 20, 40]
    assert DELIVERY.back_off(199) == DELIVERY.longest


def test_a_destination_that_fails_is_left_alone_as_a_whole_and_no_other_waits_for_it(
    database: Database, at: datetime
) -> None:
    _send(database, "queued-before", at=at + SECOND)
    _failed_once(database, "event-1", at)
    _send(database, "queued-after", at=at + SECOND)
    assert not _is_due(database, at + 2 * SECOND)
    _send(database, "event-1", to="pathway", at=at + SECOND)
    assert _is_due(database, at + 2 * SECOND)


def test_a_delivery_whose_time_is_over_is_given_up(database: Database, at: datetime) -> None:
    _send(database, "event-1", at=at)
    late = at + DELIVERY.lifetime + SECOND  # type: ignore[operator]
    with database.writing() as session:
        job = claim(session, "w", DELIVERY, at=late)
        assert job is not None
        assert fail(session, job, "w", "connection refused", at=late)
        assert job_state(session, "notify", "event-1", destination="ward") == "failed"
        assert [(entry.job.destination, entry.reason) for entry in given_up(session)] == [
            ("ward", "connection refused")
        ]


def test_a_delivery_that_cannot_succeed_is_given_up_at_once(database: Database, blobs: BlobFolder) -> None:
    _send(database, "event-1", at=datetime.now(UTC))
    assert _worker(database, blobs, Receiver(DeliveryError("answered 410", for_good=True))).deliver_one()
    with database.reading() as session:
        assert [entry.reason for entry in given_up(session)] == ["answered 410"]


def test_an_unexpected_error_keeps_the_delivery_and_nothing_of_its_words(database: Database, blobs: BlobFolder) -> None:
    _send(database, "event-1", at=datetime.now(UTC))
    _worker(database, blobs, Receiver(ValueError("PLANTED^NAME"))).deliver_one()
    with database.reading() as session:
        assert (session.query(JobRow).one().state, session.query(JobRow).one().failure) == ("queued", "ValueError")


def test_deliveries_and_films_do_not_wait_for_each_other(database: Database, at: datetime) -> None:
    _send(database, "event-1", at=at)
    with database.writing() as session:
        enqueue(session, "analyse_film", "film-1", at=at + SECOND)
        assert (queue_state(session, ANALYSIS).waiting, queue_state(session, DELIVERY).waiting) == (1, 1)
        job = claim(session, "w", ANALYSIS, at=at + SECOND)
        assert job is not None
        assert job.subject_id == "film-1"


def test_a_running_worker_delivers_beside_its_films(database: Database, blobs: BlobFolder) -> None:
    worker = Worker(database, blobs, object(), deliveries={"notify": lambda _: worker.stop.set()})  # type: ignore[arg-type]
    _send(database, "event-1", at=datetime.now(UTC))
    worker.run()
    with database.reading() as session:
        assert job_state(session, "notify", "event-1", destination="ward") == "done"


def _given_up(database: Database, at: datetime, *destinations: str) -> list[str]:
    for destination in destinations:
        _send(database, "event-1", to=destination, at=at)
        with database.writing() as session:
            job = claim(session, "w", DELIVERY, at=at)
            assert job is not None
            fail(session, job, "w", "answered 500", at=at, for_good=True)
    with database.reading() as session:
        return [entry.job.id for entry in given_up(session)]


def test_what_was_given_up_is_begun_again_by_id_by_destination_or_all_of_it(database: Database, at: datetime) -> None:
    ids = _given_up(database, at, "a", "b", "c")
    with database.writing() as session:
        (first,) = retry_given_up(session, [ids[0]], at=at)
        (second,) = retry_given_up(session, ["b"] if first.job.destination != "b" else ["a"], at=at)
        assert {first.job.id, second.job.id} < set(ids)
        assert len(retry_given_up(session, at=at)) == 1
        assert given_up(session) == []
        assert queue_state(session, DELIVERY).waiting == 3
    with database.writing() as session, pytest.raises(NotFoundError, match="nowhere"):
        retry_given_up(session, ["nowhere"], at=at)


def test_a_film_that_was_given_up_waits_again(
    database: Database, films: FilmArrivals, make_film: Callable[..., bytes], at: datetime
) -> None:
    film_id = films.receive(make_film(), source="upload", at=at).film_id
    with database.writing() as session:
        job = claim(session, "w", at=at)
        assert job is not None
        fail(session, job, "w", "OSError", at=at, for_good=True)
        session.get_one(FilmRow, film_id).status = "failed"
    with database.writing() as session:
        retry_given_up(session, at=at)
    with database.reading() as session:
        assert session.get_one(FilmRow, film_id).status == "received"
        assert job_state(session, "analyse_film", film_id) == "queued"


def test_the_command_line_lists_what_was_given_up_and_begins_it_again(
    database: Database, tmp_path: Path, at: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = _given_up(database, at, "ward")
    monkeypatch.setenv("CDS_DATA_DIR", str(tmp_path / "data"))
    run = CliRunner()
    row = json.loads(run.invoke(app, ["jobs", "list", "--json"]).stdout)
    assert (row["id"], row["destination"], row["reason"]) == (job, "ward", "answered 500")
    assert run.invoke(app, ["jobs", "retry"]).exit_code == 2
    assert run.invoke(app, ["jobs", "retry", "ward", "--json"]).exit_code == 0
    assert run.invoke(app, ["jobs", "list", "--json"]).stdout == ""


def test_the_doctor_names_the_destination_and_the_reason(database: Database, tmp_path: Path, at: datetime) -> None:
    _given_up(database, at, "ward")
    found = examine(Service(Settings(data_dir=tmp_path / "data")))
    (said,) = [f.message for f in found if f.subject == "deliveries" and f.level == "warning"]
    assert "to ward" in said
    assert "answered 500" in said
