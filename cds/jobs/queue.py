"""The queue: rows of the job table, leased by one worker at a time.

A job is done when its result is stored, in one transaction; a crash before that leaves a lease that runs out, and a
job that was begun too often is given up, whether it failed or took its worker down with it. Times that a clock set
back would put out of reach (a lease or a back-off longer than any can be) do not hold a job up, nor back: it was
queued before, so it comes first.

Deliveries are jobs with a destination: the outbox. They are sent at least once, under an id that stays; a destination
that fails is left alone as a whole until its back-off has run out, so that one that is down holds up no other.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from cds.store.tables import JobRow

LEASE = timedelta(seconds=60)

JobKind = Literal[
    "analyse_film", "extract_report", "make_objects", "withdraw_objects", "fetch_priors", "notify", "send_object"
]
JobState = Literal["queued", "leased", "done", "failed"]

_UNFINISHED: tuple[JobState, ...] = ("queued", "leased")
"""What a poll looks at, by an index: work that is done lies in the table for years."""


@dataclass(frozen=True)
class Lane:
    """Kinds of jobs that one loop of a worker takes, and how patient it is with them.

    attempts  how often a job is begun before it is given up
    lifetime  age at which a job that fails is given up whatever its attempts; None means any
    pause     before the second attempt; doubled for each further one, up to `longest`
    """

    kinds: frozenset[JobKind]
    attempts: int
    lifetime: timedelta | None
    pause: timedelta
    longest: timedelta

    def back_off(self, attempts: int) -> timedelta:
        """Return how long to wait after a number of attempts."""
        return min(timedelta(seconds=self.pause.total_seconds() * 2.0 ** min(attempts - 1, 32)), self.longest)


MAX_ATTEMPTS = 5
ANALYSIS = Lane(
    frozenset({"analyse_film", "extract_report"}), MAX_ATTEMPTS, None, timedelta(seconds=4), timedelta(seconds=64)
)
FILMS = replace(ANALYSIS, kinds=frozenset({"analyse_film"}))
"""Films alone, of `ANALYSIS`: what a second loop takes, to read one film while another is in the networks."""
DELIVERY = Lane(
    frozenset({"notify", "send_object"}), 200, timedelta(hours=36), timedelta(seconds=10), timedelta(minutes=15)
)
EXCHANGE = Lane(
    frozenset({"make_objects", "withdraw_objects", "fetch_priors"}),
    60,
    timedelta(hours=12),
    timedelta(seconds=5),
    timedelta(minutes=15),
)
LANES = (ANALYSIS, EXCHANGE, DELIVERY)


@dataclass(frozen=True)
class Job:
    """One piece of work; `destination` is empty where it goes nowhere."""

    id: str
    kind: str
    subject_id: str
    attempt: int
    destination: str = ""


@dataclass(frozen=True)
class QueueState:
    """How many jobs wait or are in work, how many were given up, and since when the oldest waits."""

    waiting: int
    failed: int
    oldest: datetime | None


@dataclass(frozen=True)
class GivenUp:
    """A job that was given up, and why."""

    job: Job
    reason: str
    at: datetime


def worker_name() -> str:
    """Return a name for this process as a lease holder, never given twice: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def enqueue(session: Session, kind: JobKind, subject_id: str, *, destination: str = "", at: datetime) -> None:
    """Add a job in the caller's transaction; the same work twice is one job.

    destination  the name of who is to get it, for deliveries; no address and no patient data
    """
    same = (JobRow.kind == kind, JobRow.destination == destination)
    if session.scalar(select(JobRow.id).where(*same, JobRow.subject_id == subject_id)) is not None:
        return
    due_at = at
    if destination:
        held_until = session.scalar(
            select(func.max(JobRow.due_at)).where(*same, JobRow.state == "queued", JobRow.attempts > 0)
        )
        due_at = max(at, held_until or at)
    session.add(
        JobRow(
            id=str(uuid.uuid4()),
            kind=kind,
            subject_id=subject_id,
            destination=destination,
            state="queued",
            due_at=due_at,
            created_at=at,
        )
    )


def is_due(session: Session, lane: Lane = ANALYSIS, *, at: datetime) -> bool:
    """Whether there is a job to claim or to give up; takes no write lock."""
    return session.scalar(select(JobRow.id).where(_due(lane, at)).limit(1)) is not None


