"""Blobs: synced before they are acknowledged, named by their content, whole or noticed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cds.errors import DamagedBlobError
from cds.store import BlobFolder
from cds.store.encryption import BlobCipher, blob_key_name


def test_a_blob_is_named_by_its_content_and_kept_once(blobs: BlobFolder) -> None:
    assert blobs.put(b"film") == blobs.put(b"film")
    assert blobs.get(blobs.put(b"film")) == b"film"
    assert len(list(blobs.root.glob("??/*"))) == 1


def test_a_blob_and_its_folder_are_synced_before_its_name_is_known(
    blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    place = blobs.path(blobs.put(b"film"))
    assert any(Path(name).parent == place.parent and ".incoming-" in name for name in synced)
    assert synced[-1] == str(place.parent)
    assert str(blobs.root) in synced
    synced.clear()
    blobs.put(b"film")
    assert str(place.parent) in synced


def test_a_torn_or_changed_blob_is_noticed_and_mended_by_the_next_arrival(blobs: BlobFolder) -> None:
    digest = blobs.put(b"film")
    blobs.path(digest).write_bytes(b"fil")
    with pytest.raises(DamagedBlobError):
        blobs.get(digest)
    assert blobs.get(blobs.put(b"film")) == b"film"


def test_a_failed_write_leaves_nothing_behind(blobs: BlobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"film")
    assert not [path for path in blobs.root.rglob("*") if path.is_file()]


def test_clearing_up_spares_what_another_process_is_writing(blobs: BlobFolder) -> None:
    folder = blobs.path(blobs.put(b"film")).parent
    fresh, old = folder / ".incoming-fresh", folder / ".incoming-old"
    fresh.write_bytes(b"x")
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    assert blobs.drop_unfinished() == 1
    assert fresh.exists()
    assert not old.exists()


def test_what_is_made_of_a_blob_is_made_once_and_gone_with_it(blobs: BlobFolder) -> None:
    digest, made = blobs.put(b"film"), list[bytes]()

    def make(data: bytes) -> bytes:
        made.append(data)
        return b"picture of " + data

    assert blobs.derived(digest, "png", make) == blobs.derived(digest, "png", make) == b"picture of film"
    assert made == [b"film"]
    assert list(blobs.digests()) == [digest], "it needs no backup"
    blobs.remove(digest)
    assert not list(blobs.root.glob("derived/*"))


def test_what_was_made_of_a_sealed_blob_is_sealed_and_made_anew_where_its_key_is_gone(tmp_path: Path) -> None:
    def blobs(key: bytes) -> BlobFolder:
        return BlobFolder(tmp_path / "blobs", BlobCipher(lambda: {blob_key_name(1): key}))

    digest = blobs(b"1" * 32).put(b"film")
    blobs(b"1" * 32).derived(digest, "png", lambda data: b"picture of " + data)
    (kept,) = (tmp_path / "blobs" / "derived").iterdir()
    assert b"picture" not in kept.read_bytes()
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert blobs(b"1" * 32).derived(digest, "png", lambda data: b"again " + data) == b"again film"


def test_blobs_are_for_their_owner_only(blobs: BlobFolder) -> None:
    place = blobs.path(blobs.put(b"film"))
    assert place.stat().st_mode & 0o077 == 0
    assert blobs.root.stat().st_mode & 0o077 == 0
