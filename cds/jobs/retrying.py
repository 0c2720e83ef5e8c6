"""Work begun again: what an operator does after a fault is mended.

A film whose analysis was given up waits again, and its pages say so; so does one of which nothing was assessed because
its model was not in service.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from cds.errors import NotFoundError
from cds.jobs.queue import GivenUp, begin_again, given_up
from cds.store.tables import FilmRow, ImagingResultRow, JobRow
from vision import ImagingResult

_NO_GATE = "it is not certain that this is a chest film"
_NOT_IN_SERVICE = re.compile(r"the (\w+) model is not in service")


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


def retry_refused(session: Session, served: Collection[str], *, at: datetime) -> list[str]:
    """Queue again the films of which nothing was assessed because a model was refused that is served now.

    served  ids of the models in service, as `Models.status` names them

    Returns the ids of the films. Their results, which hold no finding, are dropped.
    """
    rows = session.scalars(
        select(ImagingResultRow)
        .join(FilmRow, FilmRow.id == ImagingResultRow.film_id)
        .where(FilmRow.superseded_by.is_(None))
    )
    names = {model.removeprefix("vision-") for model in served}
    films = [row.film_id for row in rows if names & set(_missed(ImagingResult.model_validate(row.result)))]
    session.execute(delete(ImagingResultRow).where(ImagingResultRow.film_id.in_(films)))
    session.execute(update(FilmRow).where(FilmRow.id.in_(films)).values(status="received"))
    jobs = select(JobRow.id).where(JobRow.kind == "analyse_film", JobRow.subject_id.in_(films))
    begin_again(session, session.scalars(jobs).all(), at=at)
    return films


def _missed(result: ImagingResult) -> Iterator[str]:
    """Return the models that were not in service when a film was analysed, by what its result says."""
    if result.findings:
        return
    reasons = [*result.not_applicable.values(), *([result.rejection.reason] if result.rejection else [])]
    for reason in reasons:
        if reason.startswith(_NO_GATE):
            yield "gate"
        yield from _NOT_IN_SERVICE.findall(reason)
