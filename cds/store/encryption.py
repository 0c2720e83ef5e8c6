"""Encryption at rest: SQLCipher for databases, AES-256-GCM for blobs, and the form of an operator's key.

Knows no settings file and no service. A database key is raw (no password is stretched): 32 random bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlcipher3 import dbapi2 as sqlcipher

from cds.errors import DamagedBlobError, EncryptionKeyError
from cds.store.keyring import KEY_BYTES

DATABASE_KEY = "database"
BLOB_KEY = "blob"
_PLAIN_HEADER = b"SQLite format 3\x00"
_MAGIC = b"RCDSBLB1"
_NONCE_BYTES = 12
_NUMBER_BYTES = 4
_HEAD_BYTES = len(_MAGIC) + _NUMBER_BYTES + _NONCE_BYTES


def read_key(text: str, source: str) -> bytes:
    """Return an operator's key of 64 hexadecimal digits. Raises EncryptionKeyError, without the text."""
    try:
        key = bytes.fromhex(text.strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(set(key)) < 8:
        raise EncryptionKeyError(f"{source}: not a key of 64 random hexadecimal digits (`openssl rand -hex 32`)")
    return key


def read_key_file(file: Path) -> bytes:
    """Return the operator's key in a file. Raises EncryptionKeyError."""
    try:
        return read_key(file.read_text(encoding="ascii"), str(file))
    except OSError as error:
        raise EncryptionKeyError(f"{file}: the encryption key cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise EncryptionKeyError(f"{file}: not a key of 64 hexadecimal digits") from None


def is_plain(file: Path) -> bool:
    """Whether a file is a database that is not encrypted."""
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(len(_PLAIN_HEADER)) == _PLAIN_HEADER


def connect(file: Path, key: bytes | None) -> Any:
    """Return a connection of the DB-API to a database file, encrypted under `key` or plain."""
    connection = sqlcipher.connect(str(file))
    give_key(connection, key)
    return connection


def give_key(connection: Any, key: bytes | None) -> None:
    """Open what an encrypted database holds, and keep SQLCipher from writing to standard error by itself."""
    connection.execute("PRAGMA cipher_log_level = NONE")
    if key is not None:
        connection.execute(f"PRAGMA key = {raw(key)}")


def raw(key: bytes) -> str:
    """Return a database key as SQLCipher takes one that is not a password."""
    return f"\"x'{key.hex()}'\""


def opens(file: Path, key: bytes | None) -> bool:
    """Whether a database file can be read with this key."""
    connection = connect(file, key)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlcipher.DatabaseError:
        return False
    else:
        return True
    finally:
        connection.close()


class BlobCipher:
    """Seals blobs, each bound to its name, so that one cannot stand for another.

    keys  the keys of the data folder, read anew when a blob names one that is not known yet
    """

    def __init__(self, keys: Callable[[], dict[str, bytes]]) -> None:
        self._read = keys
        self._known = _numbered(keys())

    @property
    def newest(self) -> int:
        """Number of the key that new blobs are sealed under."""
        return max(self._known)

    def seal(self, name: str, data: bytes) -> bytes:
        """Return what is written of a blob."""
        number = self.newest
        head = _MAGIC + number.to_bytes(_NUMBER_BYTES, "big") + secrets.token_bytes(_NONCE_BYTES)
        return head + AESGCM(self._known[number]).encrypt(head[-_NONCE_BYTES:], data, _bound(head, name))

    def open(self, name: str, sealed: bytes) -> bytes:
        """Return the content of a blob as it was written. Raises DamagedBlobError or EncryptionKeyError."""
        head = sealed[:_HEAD_BYTES]
        number = sealed_under(sealed)
        if number is None:
            return sealed
        if number not in self._known:
            self._known = _numbered(self._read())
        if number not in self._known:
            raise EncryptionKeyError(f"blob {name[:12]}: its key is not among the keys of this data folder")
        try:
            return AESGCM(self._known[number]).decrypt(head[-_NONCE_BYTES:], sealed[_HEAD_BYTES:], _bound(head, name))
        except InvalidTag:
            raise DamagedBlobError(f"blob {name[:12]} is not what was stored; restore it from a backup") from None


def sealed_under(sealed: bytes) -> int | None:
    """Return the number of the key that a blob is sealed under; None where it is plain."""
    if not sealed.startswith(_MAGIC) or len(sealed) < _HEAD_BYTES:
        return None
    return int.from_bytes(sealed[len(_MAGIC) : len(_MAGIC) + _NUMBER_BYTES], "big")


def blob_key_name(number: int) -> str:
    """Return under which name the keyring has a key of blobs."""
    return f"{BLOB_KEY}.{number}"


def newest_number(names: Iterable[str]) -> int:
    """Return the number of the newest key of blobs among names of keys; 0 where there is none."""
    return max((int(name.split(".")[1]) for name in names if name.startswith(f"{BLOB_KEY}.")), default=0)


def _numbered(keys: dict[str, bytes]) -> dict[int, bytes]:
    return {int(name.split(".")[1]): key for name, key in keys.items() if name.startswith(f"{BLOB_KEY}.")}


def _bound(head: bytes, name: str) -> bytes:
    return head[:-_NONCE_BYTES] + name.encode("ascii")
