"""Encryption at rest: nothing readable lies on disk, keys change without loss, and a wrong key is said to be wrong."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cds.audit import Access
from cds.cli.app import app as verbs
from cds.errors import ConfigurationError, DamagedBlobError, EncryptionKeyError, StoreError
from cds.operating import vault
from cds.operating.backup import back_up, restore_from
from cds.operating.vault import encrypt_folder, master_key, rotate_data_keys, rotate_master
from cds.service import Service
from cds.settings import Settings
from cds.store.blobs import BlobFolder
from cds.store.encryption import BlobCipher, is_plain, read_key, read_key_file
from cds.store.keyring import KEYS_FILE, Keyring
from cds.store.tables import FilmRow
from tests.cds.conftest import AT, _film

MakeService = Callable[..., Service]
MASTER, OTHER = secrets.token_bytes(32), secrets.token_bytes(32)
PLANTED = (b"4711", b"PLANTED", b"SQLite format 3", b"2.25.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def opened(folder: Path, key: bytes | None = MASTER) -> Service:
    given = {} if key is None else {"encryption_key": key.hex()}
    service = Service(Settings(data_dir=folder, **given))
    service.database.migrate()
    return service


def filled(service: Service, film: bytes, at: Any) -> str:
    """Store a film and an audit entry, and return the film's id."""
    receipt = service.film_arrivals.receive(film, source="upload", at=at)
    service.audit.record(Access("ward", "read", "x", patient="urn:x|4711"))
    return receipt.film_id


def content(service: Service, film_id: str) -> bytes:
    with service.database.reading() as session:
        return service.blobs.get(session.get_one(FilmRow, film_id).sha256)


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_nothing_of_a_patient_can_be_read_from_the_disk(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder)
    film = filled(service, make_film(SOPInstanceUID="2.25.1"), at)
    while_open = on_disk(folder)
    assert content(service, film) == make_film(SOPInstanceUID="2.25.1")
    service.close()
    for place in (while_open, on_disk(folder)):
        assert not [word for word in PLANTED if word in place]
    again = opened(folder)
    assert content(again, film) == make_film(SOPInstanceUID="2.25.1")
    assert again.audit.verify().problems == ()
    again.close()


def test_without_a_key_the_same_words_are_there(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder, None)
    filled(service, make_film(SOPInstanceUID="2.25.1"), at)
    service.close()
    assert all(word in on_disk(folder) for word in PLANTED)


def test_a_wrong_or_missing_key_is_said_to_be(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder)
    filled(service, make_film(), at)
    service.close()
    with pytest.raises(EncryptionKeyError, match="not the one of this data folder"):
        opened(folder, OTHER)
    with pytest.raises(EncryptionKeyError, match="no key is given; set CDS_ENCRYPTION_KEY_FILE"):
        opened(folder, None)


def test_a_key_for_a_folder_that_is_plain_asks_for_encrypt(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder, None)
    filled(service, make_film(), at)
    service.close()
    with pytest.raises(EncryptionKeyError, match="`cds encrypt`"):
        opened(folder)
    (folder / KEYS_FILE).unlink()
    with pytest.raises(EncryptionKeyError, match="`cds encrypt`"):
        opened(folder)


@pytest.mark.parametrize("text", ["", "abc", "00" * 32, "zz" * 32, "ab" * 31, "passwordpassword"])
def test_a_key_that_is_weak_or_malformed_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    file = tmp_path / "data.key"
    file.write_text(text)
    with pytest.raises(EncryptionKeyError) as caught:
        read_key_file(file)
    assert not text or text not in str(caught.value)


def test_a_key_may_come_from_a_file_or_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "data.key"
    file.write_text(f"{MASTER.hex()}\n")
    assert master_key(Settings(encryption_key_file=file)) == MASTER
    assert master_key(Settings(encryption_key=MASTER.hex())) == MASTER
    assert master_key(Settings()) is None
    with pytest.raises(EncryptionKeyError, match="cannot be read"):
        master_key(Settings(encryption_key_file=tmp_path / "none"))


