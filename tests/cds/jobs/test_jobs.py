"""The queue loses nothing, does nothing twice and gives up what cannot be done."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from cds.jobs.queue import (
    FILMS,
    LANES,
    LEASE,
    MAX_ATTEMPTS,
    Job,
    Lane,
    claim,
    enqueue,
    fail,
    finish,
    give_up_spent,
    is_due,
    job_state,
    queue_state,
    release_dead,
    renew,
    worker_name,
)
from cds.store import Database
from cds.store.tables import JobRow

MINUTE = timedelta(minutes=1)


def _queued(database: Database, at: datetime, *subjects: str) -> None:
    with database.writing() as session:
        for subject in subjects or ("film-1",):
            enqueue(session, "analyse_film", subject, at=at)


def _claim(database: Database, at: datetime, worker: str = "w1") -> Job | None:
    with database.writing() as session:
        return claim(session, worker, at=at)


def _claimed(database: Database, at: datetime, worker: str = "w1") -> Job:
    job = _claim(database, at, worker)
    assert job is not None
    return job


def _state(database: Database) -> str | None:
    with database.reading() as session:
        return job_state(session, "analyse_film", "film-1")


def test_the_same_work_is_queued_once(database: Database, at: datetime) -> None:
    _queued(database, at)
    _queued(database, at)
    with database.reading() as session:
        assert queue_state(session).waiting == 1


def test_a_job_is_leased_to_one_worker(database: Database, at: datetime) -> None:
    _queued(database, at)
    assert _claimed(database, at).subject_id == "film-1"
    assert _claim(database, at, "w2") is None


def test_jobs_are_taken_in_the_order_they_came(database: Database, at: datetime) -> None:
    _queued(database, at + MINUTE, "later")
    _queued(database, at, "earlier")
    assert [_claimed(database, at + 2 * MINUTE).subject_id for _ in range(2)] == ["earlier", "later"]


def test_a_job_whose_lease_ran_out_is_taken_by_another_and_finished_once(database: Database, at: datetime) -> None:
    _queued(database, at)
    slow = _claimed(database, at, "slow")
    after = at + LEASE + timedelta(seconds=1)
    quick = _claimed(database, after, "quick")
    with database.writing() as session:
        assert not finish(session, slow, "slow", at=after)
        assert finish(session, quick, "quick", at=after)
        assert not finish(session, quick, "quick", at=after)
        assert not fail(session, slow, "slow", "TimeoutError", at=after)
    assert _state(database) == "done"


def test_a_renewed_lease_holds(database: Database, at: datetime) -> None:
    _queued(database, at)
    job = _claimed(database, at)
    with database.writing() as session:
        renew(session, job, "w1", at=at + LEASE / 2)
    assert _claim(database, at + LEASE + timedelta(seconds=1), "w2") is None


def test_a_failed_job_is_tried_again_later_and_given_up_at_last(database: Database, at: datetime) -> None:
    _queued(database, at)
    now = at
    for attempt in range(1, MAX_ATTEMPTS + 1):
        job = _claimed(database, now)
        assert job.attempt == attempt
        with database.writing() as session:
            assert fail(session, job, "w1", "ValueError", at=now) == (attempt == MAX_ATTEMPTS)
        assert _claim(database, now) is None
        now += 2 * MINUTE
    assert _state(database) == "failed"
    with database.reading() as session:
        assert (queue_state(session).waiting, queue_state(session).failed) == (0, 1)


def test_a_job_that_kills_its_worker_each_time_is_given_up(database: Database, at: datetime) -> None:
    _queued(database, at)
    now = at
    for _ in range(MAX_ATTEMPTS):
        _claimed(database, now)
        now += LEASE + timedelta(seconds=1)
    assert _claim(database, now) is None
    with database.writing() as session:
        assert [job.subject_id for job in give_up_spent(session, at=now)] == ["film-1"]
        assert give_up_spent(session, at=now) == []
    assert _state(database) == "failed"


def test_a_clock_set_back_does_not_hold_a_job_up(database: Database, at: datetime) -> None:
    ahead = at + timedelta(days=1)
    _queued(database, ahead)
    assert _claimed(database, at, "w1").attempt == 1
    with database.writing() as session:
        session.query(JobRow).one().leased_until = ahead
    assert _claimed(database, at, "w2").attempt == 2


def test_what_was_queued_before_a_clock_was_set_back_comes_before_what_came_since(
    database: Database, at: datetime
) -> None:
    _queued(database, at + timedelta(days=1), "before")
    _queued(database, at, "since")
    assert [_claimed(database, at).subject_id for _ in range(2)] == ["before", "since"]


def test_a_worker_that_starts_takes_back_what_dead_processes_of_its_machine_held(
    database: Database, at: datetime
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    holders = [f"{host}:{ended.pid}:aa", f"{host}:{os.getpid()}:bb", f"{host}:{os.getppid()}:cc", "elsewhere:1:dd"]
    for number, holder in enumerate(holders):
        _queued(database, at, f"film-{number}")
        _claimed(database, at, holder)
    with database.writing() as session:
        assert release_dead(session, at=at) == 2
    assert {_claimed(database, at).subject_id for _ in range(2)} == {"film-0", "film-1"}


def test_a_worker_that_takes_back_keeps_what_its_own_loops_have_leased_already(
    database: Database, at: datetime
) -> None:
    mine = worker_name()
    _queued(database, at)
    _claimed(database, at, mine)
    with database.writing() as session:
        assert release_dead(session, mine, at=at) == 0
        assert release_dead(session, worker_name(), at=at) == 1


def test_a_worker_name_is_never_given_twice() -> None:
    assert worker_name() != worker_name()


def test_looking_for_work_takes_no_lock(database: Database, at: datetime) -> None:
    _queued(database, at)
    with database.writing(), database.reading() as session:
        assert is_due(session, at=at)


@pytest.mark.parametrize("lane", [*LANES, FILMS])
def test_looking_for_work_does_not_go_through_what_is_done(database: Database, at: datetime, lane: Lane) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(database.engine, "before_cursor_execute", lambda *call: asked.append(call[2:4]))
    with database.reading() as session:
        is_due(session, lane, at=at)
        statement, values = asked[-1]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert [row[-1] for row in plan] == ["SEARCH job USING INDEX ix_job_due (state=? AND kind=?)"]


def test_the_oldest_waiting_job_is_known(database: Database, at: datetime) -> None:
    with database.reading() as session:
        assert queue_state(session).oldest is None
    _queued(database, at)
    _queued(database, at - MINUTE, "film-2")
    with database.reading() as session:
        assert queue_state(session).oldest == at - MINUTE


@pytest.mark.parametrize("kind", ["extract_report"])
def test_work_never_queued_has_no_state(database: Database, kind: str) -> None:
    with database.reading() as session:
        assert job_state(session, kind, "none") is None  # type: ignore[arg-type]
