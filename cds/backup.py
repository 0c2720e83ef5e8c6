"""Backup and restore: one tar file of the database, copied by SQLite's own online backup, and of the blobs."""

from __future__ import annotations

import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from cds.errors import ConfigurationError
from cds.settings import Settings

_DATABASE = "roentgen.sqlite3"


def back_up(settings: Settings, target: Path) -> int:
    """Write a backup while the service runs; returns how many files it holds.

    The database is copied first: every blob that it names was synced before its row was committed, so the copy of
    the blobs, taken after, holds them all.
    """
    database = _sqlite_file(settings)
    if not database.is_file():
        raise ConfigurationError(f"data_dir {settings.data_dir}: no database there to back up")
    files = 1
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder, tarfile.open(target, "w") as archive:
        copy = Path(folder) / _DATABASE
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as destination:
            source.backup(destination)
        archive.add(copy, _DATABASE)
        for blob in sorted((settings.data_dir / "blobs").glob("??/*")):
            if not blob.name.startswith("."):
                archive.add(blob, f"blobs/{blob.parent.name}/{blob.name}")
                files += 1
    target.chmod(0o600)
    return files


def restore_from(settings: Settings, source: Path) -> int:
    """Lay a backup into a data folder that holds no database yet; returns how many files."""
    database = _sqlite_file(settings)
    if database.exists():
        raise ConfigurationError(f"data_dir {settings.data_dir}: holds a database already; restore into an empty folder")
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tarfile.open(source) as archive:
        members = archive.getmembers()
        archive.extractall(settings.data_dir, members=members, filter="data")
    return len(members)


def _sqlite_file(settings: Settings) -> Path:
    if settings.database_url:
        raise ConfigurationError("database_url is set: back up that database with its own tools, and the blobs as files")
    return settings.data_dir / _DATABASE