def test_a_plain_folder_is_encrypted_in_place(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder, None)
    film = filled(service, make_film(SOPInstanceUID="2.25.1"), at)
    service.close()
    assert encrypt_folder(folder, MASTER) == 3
    assert not [word for word in PLANTED if word in on_disk(folder)]
    assert encrypt_folder(folder, MASTER) == 0
    with pytest.raises(EncryptionKeyError):
        encrypt_folder(folder, OTHER)
    service = opened(folder)
    assert content(service, film) == make_film(SOPInstanceUID="2.25.1")
    assert service.audit.verify().entries == 1
    assert service.audit.verify().problems == ()
    service.close()


def test_the_operators_key_is_changed_while_a_service_runs(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder)
    film = filled(service, make_film(), at)
    rotate_master(folder, MASTER, OTHER)
    assert content(service, film) == make_film()
    filled(service, make_film(SOPInstanceUID="2.25.77"), at)
    service.close()
    with pytest.raises(EncryptionKeyError):
        opened(folder)
    again = opened(folder, OTHER)
    assert content(again, film) == make_film()
    again.close()
    with pytest.raises(ConfigurationError):
        rotate_master(folder, OTHER, OTHER)


def test_keys_of_the_data_are_changed_and_the_old_ones_are_gone(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder)
    film = filled(service, make_film(), at)
    before = Keyring(folder, MASTER).read()
    with pytest.raises(StoreError, match="in use"):
        rotate_data_keys(folder, MASTER)
    service.close()
    assert rotate_data_keys(folder, MASTER) == 3
    after = Keyring(folder, MASTER).read()
    assert after["database"] != before["database"]
    assert (set(before) - set(after), set(after) - set(before)) == ({"blob.1"}, {"blob.2"})
    assert (after["audit"], after["pseudonym"]) == (before["audit"], before["pseudonym"])
    again = opened(folder)
    assert content(again, film) == make_film()
    assert again.audit.verify().problems == ()
    again.close()


@pytest.fixture(scope="module")
def filled_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """A folder with a film for each act, and the film's id."""
    made = {}
    for act, key in (("encrypt", None), ("rotate", MASTER)):
        folder = tmp_path_factory.mktemp(act) / "data"
        service = opened(folder, key)
        made[act] = (folder, filled(service, _film(), AT))
        service.close()
    return made


class CutOffError(Exception):
    """The power fails here."""


STEPS = [(name, number) for name in ("_recoded", "_sync", "_check_whole", "_sealed_anew") for number in (0, 1)]


@pytest.mark.parametrize(("name", "number"), STEPS)
@pytest.mark.parametrize("act", ["encrypt", "rotate"])
def test_a_change_that_is_cut_off_anywhere_is_finished_by_the_next_run(
    folder: Path,
    filled_folders: dict[str, tuple[Path, str]],
    make_film: Any,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
    name: str,
    number: int,
) -> None:
    template, film = filled_folders[act]
    shutil.copytree(template, folder)
    change = encrypt_folder if act == "encrypt" else rotate_data_keys
    calls, real = [], getattr(vault, name)

    def cut_off(*given: Any) -> Any:
        calls.append(given)
        if len(calls) > number:
            raise CutOffError
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(vault, name, cut_off)
        try:
            change(folder, MASTER)
        except CutOffError:
            if act == "rotate":
                with pytest.raises(EncryptionKeyError, match="run `cds rotate-key --data` again"):
                    opened(folder)
    change(folder, MASTER)
    again = opened(folder)
    assert content(again, film) == make_film()
    assert again.audit.verify().problems == ()
    assert not list(folder.glob(".encrypting-*"))
    again.close()
    assert not [word for word in PLANTED if word in on_disk(folder)]


def test_what_waits_in_the_write_ahead_log_is_not_lost(folder: Path, make_film: Any, at: Any) -> None:
    service = opened(folder, None)
    film = filled(service, make_film(), at)
    log = folder / "roentgen.sqlite3-wal"
    assert log.stat().st_size
    kept = {path: path.read_bytes() for path in folder.glob("*.sqlite3*")}
    service.close()
    for path, data in kept.items():
        path.write_bytes(data)
    encrypt_folder(folder, MASTER)
    again = opened(folder)
    assert content(again, film) == make_film()
    again.close()


def test_blobs_are_bound_to_their_names(folder: Path) -> None:
    service = opened(folder)
    blobs = service.blobs
    one, two = blobs.put(b"one"), blobs.put(b"two")
    blobs.path(one).write_bytes(blobs.path(two).read_bytes())
    with pytest.raises(DamagedBlobError):
        blobs.get(one)
    assert blobs.put(b"one") == one
    assert blobs.get(one) == b"one"
    service.close()


