"""A folder of files named by the sha256 of their content, synced to disk before a name is handed out.

File names carry no patient data. With a cipher the files are sealed, each bound to its name.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cds.errors import DamagedBlobError, EncryptionKeyError
from cds.store.encryption import BlobCipher

_UNFINISHED = ".incoming-"
_DERIVED = "derived"
_ABANDONED_SECONDS = 3600


class BlobFolder:
    """Content-addressed files under `root`, sealed by `cipher` if there is one."""

    def __init__(self, root: Path, cipher: BlobCipher | None = None) -> None:
        self.root = root
        self._cipher = cipher
        if not root.is_dir():
            root.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(root.parent)

    def put(self, data: bytes) -> str:
        """Write `data` durably and return its sha256; writing the same twice keeps one file."""
        digest = hashlib.sha256(data).hexdigest()
        target = self.path(digest)
        if not target.parent.is_dir():
            target.parent.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(self.root)
        if self._holds(digest, data):
            os.utime(target)
        else:
            self._write(target, self._cipher.seal(digest, data) if self._cipher else data)
        _sync_folder(target.parent)
        return digest

    def _write(self, target: Path, data: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def get(self, digest: str) -> bytes:
        """Return the content of a blob. Raises FileNotFoundError or DamagedBlobError."""
        data = self.path(digest).read_bytes()
        if self._cipher is not None:
            data = self._cipher.open(digest, data)
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedBlobError(f"blob {digest[:12]} is not what was stored; restore it from a backup")
        return data

    def derived(self, digest: str, kind: str, make: Callable[[bytes], bytes]) -> bytes:
        """Return what is made of a blob, such as a picture: kept, sealed like the blob, and gone with it.

        kind  of what is made, as part of a file name; another one when it is made otherwise

        It is made anew where it cannot be read, so it needs no backup. Raises what `get` and `make` raise.
        """
        name = f"{digest}.{kind}"
        path = self.root / _DERIVED / name
        with contextlib.suppress(FileNotFoundError, DamagedBlobError, EncryptionKeyError):
            kept = path.read_bytes()
            return self._cipher.open(name, kept) if self._cipher else kept
        made = make(self.get(digest))
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True, mode=0o700)
            self._write(path, self._cipher.seal(name, made) if self._cipher else made)
            if not self.path(digest).is_file():
                path.unlink()
        return made

    def drop_derived(self, digest: str = "*") -> None:
        """Remove what was made of a blob, or of all of them."""
        for path in self.root.glob(f"{_DERIVED}/{digest}.*"):
            path.unlink(missing_ok=True)

    def _holds(self, digest: str, data: bytes) -> bool:
        try:
            return self.get(digest) == data
        except (DamagedBlobError, EncryptionKeyError, FileNotFoundError):
            return False

    def seal_anew(self, digest: str) -> None:
        """Write a blob once more as the cipher writes it now. Raises DamagedBlobError."""
        data, target = self.get(digest), self.path(digest)
        self._write(target, self._cipher.seal(digest, data) if self._cipher else data)
        _sync_folder(target.parent)

    def lain_since(self, digest: str) -> datetime:
        """Return since when nobody has written a blob, nor sent its content once more."""
        return datetime.fromtimestamp(self.path(digest).stat().st_mtime, UTC)

    def remove(self, digest: str) -> None:
        """Remove a blob that nothing names any more, and what was made of it."""
        self.drop_derived(digest)
        self.path(digest).unlink(missing_ok=True)

    def head(self, digest: str) -> bytes:
        """Return the first bytes of a blob as they lie on disk."""
        with self.path(digest).open("rb") as file:
            return file.read(64)

    def digests(self) -> Iterator[str]:
        """Yield the names of the blobs."""
        for path in sorted(self.root.glob("??/*")):
            if not path.name.startswith(_UNFINISHED):
                yield path.name

    def path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest

    def drop_unfinished(self) -> int:
        """Remove what a crash left half written, an hour ago or more; returns how many files.

        What is younger may be in writing by another process.
        """
        removed = 0
        for leftover in self.root.glob(f"*/{_UNFINISHED}*"):
            try:
                if leftover.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    leftover.unlink()
                    removed += 1
            except FileNotFoundError:
                continue
        return removed


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
