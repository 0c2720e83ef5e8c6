"""Backup and restore: one tar file of the database, copied by SQLite's own online backup, and of the blobs.

A backup is whole or not there; a restore checks every file before it lays the database, last, into its place.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cds.errors import BackupError, ConfigurationError
from cds.settings import Settings

_DATABASE = "roentgen.sqlite3"
_BLOB = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_CHUNK = 1 << 20


def back_up(settings: Settings, target: Path) -> int:
    """Write a backup while the service runs; returns how many files it holds.

    The database is copied first: every blob that it names was synced before its row was committed, so the copy of
    the blobs, taken after, holds them all.
    """
    database = _sqlite_file(settings)
    if not database.is_file():
        raise ConfigurationError(f"data_dir {settings.data_dir}: no database there to back up")
    files = 1
    with _private_folder(settings.data_dir) as folder, _written(target) as archive:
        copy = folder / _DATABASE
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as destination:
            source.backup(destination)
        archive.add(copy, _DATABASE)
        for blob in sorted((settings.data_dir / "blobs").glob("??/*")):
            name = f"blobs/{blob.parent.name}/{blob.name}"
            if _BLOB.fullmatch(name):
                archive.add(blob, name)
                files += 1
    return files


def restore_from(settings: Settings, source: Path) -> int:
    """Lay a backup into a data folder that holds no database yet; returns how many files.

    Raises BackupError when the file is not a backup, or one that is damaged; then nothing was restored.
    """
    database = _sqlite_file(settings)
    if any(database.with_name(database.name + suffix).exists() for suffix in ("", "-wal", "-shm")):
        raise ConfigurationError(
            f"data_dir {settings.data_dir}: holds a database already; restore into an empty folder"
        )
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _private_folder(settings.data_dir) as folder:
        try:
            with tarfile.open(source) as archive:
                names = [_restored(archive, member, folder) for member in archive]
        except (tarfile.TarError, EOFError, OSError) as error:
            raise BackupError(f"{source}: cannot be read as a backup ({type(error).__name__})") from None
        if _DATABASE not in names:
            raise BackupError(f"{source}: holds no database; it is no backup of this program")
        _check(folder, source)
        for name in sorted(names, key=lambda name: name == _DATABASE):
            place = settings.data_dir / name
            for parent in reversed(place.relative_to(settings.data_dir).parents):
                (settings.data_dir / parent).mkdir(exist_ok=True, mode=0o700)
            (folder / name).replace(place)
            _sync(place.parent)
        for made in (settings.data_dir / "blobs", settings.data_dir):
            if made.is_dir():
                _sync(made)
    return len(names)


def _restored(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    """Write one member under `folder`, synced, and return its name; only names of a backup, and only plain files."""
    digest = _BLOB.fullmatch(member.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or not (digest or member.name == _DATABASE):
        raise BackupError(f"{archive.name!s}: a member is not a file of a backup")
    place = folder / member.name
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashed = hashlib.sha256()
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := content.read(_CHUNK):
            hashed.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if digest and hashed.hexdigest() != digest[2]:
        raise BackupError(f"{archive.name!s}: a blob is damaged")
    return member.name


def _check(folder: Path, source: Path) -> None:
    with closing(sqlite3.connect(folder / _DATABASE)) as connection:
        try:
            whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            blobs = [
                digest
                for table in ("film", "report")
                for (digest,) in connection.execute(f"SELECT DISTINCT sha256 FROM {table}")  # noqa: S608 - two constants
            ]
        except sqlite3.DatabaseError:
            raise BackupError(f"{source}: the database is damaged or not of this program") from None
    lacking = sum(not (folder / "blobs" / digest[:2] / digest).is_file() for digest in blobs)
    if not whole or lacking:
        raise BackupError(f"{source}: the database is damaged, or {lacking} films or reports it names are not there")


@contextmanager
def _written(target: Path) -> Iterator[tarfile.TarFile]:
    """A tar file, for its owner only, that takes its name when it is whole and on disk."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                yield archive
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync(target.absolute().parent)


@contextmanager
def _private_folder(data_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=data_dir, prefix=".backup-") as folder:
        yield Path(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sqlite_file(settings: Settings) -> Path:
    if settings.database_url:
        raise ConfigurationError(
            "database_url is set: back up that database with its own tools, and the blobs as files"
        )
    return settings.data_dir / _DATABASE