@given(data=st.binary(max_size=200), place=st.integers(0, 10_000), change=st.integers(1, 255))
@with_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_changed_byte_is_noticed(tmp_path: Path, data: bytes, place: int, change: int) -> None:
    keys = {"blob.1": bytes(range(32))}
    blobs = BlobFolder(tmp_path / "blobs", BlobCipher(lambda: keys))
    digest = blobs.put(data)
    sealed = bytearray(blobs.path(digest).read_bytes())
    assert data not in bytes(sealed) or len(data) < 4
    sealed[place % len(sealed)] ^= change
    blobs.path(digest).write_bytes(sealed)
    with pytest.raises((DamagedBlobError, EncryptionKeyError)):
        blobs.get(digest)


def test_a_running_service_reads_a_blob_under_a_key_made_since(tmp_path: Path) -> None:
    keys = {"blob.1": bytes(32)}
    reader = BlobFolder(tmp_path / "blobs", BlobCipher(lambda: dict(keys)))
    keys["blob.2"] = bytes(range(32))
    writer = BlobFolder(tmp_path / "blobs", BlobCipher(lambda: dict(keys)))
    assert reader.get(writer.put(b"film")) == b"film"


def test_a_backup_of_encrypted_data_is_encrypted_and_restored_with_its_key(
    folder: Path, tmp_path: Path, make_film: Any, at: Any
) -> None:
    service = opened(folder)
    film = filled(service, make_film(SOPInstanceUID="2.25.1"), at)
    archive = tmp_path / "backup.tar"
    assert back_up(service.settings, archive) == 4
    service.close()
    assert not [word for word in PLANTED if word in archive.read_bytes()]
    with pytest.raises(EncryptionKeyError):
        restore_from(Settings(data_dir=tmp_path / "wrong", encryption_key=OTHER.hex()), archive)
    assert not (tmp_path / "wrong" / "roentgen.sqlite3").exists()
    restored = Settings(data_dir=tmp_path / "restored", encryption_key=MASTER.hex())
    assert restore_from(restored, archive) == 4
    again = opened(tmp_path / "restored")
    assert content(again, film) == make_film(SOPInstanceUID="2.25.1")
    assert again.audit.verify().entries == 1
    assert again.audit.verify().problems == ()
    again.close()


def test_the_key_file_of_the_folder_is_for_its_owner_only_and_holds_no_key_as_it_is(folder: Path) -> None:
    service = opened(folder)
    service.audit.record(Access("ward", "read", "x"))
    service.close()
    assert (folder / KEYS_FILE).stat().st_mode & 0o077 == 0
    for key in Keyring(folder, MASTER).read().values():
        assert key.hex() not in (folder / KEYS_FILE).read_text()
    assert not is_plain(folder / "audit.sqlite3")
    assert read_key(MASTER.hex(), "x") == MASTER


def test_the_verbs_encrypt_and_rotate(
    folder: Path, tmp_path: Path, make_film: Any, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = opened(folder, None)
    film = filled(service, make_film(), at)
    service.close()
    old, new = tmp_path / "old.key", tmp_path / "new.key"
    old.write_text(MASTER.hex())
    new.write_text(OTHER.hex())
    monkeypatch.setenv("CDS_DATA_DIR", str(folder))
    assert CliRunner().invoke(verbs, ["encrypt"]).exit_code == 2
    monkeypatch.setenv("CDS_ENCRYPTION_KEY_FILE", str(old))
    assert '"encrypted": 3' in CliRunner().invoke(verbs, ["encrypt", "--json"]).output
    assert CliRunner().invoke(verbs, ["rotate-key"]).exit_code == 2
    assert '"encrypted": 3' in CliRunner().invoke(verbs, ["rotate-key", "--data", "--json"]).output
    assert CliRunner().invoke(verbs, ["rotate-key", "--new-key-file", str(new)]).exit_code == 0
    again = opened(folder, OTHER)
    assert content(again, film) == make_film()
    acts = [entry.what for entry in again.audit.entries()]
    assert acts == ["x", "cds encrypt", "cds rotate-key", "cds rotate-key"]
    again.close()
