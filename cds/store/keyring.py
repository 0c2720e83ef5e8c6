"""The keys of one data folder, in `keys.json`: made at random when first used, wrapped under the operator's key.

Knows no setting and no database. What the keys are for is told by their names: `audit`, `pseudonym`, `database`, ...
Without an operator's key they lie in the file as they are, readable by its owner only.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cds.errors import EncryptionKeyError

KEYS_FILE = "keys.json"
KEY_BYTES = 32
_NONCE_BYTES = 12


class Keyring:
    """Named random keys of 32 bytes in a data folder.

    master  the operator's key that wraps them; None leaves them plain
    """

    def __init__(self, folder: Path, master: bytes | None = None) -> None:
        self._folder = folder
        self._master = master
        self._known: dict[str, bytes] = {}

    def key(self, name: str) -> bytes:
        """Return a key, made and synced when there is none of that name.

        Raises EncryptionKeyError when the operator's key is not the one that the file was wrapped under.
        """
        if name not in self._known:
            self._known = self.read()
        if name not in self._known:
            with self.changing() as keys:
                keys.setdefault(name, secrets.token_bytes(KEY_BYTES))
        return self._known[name]

    def read(self) -> dict[str, bytes]:
        """Return every key as the file holds them now. Raises EncryptionKeyError."""
        file = self._folder / KEYS_FILE
        if not file.is_file():
            return {}
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
            wrapped, entries = bool(document["wrapped"]), dict(document["keys"])
            stored = {name: base64.b64decode(text, validate=True) for name, text in entries.items()}
        except (ValueError, KeyError, TypeError):
            raise EncryptionKeyError(f"{file}: damaged; restore it from a backup") from None
        if wrapped != (self._master is not None):
            raise EncryptionKeyError(
                f"{file}: the keys are wrapped and no key is given; set CDS_ENCRYPTION_KEY_FILE"
                if wrapped
                else f"{file}: this data folder is not encrypted yet; run `cds encrypt`"
            )
        return {name: self._unwrapped(name, value) for name, value in stored.items()}

    @contextmanager
    def changing(self, master: bytes | None = None) -> Iterator[dict[str, bytes]]:
        """Hand out the keys to be changed; what is in them at the end is the file, whole and synced, or nothing is.

        master  wrap them under this key from now on
        """
        with _locked(self._folder):
            keys = self.read()
            yield keys
            self._master = master if master is not None else self._master
            self._write(keys)
            self._known = dict(keys)

    @property
    def is_wrapped(self) -> bool:
        """Whether an operator's key protects the keys."""
        return self._master is not None

    def _unwrapped(self, name: str, value: bytes) -> bytes:
        if self._master is None:
            return value
        try:
            return AESGCM(self._master).decrypt(value[:_NONCE_BYTES], value[_NONCE_BYTES:], name.encode())
        except InvalidTag:
            raise EncryptionKeyError(
                f"{self._folder / KEYS_FILE}: the encryption key given is not the one of this data folder"
            ) from None

    def _wrapped(self, name: str, key: bytes) -> bytes:
        if self._master is None:
            return key
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._master).encrypt(nonce, key, name.encode())

    def _write(self, keys: Mapping[str, bytes]) -> None:
        entries = {name: base64.b64encode(self._wrapped(name, key)).decode("ascii") for name, key in keys.items()}
        text = json.dumps({"wrapped": self._master is not None, "keys": entries}, indent=1)
        unfinished = self._folder / f".{KEYS_FILE}.writing"
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._folder / KEYS_FILE)
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time; the lock ends with the process that holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
