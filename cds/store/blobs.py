"""A folder of files named by the sha256 of their content, synced to disk before a name is handed out.

File names carry no patient data.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from cds.errors import DamagedBlobError

_UNFINISHED = ".incoming-"
_ABANDONED_SECONDS = 3600


class BlobFolder:
    """Content-addressed files under `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
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
        if not _holds(target, data):
            self._write(target, data)
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
        if hashlib.sha256(data).hexdigest() != digest:
            raise DamagedBlobError(f"blob {digest[:12]} is not what was stored; restore it from a backup")
        return data

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


def _holds(target: Path, data: bytes) -> bool:
    return target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
