"""Jobs that were given up, begun again: what an operator does after the fault is mended.

A film whose analysis was given up is waiting again, and its pages say so.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from cds.errors import NotFoundError
from cds.jobs.queue import GivenUp, begin_again, given_up
from cds.store.tables import FilmRow


def retry_given_up(session: Session, wanted: Collection[str] | None = None, *, at: datetime) -> list[GivenUp]:
    """Queue again what was given up, and return it.

    wanted  ids of jobs, or names of destinations; None means all

    Raises NotFoundError naming what is no job that was given up and no destination of one.
    """
    there = given_up(session)
    known = {entry.job.id for entry in there} | {entry.job.destination for entry in there}
    unknown = sorted(set(wanted or ()) - known)
    if unknown:
        raise NotFoundError(f"nothing was given up under {unknown[0]!r}; `cds jobs list` shows what was")
    chosen = [e for e in there if wanted is None or {e.job.id, e.job.destination} & set(wanted)]
    begin_again(session, [entry.job.id for entry in chosen], at=at)
    films = [entry.job.subject_id for entry in chosen if entry.job.kind == "analyse_film"]
    session.execute(update(FilmRow).where(FilmRow.id.in_(films)).values(status="received"))
    return chosen