def claim(session: Session, worker: str, lane: Lane = ANALYSIS, *, at: datetime) -> Job | None:
    """Lease the oldest job that is due, or whose lease has run out."""
    row = session.scalars(
        select(JobRow)
        .where(_due(lane, at), JobRow.attempts < lane.attempts)
        .order_by(JobRow.due_at <= at, JobRow.due_at, JobRow.created_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    row.state, row.leased_by, row.leased_until = "leased", worker, at + LEASE
    row.attempts += 1
    return _job(row)


def give_up_spent(session: Session, lane: Lane = ANALYSIS, *, at: datetime) -> list[Job]:
    """Mark as failed, and return, the jobs whose last attempt ended with the death of its worker."""
    rows = session.scalars(select(JobRow).where(_due(lane, at), JobRow.attempts >= lane.attempts)).all()
    for row in rows:
        row.state, row.failure, row.finished_at = "failed", row.failure or "worker died", at
        row.leased_by = row.leased_until = None
    return [_job(row) for row in rows]


def renew(session: Session, job: Job, worker: str, *, at: datetime) -> None:
    """Extend the lease of a job still in work."""
    session.execute(
        update(JobRow).where(JobRow.id == job.id, JobRow.leased_by == worker).values(leased_until=at + LEASE)
    )


def finish(session: Session, job: Job, worker: str, *, at: datetime) -> bool:
    """Mark a job done in the transaction that stores its result; False when the lease was lost to another worker."""
    row = session.get(JobRow, job.id)
    if row is None or row.state != "leased" or row.leased_by != worker:
        return False
    row.state, row.finished_at, row.failure, row.leased_by, row.leased_until = "done", at, None, None, None
    return True


def fail(session: Session, job: Job, worker: str, reason: str, *, at: datetime, for_good: bool = False) -> bool:
    """Put a job back with back-off, and with it all that waits for the same destination; True when it is given up.

    reason    why, for people; no patient data
    for_good  give it up at once: trying again would not help
    """
    row = session.get(JobRow, job.id)
    if row is None or row.state != "leased" or row.leased_by != worker:
        return False
    lane = _lane_of(row.kind)
    too_old = lane.lifetime is not None and at - row.created_at > lane.lifetime
    given_up = for_good or too_old or row.attempts >= lane.attempts
    row.state, row.failure = ("failed" if given_up else "queued"), reason[:255]
    row.leased_by = row.leased_until = None
    row.due_at = at + lane.back_off(row.attempts)
    if given_up:
        row.finished_at = at
    elif row.destination:
        _hold(session, row)
    return given_up


def postpone(session: Session, job: Job, worker: str, until: datetime) -> None:
    """Put back a job that is not ready to be done; that it was begun does not count."""
    row = session.get(JobRow, job.id)
    if row is None or row.state != "leased" or row.leased_by != worker:
        return
    row.state, row.due_at, row.attempts = "queued", until, row.attempts - 1
    row.leased_by = row.leased_until = None


def _hold(session: Session, failed: JobRow) -> None:
    """Let what else waits for a destination wait as long as the delivery that failed."""
    session.execute(
        update(JobRow)
        .where(
            JobRow.kind == failed.kind,
            JobRow.destination == failed.destination,
            JobRow.state == "queued",
            JobRow.due_at < failed.due_at,
        )
        .values(due_at=failed.due_at)
    )


def release_dead(session: Session, worker: str = "", *, at: datetime) -> int:
    """Give back the jobs leased by processes of this machine that no longer run; returns how many.

    worker  who asks: what it has leased itself stays
    """
    host = socket.gethostname()
    released = 0
    for row in session.scalars(select(JobRow).where(JobRow.state == "leased")):
        if row.leased_by != worker and _is_dead(row.leased_by or "", host):
            row.state, row.leased_by, row.leased_until, row.due_at = "queued", None, None, at
            released += 1
    return released


def queue_state(session: Session, lane: Lane = ANALYSIS) -> QueueState:
    """Return what waits and what was given up."""
    mine = JobRow.kind.in_(lane.kinds)
    unfinished = select(func.count(), func.min(JobRow.created_at)).where(mine, JobRow.state.in_(_UNFINISHED))
    waiting, oldest = session.execute(unfinished).one()
    failed = session.scalar(select(func.count()).where(mine, JobRow.state == "failed"))
    return QueueState(waiting, failed or 0, oldest)


def given_up(session: Session) -> list[GivenUp]:
    """Return the jobs that were given up, the newest first."""
    rows = session.scalars(select(JobRow).where(JobRow.state == "failed").order_by(JobRow.finished_at.desc()))
    return [GivenUp(_job(row), row.failure or "", row.finished_at or row.created_at) for row in rows]


def begin_again(session: Session, jobs: Collection[str], *, at: datetime) -> None:
    """Queue jobs again as if they were new, whatever became of them."""
    session.execute(
        update(JobRow)
        .where(JobRow.id.in_(jobs), JobRow.state.in_(("failed", "done")))
        .values(state="queued", attempts=0, due_at=at, created_at=at, finished_at=None, failure=None)
    )


def job_state(session: Session, kind: JobKind, subject_id: str, *, destination: str = "") -> JobState | None:
    """Return how far a piece of work is; None when none was ever queued."""
    state = session.scalar(
        select(JobRow.state).where(
            JobRow.kind == kind, JobRow.subject_id == subject_id, JobRow.destination == destination
        )
    )
    return cast("JobState | None", state)


def _job(row: JobRow) -> Job:
    return Job(row.id, row.kind, row.subject_id, row.attempts, row.destination)


def _lane_of(kind: str) -> Lane:
    return next(lane for lane in LANES if kind in lane.kinds)


def _due(lane: Lane, at: datetime) -> ColumnElement[bool]:
    return and_(
        JobRow.kind.in_(lane.kinds),
        JobRow.state.in_(_UNFINISHED),
        or_(
            and_(JobRow.state == "queued", or_(JobRow.due_at <= at, JobRow.due_at > at + lane.longest)),
            and_(JobRow.state == "leased", or_(JobRow.leased_until < at, JobRow.leased_until > at + 2 * LEASE)),
        ),
    )


def _is_dead(holder: str, host: str) -> bool:
    """Whether a lease holder is gone; a holder with this process id is an earlier process, and gone too."""
    name, _, rest = holder.partition(":")
    process = rest.partition(":")[0]
    return name == host and process.isdigit() and (int(process) == os.getpid() or not _runs(int(process)))


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
