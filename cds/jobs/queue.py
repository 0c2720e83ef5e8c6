"""The queue: rows of the job table, leased by one worker at a time.

A job is done when its result is stored, in one transaction; a crash before that leaves a lease that runs out.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from cds.store.tables import JobRow

LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 5
_BACKOFF = timedelta(seconds=2)

JobKind = Literal["analyse_film", "extract_report"]


@dataclass(frozen=True)
class Job:
    id: str
    kind: str
    subject_id: str
    attempt: int


def worker_name() -> str:
    """Return the name of this process as a lease holder: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


def enqueue(session: Session, kind: JobKind, subject_id: str, *, at: datetime) -> None:
    """Add a job in the caller's transaction; the same work twice is one job."""
    exists = session.scalar(select(JobRow.id).where(JobRow.kind == kind, JobRow.subject_id == subject_id))
    if exists is None:
        session.add(
            JobRow(id=str(uuid.uuid4()), kind=kind, subject_id=subject_id, state="queued", due_at=at, created_at=at)
        )


def claim(session: Session, worker: str, *, at: datetime) -> Job | None:
    """Lease the oldest job that is due, or whose lease has run out."""
    row = session.scalars(
        select(JobRow)
        .where(
            or_(
                (JobRow.state == "queued") & (JobRow.due_at <= at),
                (JobRow.state == "leased") & (JobRow.leased_until < at),
            )
        )
        .order_by(JobRow.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    if row is None:
        return None
    row.state, row.leased_by, row.leased_until = "leased", worker, at + LEASE
    row.attempts += 1
    return Job(row.id, row.kind, row.subject_id, row.attempts)


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
    row.state, row.finished_at, row.leased_by, row.leased_until = "done", at, None, None
    return True


def fail(session: Session, job: Job, worker: str, reason: str, *, at: datetime) -> bool:
    """Put a job back with back-off; True when it was tried too often and is given up."""
    row = session.get(JobRow, job.id)
    if row is None or row.leased_by != worker:
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
        name, _, process = (row.leased_by or "").rpartition(":")
        if name == host and process.isdigit() and not _runs(int(process)):
            row.state, row.leased_by, row.leased_until, row.due_at = "queued", None, None, at
            released += 1
    return released


def waiting(session: Session) -> int:
    """Return how many jobs are not finished."""
    return session.scalar(select(func.count()).where(JobRow.state.in_(("queued", "leased")))) or 0


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
