"""The database: engine, transactions and migrations.

SQLite runs in WAL mode with full synchronisation; a writing transaction takes the write lock at its start, so two
writers wait for each other instead of failing half-way. Threads of one process queue for it here, and the first of
them looks every millisecond whether another process is done: SQLite's own pauses grow to a tenth of a second, so that
of many who wait the latest comes first and the others last. Errors never carry the values of a statement.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlcipher3 import dbapi2 as sqlcipher

from cds.errors import DatabaseVersionError
from cds.store.encryption import give_key

PATIENCE_MS = 10_000
_LOOK_AGAIN_SECONDS = 0.001
_MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Sessions on one database URL.

    key  of an encrypted SQLite file (SQLCipher)
    """

    def __init__(self, url: str, key: bytes | None = None) -> None:
        self.url = url
        self.engine = _engine(url, key)
        self._writers: dict[int, Engine] = {}
        self._queue = threading.Lock() if url.startswith("sqlite") else None

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for reading."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, patience_ms: int = PATIENCE_MS) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back on an error.

        patience_ms  how long to wait for another writer of SQLite, once for one of this process and once for one of
                     another; then sqlalchemy.exc.OperationalError
        """
        if patience_ms not in self._writers:
            self._writers[patience_ms] = self.engine.execution_options(writing=True, patience_ms=patience_ms)
        engine = self._writers[patience_ms]
        with self._turn(patience_ms), Session(engine, expire_on_commit=False) as session, session.begin():
            session.connection()
            yield session

    @contextmanager
    def _turn(self, patience_ms: int) -> Iterator[None]:
        if self._queue is None:
            yield
            return
        if not self._queue.acquire(timeout=patience_ms / 1000):
            raise OperationalError("BEGIN IMMEDIATE", None, TimeoutError("locked by another thread"))
        try:
            yield
        finally:
            self._queue.release()

    def migrate(self) -> None:
        """Bring the tables to the version of this program. Raises DatabaseVersionError when they are newer."""
        with self.engine.execution_options(writing=True).begin() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            known = {script.revision for script in _scripts().walk_revisions()}
            if current is not None and current not in known:
                raise DatabaseVersionError("the database was made by a newer version of this program; use that version")
            command.upgrade(_alembic(connection), "head")

    def is_current(self) -> bool:
        """Whether the tables are at the version of this program."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == _scripts().get_current_head()

    def require_current(self) -> None:
        """Raise DatabaseVersionError unless the tables are at the version of this program."""
        if not self.is_current():
            raise DatabaseVersionError("the database is not at the version of this program; run `cds migrate`")

    def close(self) -> None:
        self.engine.dispose()


def _engine(url: str, key: bytes | None) -> Engine:
    if key is not None:
        engine = create_engine(url, module=sqlcipher, hide_parameters=True)
        event.listen(engine, "connect", lambda connection, _: give_key(connection, key))
    else:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
    if url.startswith("sqlite"):
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={PATIENCE_MS}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options: Any = connection.get_execution_options()
    driver: Any = connection.connection.driver_connection
    if not options.get("writing", False):
        driver.execute("BEGIN")  # takes no lock, so there is no error to translate
        return
    until = time.monotonic() + int(options.get("patience_ms", PATIENCE_MS)) / 1000
    driver.execute("PRAGMA busy_timeout=0")
    try:
        while not _begun(driver) and time.monotonic() < until:
            time.sleep(_LOOK_AGAIN_SECONDS)
        if not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        driver.execute(f"PRAGMA busy_timeout={PATIENCE_MS}")


def _begun(driver: Any) -> bool:
    """Begin writing, unless another process does; what else is wrong is left for the caller to meet."""
    try:
        driver.execute("BEGIN IMMEDIATE")
    except (sqlite3.OperationalError, sqlcipher.OperationalError) as error:
        return "locked" not in str(error)
    return True


def _alembic(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_alembic())
