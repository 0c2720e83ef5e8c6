"""Radiographs in the store: arrival, result, and which of them belong to a patient's identifiers.

An arrival is one transaction: the row of the film and the job that will analyse it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, tuple_
from sqlalchemy.orm import Session

from cds.jobs.queue import enqueue
from cds.store.tables import FilmRow, ImagingResultRow
from vision import ImagingResult

PRIOR = "prior"
"""Source of a film that was fetched to compare another with: analysed, but on no worklist, and answered by nothing."""

_NAMED = (
    select(FilmRow)
    .where(
        or_(
            tuple_(FilmRow.identifier_system, FilmRow.identifier_value).in_(bindparam("identifiers", expanding=True)),
            FilmRow.identifier_system.is_(None) & FilmRow.identifier_value.in_(bindparam("values", expanding=True)),
            FilmRow.accession.in_(bindparam("accessions", expanding=True)),
            FilmRow.study_instance_uid.in_(bindparam("studies", expanding=True)),
        ),
        FilmRow.superseded_by.is_(None),
    )
    .order_by(FilmRow.received_at.desc())
)
_RESULTS = select(ImagingResultRow.film_id, ImagingResultRow.result).where(
    ImagingResultRow.film_id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True)
class FilmHeader:
    """What an arrival reads of a DICOM film: identity and technique, no pixels, no name."""

    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    identifier_system: str | None
    identifier_value: str | None
    accession_system: str | None
    accession: str | None
    birth_date: date | None
    sex: str | None
    taken_at: datetime | None


@dataclass(frozen=True)
class StoredFilm:
    """A film with its result, if it has one."""

    row: FilmRow
    result: ImagingResult | None


def add_film(session: Session, header: FilmHeader, sha256: str, *, source: str, at: datetime) -> tuple[FilmRow, bool]:
    """Store an arrival and queue its analysis; returns the film and whether it is new.

    The same instance with the same bytes is the same film; with other bytes it is a correction and supersedes the
    earlier versions. A version once superseded stays so, though it be sent again. A prior that arrives by itself is one
    no more.
    """
    same = session.scalar(
        select(FilmRow).where(FilmRow.sop_instance_uid == header.sop_instance_uid, FilmRow.sha256 == sha256)
    )
    if same is not None:
        if same.source == PRIOR:
            same.source = source
        return same, False
    film = FilmRow(id=str(uuid.uuid4()), sha256=sha256, source=source, received_at=at, status="received")
    for name in FilmHeader.__dataclass_fields__:
        setattr(film, name, getattr(header, name))
    earlier = session.scalars(
        select(FilmRow).where(FilmRow.sop_instance_uid == header.sop_instance_uid, FilmRow.superseded_by.is_(None))
    ).all()
    session.add(film)
    session.flush()
    for row in earlier:
        row.superseded_by = film.id
    enqueue(session, "analyse_film", film.id, at=at)
    return film, True


def store_imaging_result(session: Session, film_id: str, result: ImagingResult, *, at: datetime) -> bool:
    """Store the one result of a film; False when it has one already."""
    if session.get(ImagingResultRow, film_id) is not None:
        return False
    rejected = result.rejection.code if result.rejection else None
    session.add(
        ImagingResultRow(film_id=film_id, result=result.model_dump(mode="json"), rejected=rejected, stored_at=at)
    )
    film = session.get_one(FilmRow, film_id)
    film.status = "rejected" if rejected else "analysed"
    return True


def film_by_id(session: Session, film_id: str) -> StoredFilm | None:
    row = session.get(FilmRow, film_id)
    return None if row is None else with_results(session, [row])[0]


def films_of(
    session: Session,
    identifiers: Iterable[tuple[str, str]],
    *,
    accessions: Sequence[str] = (),
    studies: Sequence[str] = (),
) -> list[StoredFilm]:
    """Return current films that an identifier, an accession number or a study names, newest first, with results."""
    return with_results(session, films_named(session, identifiers, accessions=accessions, studies=studies))


def films_named(
    session: Session,
    identifiers: Iterable[tuple[str, str]],
    *,
    accessions: Sequence[str] = (),
    studies: Sequence[str] = (),
) -> list[FilmRow]:
    """Return current films that an identifier, an accession number or a study names, newest first.

    Whether a film may be joined with a patient is decided by `cds.assessing.identity`, not here.
    """
    wanted = list(identifiers)
    names = {
        "identifiers": wanted,
        "values": [value for _, value in wanted],
        "accessions": list(accessions),
        "studies": list(studies),
    }
    return sorted(session.scalars(_NAMED, names).all(), key=_time_of, reverse=True)


def recent_films(
    session: Session, *, limit: int, before: datetime | None = None, after: tuple[datetime, str] | None = None
) -> list[StoredFilm]:
    """Return current films by arrival, newest first.

    after  time of arrival and id of the film that the listing goes on after
    """
    query = (
        select(FilmRow)
        .where(FilmRow.superseded_by.is_(None), FilmRow.source != PRIOR)
        .order_by(FilmRow.received_at.desc(), FilmRow.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(FilmRow.received_at < before)
    if after is not None:
        query = query.where(tuple_(FilmRow.received_at, FilmRow.id) < tuple_(*after))
    return with_results(session, session.scalars(query).all())


def with_results(session: Session, rows: Sequence[FilmRow]) -> list[StoredFilm]:
    """Return films with the results they have."""
    if not rows:
        return []
    results: dict[str, Any] = {
        found[0]: found[1] for found in session.execute(_RESULTS, {"ids": [row.id for row in rows]})
    }
    return [
        StoredFilm(row, ImagingResult.model_validate(results[row.id]) if row.id in results else None) for row in rows
    ]


def _time_of(row: FilmRow) -> datetime:
    return row.taken_at or row.received_at
