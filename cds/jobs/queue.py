"""The queue: rows of the job table, leased by one worker at a time.

A job is done when its result is stored, in one transaction; a crash before that leaves a lease that runs out, and a
job that was begun too often is given up, whether it failed or took its worker down with it. Times that a clock set
back would put out of reach (a lease or a back-off longer than any can be) do not hold a job up.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.orm import Session

from cds.store.tables import JobRow

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 5
_BACKOFF = timedelta(seconds=2)
_LONGEST_BACKOFF = _BACKOFF * 2**MAX_ATTEMPTS

JobKind = Literal["analyse_film", "extract_report"]
JobState = Literal["queued", "leased", "done", "failed"]


@dataclass(frozen=True)
class Job:
    id: str
    kind: str
    subject_id: str
    attempt: int


@dataclass(frozen=True)
class QueueState:
    """How many jobs wait or are in work, how many were given up, and since when the oldest waits."""

    waiting: int
    failed: int
    oldest: datetime | None


def worker_name() -> str:
    """Return a name for this process as a lease holder, never given twice: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def enqueue(session: Session, kind: JobKind, subject_id: str, *, at: datetime) -> None:
    """Add a job in the caller's transaction; the same work twice is one job."""
    exists = session.scalar(select(JobRow.id).where(JobRow.kind == kind, JobRow.subject_id == subject_id))
    if exists is None:
        session.add(
            JobRow(id=str(uuid.uuid4()), kind=kind, subject_id=subject_id, state="queued", due_at=at, created_at=at)
        )


def is_due(session: Session, *, at: datetime) -> bool:
    """Whether there is a job to claim or to give up; takes no write lock."""
    return session.scalar(select(JobRow.id).where(_due(at)).limit(1)) is not None


def claim(session: Session, worker: str, *, at: datetime) -> Job | None:
    """Lease the oldest job that is due, or whose lease has run out."""
    row = session.scalars(
        select(JobRow)
        .where(_due(at), JobRow.attempts < MAX_ATTEMPTS)
        .order_by(JobRow.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    row.state, row.leased_by, row.leased_until = "leased", worker, at + LEASE
    row.attempts += 1
    return Job(row.id, row.kind, row.subject_id, row.attempts)


def give_up_spent(session: Session, *, at: datetime) -> list[Job]:
    """Mark as failed, and return, the jobs whose last attempt ended with the death of its worker."""
    rows = session.scalars(select(JobRow).where(_due(at), JobRow.attempts >= MAX_ATTEMPTS)).all()
    for row in rows:
        row.state, row.failure, row.finished_at = "failed", row.failure or "worker died", at
        row.leased_by = row.leased_until = None
    return [Job(row.id, row.kind, row.subject_id, row.attempts) for row in rows]


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


def fail(session: Session, job: Job, worker: str, reason: str, *, at: datetime) -> bool:
    """Put a job back with back-off; True when it was tried too often and is given up."""
    row = session.get(JobRow, job.id)
    if row is None or row.state != "leased" or row.leased_by != worker:
        return False
    given_up = row.attempts >= MAX_ATTEMPTS
    row.state, row.failure = ("failed" if given_up else "queued"), reason[:255]
    row.leased_by = row.leased_until = None
    row.due_at = at + _BACKOFF * 2**row.attempts
    if given_up:
        row.finished_at = at
    return given_up


def release_dead(session: Session, *, at: datetime) -> int:
    """Give back the jobs leased by processes of this machine that no longer run; returns how many."""
    host = socket.gethostname()
    released = 0
    for row in session.scalars(select(JobRow).where(JobRow.state == "leased")):
        if _is_dead(row.leased_by or "", host):
            row.state, row.leased_by, row.leased_until, row.due_at = "queued", None, None, at
            released += 1
    return released


def queue_state(session: Session) -> QueueState:
    """Return what waits and what was given up."""
    unfinished = JobRow.state.in_(("queued", "leased"))
    waiting, oldest = session.execute(select(func.count(), func.min(JobRow.created_at)).where(unfinished)).one()
    failed = session.scalar(select(func.count()).where(JobRow.state == "failed"))
    return QueueState(waiting, failed or 0, oldest)


def job_state(session: Session, kind: JobKind, subject_id: str) -> JobState | None:
    """Return how far a piece of work is; None when none was ever queued."""
    state = session.scalar(select(JobRow.state).where(JobRow.kind == kind, JobRow.subject_id == subject_id))
    return cast("JobState | None", state)


def _due(at: datetime) -> ColumnElement[bool]:
    return or_(
        and_(JobRow.state == "queued", or_(JobRow.due_at <= at, JobRow.due_at > at + _LONGEST_BACKOFF)),
        and_(JobRow.state == "leased", or_(JobRow.leased_until < at, JobRow.leased_until > at + 2 * LEASE)),
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
