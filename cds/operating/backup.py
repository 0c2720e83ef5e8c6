"""Backup and restore: one tar file of the databases, copied by SQLite's own online backup, of the keys and the blobs.

A backup is whole or not there; a restore checks every file before it lays the database, last, into its place. What is
encrypted stays encrypted: a backup is read with the operator's key, which is not in it.
"""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlcipher3 import dbapi2 as sqlcipher

from cds.audit.trail import AUDIT_FILE
from cds.errors import BackupError, ConfigurationError, DamagedBlobError
from cds.operating.vault import Vault, master_key
from cds.settings import DATABASE_FILE, Settings
from cds.store.blobs import BlobFolder
from cds.store.encryption import BlobCipher, connect
from cds.store.keyring import KEYS_FILE, Keyring

_DATABASES = (DATABASE_FILE, AUDIT_FILE)
_BLOB = re.compile(r"blobs/([0-9a-f]{2})/(\1[0-9a-f]{62})")
_NAMED_BLOBS = "SELECT sha256 FROM film UNION SELECT sha256 FROM report"
_CHUNK = 1 << 20


def back_up(settings: Settings, target: Path) -> int:
    """Write a backup while the service runs; returns how many files it holds.

    The database is copied first: every blob that it names was synced before its row was committed, so the copy of
    the blobs, taken after, holds them all.
    """
    database = _sqlite_file(settings)
    if not database.is_file():
        raise ConfigurationError(f"data_dir {settings.data_dir}: no database there to back up")
    files = 0
    vault = Vault(settings.data_dir, Keyring(settings.data_dir, master_key(settings)))
    with closing(vault), _private_folder(settings.data_dir) as folder, _written(target) as archive:
        for name in _DATABASES:
            if (settings.data_dir / name).is_file():
                _copy(settings.data_dir / name, folder / name, vault.database_key(settings.data_dir / name))
                archive.add(folder / name, name)
                files += 1
        if (settings.data_dir / KEYS_FILE).is_file():
            archive.add(settings.data_dir / KEYS_FILE, KEYS_FILE)
            files += 1
        for blob in sorted((settings.data_dir / "blobs").glob("??/*")):
            name = f"blobs/{blob.parent.name}/{blob.name}"
            if _BLOB.fullmatch(name):
                archive.add(blob, name)
                files += 1
    return files


def _copy(database: Path, copy: Path, key: bytes | None) -> None:
    with closing(connect(database, key)) as source, closing(connect(copy, key)) as destination:
        source.backup(destination)


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
        if DATABASE_FILE not in names:
            raise BackupError(f"{source}: holds no database; it is no backup of this program")
        _check(folder, source, Keyring(folder, master_key(settings)))
        for name in sorted(names, key=lambda name: name == DATABASE_FILE):
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
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or not (_BLOB.fullmatch(member.name) or member.name in (*_DATABASES, KEYS_FILE)):
        raise BackupError(f"{archive.name!s}: a member is not a file of a backup")
    place = folder / member.name
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := content.read(_CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return member.name


def _check(folder: Path, source: Path, keyring: Keyring) -> None:
    """Raise BackupError unless all is whole, EncryptionKeyError where the key is not that of the backup."""
    with closing(Vault(folder, keyring)) as vault:
        blobs = BlobFolder(folder / "blobs", BlobCipher(keyring.read) if keyring.is_wrapped else None)
        try:
            for digest in blobs.digests():
                blobs.get(digest)
        except DamagedBlobError:
            raise BackupError(f"{source}: a blob is damaged") from None
        named: set[str] = set()
        for name in filter(lambda name: (folder / name).is_file(), _DATABASES):
            with closing(connect(folder / name, vault.database_key(folder / name))) as connection:
                try:
                    whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    if name == DATABASE_FILE:
                        named = {row[0] for row in connection.execute(_NAMED_BLOBS)}
                except sqlcipher.DatabaseError:
                    raise BackupError(f"{source}: the database is damaged or not of this program") from None
            if not whole:
                raise BackupError(f"{source}: the database {name} is damaged")
    lacking = sum(not blobs.path(digest).is_file() for digest in named)
    if lacking:
        raise BackupError(f"{source}: {lacking} films or reports that the database names are not there")


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
    return settings.data_dir / DATABASE_FILE
