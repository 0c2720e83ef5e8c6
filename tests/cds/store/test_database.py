"""The database: durable, its writers in turn, its errors without values, its version known."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from cds.errors import DatabaseVersionError
from cds.store import Database
from cds.store.films import recent_films
from cds.store.tables import JobRow


def test_the_database_is_durable_and_concurrent(database: Database) -> None:
    with database.reading() as session:
        pragmas = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")}
        assert session.execute(text("PRAGMA foreign_keys")).scalar() == 1
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_a_writer_waits_for_another_writer(database: Database) -> None:
    order: list[str] = []
    began = threading.Event()

    def first() -> None:
        with database.writing() as session:
            began.set()
            time.sleep(0.3)
            session.execute(text("DELETE FROM job"))
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    began.wait()
    with database.writing():
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_many_writers_of_one_process_all_come_to_their_turn(database: Database) -> None:
    failed: list[OperationalError] = []

    def write() -> None:
        for _ in range(5):
            try:
                with database.writing(patience_ms=5_000):
                    time.sleep(0.004)
            except OperationalError as error:
                failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_writer_waits_no_longer_than_its_patience_for_another_process(database: Database) -> None:
    other = Database(database.url)
    with other.writing(), pytest.raises(OperationalError, match="locked"), database.writing(patience_ms=20):
        pass
    with database.writing(patience_ms=20) as session:
        assert session.execute(text("SELECT count(*) FROM film")).scalar() == 0
    other.close()


def test_a_writer_without_patience_gives_up_and_a_reader_goes_on(database: Database) -> None:
    with database.writing(), database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM film")).scalar() == 0
        with pytest.raises(OperationalError, match="locked"), database.writing(patience_ms=20):
            pass


def test_an_error_of_the_database_names_no_value(database: Database, at: datetime) -> None:
    def job() -> JobRow:
        return JobRow(id="1", kind="PLANTED^NAME", subject_id="s", state="queued", due_at=at, created_at=at)

    with database.writing() as session:
        session.add(job())
    with pytest.raises(IntegrityError) as caught, database.writing() as session:
        session.add(job())
    assert "PLANTED" not in str(caught.value)


def test_nothing_of_a_failed_transaction_stays(database: Database, at: datetime) -> None:
    with contextlib.suppress(RuntimeError), database.writing() as session:
        session.add(JobRow(id="1", kind="k", subject_id="s", state="queued", due_at=at, created_at=at))
        session.flush()
        raise RuntimeError
    with database.reading() as session:
        assert session.get(JobRow, "1") is None


def test_migration_makes_the_tables_that_the_program_declares(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from cds.store.tables import Base

    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_migrating_twice_changes_nothing_and_a_newer_database_is_refused(database: Database) -> None:
    database.migrate()
    assert database.is_current()
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not database.is_current()
    with pytest.raises(DatabaseVersionError, match="newer"):
        database.migrate()
    with pytest.raises(DatabaseVersionError, match="migrate"):
        database.require_current()


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    stores = [Database(f"sqlite:///{tmp_path}/fresh.sqlite3") for _ in range(3)]
    failures: list[BaseException] = []

    def migrate(store: Database) -> None:
        try:
            store.migrate()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(store.is_current() for store in stores)
    for store in stores:
        store.close()


def test_times_without_a_zone_are_refused(database: Database) -> None:
    with database.reading() as session, pytest.raises(Exception, match="without zone"):
        recent_films(session, limit=1, before=datetime(2026, 1, 1))  # noqa: DTZ001
