"""Films in the store: one result each, corrections over what they correct."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from cds.arrival import FilmArrivals
from cds.store import Database
from cds.store.films import film_by_id, films_of, recent_films, store_imaging_result
from cds.store.tables import JobRow
from vision import ImagingResult
from vision.result import Rejection

PATIENT = [("urn:oid:2.999.1", "4711")]


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
