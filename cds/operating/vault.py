"""A data folder and its keys: opens what is encrypted, encrypts what is plain, and changes the keys.

    the operator's key  ->  wraps keys.json  ->  one key of the databases, numbered keys of the blobs

`encrypt` and `rotate` may be cut off at any point and are run again: what is done already is passed over.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cds.audit.trail import AUDIT_FILE
from cds.errors import ConfigurationError, DamagedBlobError, EncryptionKeyError, StoreError
from cds.settings import DATABASE_FILE, Settings
from cds.store.blobs import BlobFolder
from cds.store.encryption import (
    DATABASE_KEY,
    BlobCipher,
    blob_key_name,
    connect,
    is_plain,
    newest_number,
    opens,
    raw,
    read_key,
    read_key_file,
    sealed_under,
)
from cds.store.keyring import KEY_BYTES, Keyring

_NEXT_KEY = f"{DATABASE_KEY}.next"
_IN_USE = ".in-use"
_COPY = ".encrypting-"
_DATABASES = (DATABASE_FILE, AUDIT_FILE)


def master_key(settings: Settings) -> bytes | None:
    """Return the operator's key; None where the data are not encrypted. Raises EncryptionKeyError."""
    if settings.encryption_key_file is not None:
        return read_key_file(settings.encryption_key_file)
    if settings.encryption_key is not None:
        return read_key(settings.encryption_key.get_secret_value(), "CDS_ENCRYPTION_KEY")
    return None


class Vault:
    """Opens the parts of one data folder; while it is there, nobody encrypts the folder or changes its keys."""

    def __init__(self, folder: Path, keyring: Keyring) -> None:
        self._keyring = keyring
        self._release = weakref.finalize(self, os.close, _lock(folder, fcntl.LOCK_SH))
        if _NEXT_KEY in keyring.read():
            raise EncryptionKeyError(f"{folder}: a change of keys was cut off; run `cds rotate-key --data` again")

    def close(self) -> None:
        """Let others have the folder alone."""
        self._release()

    def database_key(self, file: Path) -> bytes | None:
        """Return the key of a database file; None where nothing is encrypted. Raises EncryptionKeyError."""
        if not self._keyring.is_wrapped:
            return None
        if is_plain(file):
            raise EncryptionKeyError(f"{file}: not encrypted yet, though a key is given; run `cds encrypt`")
        return self._keyring.key(DATABASE_KEY)

    def blob_cipher(self) -> BlobCipher | None:
        """Return what seals blobs; None where nothing is encrypted."""
        if not self._keyring.is_wrapped:
            return None
        if not newest_number(self._keyring.read()):
            self._keyring.key(blob_key_name(1))
        return BlobCipher(self._keyring.read)


def encrypt_folder(folder: Path, master: bytes) -> int:
    """Encrypt a data folder in place; returns how many files were. What is encrypted already stays as it is.

    Raises StoreError when a service uses the folder, EncryptionKeyError when it is encrypted under another key.
    """
    with _alone(folder):
        keyring = _wrapped(folder, master)
        changed = sum(_recoded(folder / name, None, keyring.key(DATABASE_KEY)) for name in _DATABASES)
        return changed + _sealed_anew(folder, keyring)


def rotate_master(folder: Path, master: bytes, new: bytes) -> None:
    """Wrap the keys of a folder under another operator's key: one file, replaced whole. A service may run."""
    if new == master:
        raise ConfigurationError("the new key is the old one")
    with Keyring(folder, master).changing(new):
        pass


def rotate_data_keys(folder: Path, master: bytes) -> int:
    """Give databases and blobs new keys; returns how many files were encrypted anew.

    Raises StoreError when a service uses the folder, EncryptionKeyError when it is not encrypted under this key.
    """
    with _alone(folder):
        keyring = Keyring(folder, master)
        with keyring.changing() as keys:
            if DATABASE_KEY not in keys or not newest_number(keys):
                raise EncryptionKeyError(f"{folder}: not encrypted yet; run `cds encrypt`")
            if _NEXT_KEY not in keys:
                keys[_NEXT_KEY] = secrets.token_bytes(KEY_BYTES)
                keys[blob_key_name(newest_number(keys) + 1)] = secrets.token_bytes(KEY_BYTES)
        old, new = keyring.key(DATABASE_KEY), keyring.key(_NEXT_KEY)
        changed = sum(_recoded(folder / name, old, new) for name in _DATABASES)
        changed += _sealed_anew(folder, keyring)
        with keyring.changing() as keys:
            keys[DATABASE_KEY] = keys.pop(_NEXT_KEY)
            for number in range(1, newest_number(keys)):
                keys.pop(blob_key_name(number), None)
        return changed


def _wrapped(folder: Path, master: bytes) -> Keyring:
    """Return the keyring of a folder, wrapped now if it was not."""
    keyring = Keyring(folder, master)
    with suppress(EncryptionKeyError):
        keyring.read()
        return keyring
    plain = Keyring(folder)
    with plain.changing(master):
        pass
    return plain


def _recoded(file: Path, old: bytes | None, new: bytes) -> bool:
    """Encrypt a database file under another key; False where there is none, or it is so already.

    The copy is whole and synced before it takes the name, and the write-ahead log is empty and gone before that.
    """
    for leftover in file.parent.glob(f"{_COPY}{file.name}*"):
        leftover.unlink()
    if not file.is_file() or (not is_plain(file) and opens(file, new)):
        return False
    copy = file.with_name(f"{_COPY}{file.name}")
    source = connect(file, old)
    try:
        if source.execute("PRAGMA journal_mode = DELETE").fetchone() != ("delete",):
            raise StoreError(f"{file}: in use by another process; stop the service first")
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        source.execute(f"ATTACH DATABASE ? AS recoded KEY {raw(new)}", (str(copy),))
        source.execute("PRAGMA recoded.synchronous = OFF")
        source.execute("SELECT sqlcipher_export('recoded')")
        source.execute("DETACH DATABASE recoded")
    finally:
        source.close()
    _check_whole(copy, new)
    _sync(copy)
    copy.replace(file)
    _sync(file.parent)
    return True


def _check_whole(copy: Path, key: bytes) -> None:
    connection = connect(copy, key)
    try:
        whole = connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    if not whole:
        raise StoreError(f"{copy}: the encrypted copy is not whole; nothing was changed")


def _sealed_anew(folder: Path, keyring: Keyring) -> int:
    """Seal every blob under the newest key; returns how many were not yet. A damaged one is left as it is."""
    if not newest_number(keyring.read()):
        keyring.key(blob_key_name(1))
    cipher = BlobCipher(keyring.read)
    blobs = BlobFolder(folder / "blobs", cipher)
    blobs.drop_derived()
    changed = 0
    for digest in blobs.digests():
        if sealed_under(blobs.head(digest)) != cipher.newest:
            with suppress(DamagedBlobError):
                blobs.seal_anew(digest)
                changed += 1
    return changed


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a data folder alone. Raises StoreError when another process uses it."""
    descriptor = _lock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, kind: int) -> int:
    descriptor = os.open(folder / _IN_USE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(
            f"{folder}: in use by another process"
            + ("; stop the service first" if kind == fcntl.LOCK_EX else ", which changes its keys; try again after")
        ) from None
    return descriptor


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
