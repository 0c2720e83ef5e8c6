"""A backup taken while the service writes is whole; a restore takes nothing that is not of a backup."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from cds.arrival import FilmArrivals
from cds.errors import BackupError, ConfigurationError
from cds.operating.backup import back_up, restore_from
from cds.settings import Settings
from cds.store import BlobFolder, Database
from cds.store.tables import FilmRow, JobRow


@pytest.fixture
def there(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "restored")


def test_what_was_backed_up_is_restored(
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    there: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    at: datetime,
) -> None:
    receipt = films.receive(make_film(), source="upload", at=at)
    archive = tmp_path / "backup.tar"
    assert back_up(there, archive) == restore_from(elsewhere, archive) == 2
    assert archive.stat().st_mode & 0o777 == 0o600
    store = Database(elsewhere.url)
    with store.reading() as session:
        film = session.get_one(FilmRow, receipt.film_id)
        assert BlobFolder(elsewhere.data_dir / "blobs").get(film.sha256) == make_film()
        assert session.query(JobRow).one().subject_id == receipt.film_id
    assert store.is_current()
    store.close()
    assert {path.stat().st_mode & 0o077 for path in elsewhere.data_dir.rglob("*")} == {0}
    assert not list(elsewhere.data_dir.glob(".backup-*"))


def test_a_backup_while_films_arrive_holds_every_film_it_names(
    films: FilmArrivals, make_film: Callable[..., bytes], there: Settings, tmp_path: Path, at: datetime
) -> None:
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            films.receive(make_film(SOPInstanceUID=f"2.25.{number}"), source="c-store", at=at)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for number in range(4):
            archive = tmp_path / f"{number}.tar"
            back_up(there, archive)
            restore_from(Settings(data_dir=tmp_path / f"restored-{number}"), archive)
    finally:
        stop.set()
        sender.join()


def test_a_backup_that_fails_leaves_the_earlier_one(
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    there: Settings,
    tmp_path: Path,
    at: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    films.receive(make_film(), source="upload", at=at)
    archive = tmp_path / "backup.tar"
    back_up(there, archive)
    before = archive.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with pytest.raises(OSError, match="No space"):
        back_up(there, archive)
    assert archive.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["backup.tar"]


def test_nothing_is_restored_over_a_database(
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    there: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    at: datetime,
) -> None:
    films.receive(make_film(), source="upload", at=at)
    back_up(there, tmp_path / "backup.tar")
    with pytest.raises(ConfigurationError, match="holds a database already"):
        restore_from(there, tmp_path / "backup.tar")
    elsewhere.data_dir.mkdir()
    (elsewhere.data_dir / "roentgen.sqlite3-wal").write_bytes(b"left over")
    with pytest.raises(ConfigurationError, match="holds a database already"):
        restore_from(elsewhere, tmp_path / "backup.tar")


def _changed(
    source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | tarfile.TarInfo | None]
) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            changed = change(member.name, content.read())
            if isinstance(changed, tarfile.TarInfo):
                new.addfile(changed)
            elif changed is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))


def _link(name: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return link


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: (name.replace("blobs/", "../blobs/"), data),
        lambda name, data: (name.replace("roentgen", "/roentgen"), data),
        lambda name, data: ("extra.txt", data) if "blobs" in name else (name, data),
        lambda name, data: _link(name) if "blobs" in name else (name, data),
        lambda name, data: (name, data[:-1]) if "blobs" in name else (name, data),
        lambda name, data: None if "blobs" in name else (name, data),
        lambda name, data: None if "sqlite" in name else (name, data),
        lambda name, data: (name, data[:2000]) if "sqlite" in name else (name, data),
        lambda name, data: (name, b"not a database") if "sqlite" in name else (name, data),
    ],
)
def test_a_changed_backup_is_refused_and_leaves_nothing(
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    there: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    at: datetime,
    change: Callable[[str, bytes], tuple[str, bytes] | tarfile.TarInfo | None],
) -> None:
    films.receive(make_film(), source="upload", at=at)
    back_up(there, tmp_path / "backup.tar")
    _changed(tmp_path / "backup.tar", tmp_path / "changed.tar", change)
    with pytest.raises(BackupError):
        restore_from(elsewhere, tmp_path / "changed.tar")
    assert list(elsewhere.data_dir.iterdir()) == []
    assert not (tmp_path / "blobs").exists()


@pytest.mark.parametrize("data", [b"", b"no archive", bytes(2048)])
def test_what_is_no_backup_is_refused(elsewhere: Settings, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(BackupError):
        restore_from(elsewhere, tmp_path / "file")


def test_a_cut_backup_is_refused(
    films: FilmArrivals,
    make_film: Callable[..., bytes],
    there: Settings,
    elsewhere: Settings,
    tmp_path: Path,
    at: datetime,
) -> None:
    films.receive(make_film(), source="upload", at=at)
    back_up(there, tmp_path / "backup.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "backup.tar").read_bytes()[:4096])
    with pytest.raises(BackupError):
        restore_from(elsewhere, tmp_path / "cut.tar")


def test_a_database_elsewhere_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql+psycopg://cds@db/cds")
    with pytest.raises(ConfigurationError, match="its own tools"):
        back_up(settings, tmp_path / "backup.tar")


def test_there_must_be_something_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no database"):
        back_up(Settings(data_dir=tmp_path / "absent"), tmp_path / "backup.tar")
