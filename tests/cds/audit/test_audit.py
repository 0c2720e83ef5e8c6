"""The audit trail: what is acknowledged is in it, and what was done to it afterwards is found."""

from __future__ import annotations

import errno
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from cds.audit.trail import AUDIT_FILE, GENESIS, Access, AuditTrail
from cds.errors import AuditError
from cds.store import Database
from cds.store.keyring import Keyring

MakeTrail = Callable[..., AuditTrail]
READ = Access("ward", "read", "GET /films/{film_id}", role="clinician", thing="film/1", patient="urn:x|4711")


@pytest.fixture
def make_trail(tmp_path: Path) -> Iterator[MakeTrail]:
    made: list[AuditTrail] = []

    def make(**options: Any) -> AuditTrail:
        trail = AuditTrail(Database(f"sqlite:///{tmp_path / AUDIT_FILE}"), Keyring(tmp_path).key, **options)
        made.append(trail)
        return trail

    yield make
    for trail in made:
        trail.database.close()


@pytest.fixture
def trail(make_trail: MakeTrail) -> AuditTrail:
    return make_trail()


def tamper(folder: Path, *statements: str) -> None:
    """Change the file as someone would who has it and not its keys."""
    connection = sqlite3.connect(folder / AUDIT_FILE)
    connection.execute("DROP TRIGGER IF EXISTS no_update")
    connection.execute("DROP TRIGGER IF EXISTS no_delete")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_an_entry_is_kept_with_all_it_says_and_follows_the_one_before(trail: AuditTrail) -> None:
    trail.record(READ)
    trail.record(Access("cli:ann", "execute", "cds promote", outcome="failed", user="Practitioner/a"))
    first, second = trail.entries()
    assert (first.seq, first.client, first.role, first.action, first.thing) == (
        1,
        "ward",
        "clinician",
        "read",
        "film/1",
    )
    assert (first.previous, second.previous) == (GENESIS, first.hash)
    assert (second.what, second.outcome, second.user, second.patient) == (
        "cds promote", "failed", "Practitioner/a", None,
    )  # fmt: skip
    assert trail.verify().problems == ()


def test_a_patient_is_known_by_a_keyed_pseudonym_only(trail: AuditTrail, tmp_path: Path) -> None:
    trail.record(READ)
    trail.record(Access("ward", "read", "GET /"))
    assert [entry.seq for entry in trail.entries(patient="urn:x|4711")] == [1]
    assert [entry.seq for entry in trail.entries(patient="urn:x|4712")] == []
    trail.database.close()
    assert all(b"4711" not in file.read_bytes() for file in tmp_path.glob(f"{AUDIT_FILE}*"))


def test_the_database_itself_refuses_to_change_or_remove_an_entry(trail: AuditTrail, tmp_path: Path) -> None:
    trail.record(READ)
    connection = sqlite3.connect(tmp_path / AUDIT_FILE)
    for statement in ("UPDATE entry SET client = 'x'", "DELETE FROM entry"):
        with pytest.raises(sqlite3.IntegrityError, match="only appended"):
            connection.execute(statement)
    connection.close()


INSERTED = (
    "INSERT INTO entry (seq, at, client, action, what, outcome, previous, hash) "
    "SELECT {seq}, at, 'x', action, what, outcome, previous, hash FROM entry WHERE seq = 2"
)
TAMPERINGS = {
    "changed": ("UPDATE entry SET client = 'other' WHERE seq = 2",),
    "a patient taken out": ("UPDATE entry SET patient = NULL WHERE seq = 2",),
    "a time changed": ("UPDATE entry SET at = '2020-01-01T00:00:00.000000+00:00' WHERE seq = 3",),
    "removed": ("DELETE FROM entry WHERE seq = 2",),
    "removed and renumbered": ("DELETE FROM entry WHERE seq = 2", "UPDATE entry SET seq = seq - 1 WHERE seq > 2"),
    "the first removed": ("DELETE FROM entry WHERE seq = 1",),
    "the last removed": ("DELETE FROM entry WHERE seq = 4",),
    "the last removed, and the mark of it": ("DELETE FROM entry WHERE seq = 4", "DELETE FROM head"),
    "the last removed, and the mark changed": (
        "DELETE FROM entry WHERE seq = 4",
        "UPDATE head SET seq = 3, hash = (SELECT hash FROM entry WHERE seq = 3)",
    ),
    "all removed": ("DELETE FROM entry",),
    "inserted at the end": (INSERTED.format(seq=5),),
    "inserted between": ("UPDATE entry SET seq = seq + 1 WHERE seq = 4", INSERTED.format(seq=4)),
    "exchanged": (
        "UPDATE entry SET seq = 9 WHERE seq = 2",
        "UPDATE entry SET seq = 2 WHERE seq = 3",
        "UPDATE entry SET seq = 3 WHERE seq = 9",
    ),
    "hashes made without the key": ("UPDATE entry SET hash = previous WHERE seq = 4",),
}


@pytest.mark.parametrize("statements", TAMPERINGS.values(), ids=TAMPERINGS.keys())
def test_a_changed_removed_or_inserted_row_is_found(
    make_trail: MakeTrail, tmp_path: Path, statements: tuple[str, ...]
) -> None:
    trail = make_trail()
    for _ in range(4):
        trail.record(READ)
    assert trail.verify().problems == ()
    trail.database.close()
    tamper(tmp_path, *statements)
    assert make_trail().verify().problems


def test_a_removed_last_entry_is_found_though_others_were_added_since(make_trail: MakeTrail, tmp_path: Path) -> None:
    trail = make_trail()
    for _ in range(4):
        trail.record(READ)
    tamper(tmp_path, "DELETE FROM entry WHERE seq = 4")
    trail.record(READ)
    assert trail.verify().problems == ((5, "1 entries before this one were removed"),)


def test_an_older_copy_of_the_file_is_found_by_a_head_kept_elsewhere(make_trail: MakeTrail, tmp_path: Path) -> None:
    trail = make_trail()
    trail.record(READ)
    trail.database.close()
    older = (tmp_path / AUDIT_FILE).read_bytes()
    trail.record(READ)
    head = trail.verify().head
    assert trail.verify(head=head).problems == ()
    trail.record(READ)
    assert trail.verify(head=head).problems == ()
    trail.database.close()
    (tmp_path / AUDIT_FILE).write_bytes(older)
    assert make_trail().verify().problems == ()
    assert make_trail().verify(head=head).problems == (
        (1, "the head that was kept elsewhere is no longer in the trail"),
    )


def test_the_order_is_of_writing_whatever_the_clock_does(make_trail: MakeTrail) -> None:
    clock = iter([datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (12, 3, 13)])
    trail = make_trail(clock=lambda: next(clock))
    for thing in ("a", "b", "c"):
        trail.record(Access("ward", "read", "x", thing=thing))
    verification = trail.verify()
    assert [entry.thing for entry in trail.entries()] == ["a", "b", "c"]
    assert (verification.problems, verification.clock_back) == ((), (2,))


def test_entries_that_wait_together_are_committed_together_and_all_kept(trail: AuditTrail) -> None:
    commits = []
    event.listen(trail.database.engine, "commit", commits.append)
    first_commit, release = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        if not first_commit.is_set():
            first_commit.set()
            release.wait(10)

    event.listen(trail.database.engine, "commit", hold)
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(trail.record, READ)
        first_commit.wait(10)
        others = [threads.submit(trail.record, READ) for _ in range(19)]
        while len(trail._room.waiting) < 19:
            pass
        release.set()
        for future in (first, *others):
            future.result()
    assert len(commits) == 2
    assert trail.verify().entries == 20
    assert trail.verify().problems == ()


def test_a_trail_that_is_being_written_is_whole_whenever_it_is_looked_at(trail: AuditTrail) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            trail.record(READ)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [trail.verify().problems for _ in range(40)] == [()] * 40
    finally:
        done.set()
        writer.join()


def test_two_processes_write_one_chain(make_trail: MakeTrail) -> None:
    trails = [make_trail(), make_trail()]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: trails[number % 2].record(READ), range(60)))
    verification = trails[0].verify()
    assert (verification.entries, verification.problems) == (60, ())


def test_a_locked_database_is_an_error_and_the_next_entry_follows(make_trail: MakeTrail, tmp_path: Path) -> None:
    trail = make_trail(patience_ms=50)
    trail.record(READ)
    other = sqlite3.connect(tmp_path / AUDIT_FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(AuditError):
        trail.record(READ)
    other.execute("ROLLBACK")
    other.close()
    trail.record(READ)
    assert [entry.seq for entry in trail.entries()] == [1, 2]
    assert trail.verify().problems == ()


def test_a_full_disk_is_an_error_and_nothing_half_written_stays(trail: AuditTrail) -> None:
    trail.record(READ)
    with trail.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def no_room(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    trail.database.close()
    event.listen(trail.database.engine, "connect", no_room)
    kept = 1
    with pytest.raises(AuditError):  # noqa: PT012 - how many fit into the last page is SQLite's affair
        for _ in range(500):
            trail.record(READ)
            kept += 1
    event.remove(trail.database.engine, "connect", no_room)
    trail.database.close()
    trail.record(READ)
    verification = trail.verify()
    assert (verification.entries, verification.problems) == (kept + 1, ())


def test_a_disk_that_fails_to_sync_is_an_error(trail: AuditTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    trail.record(READ)

    def fails(_: Any) -> None:
        raise OSError(errno.EIO, "input/output error")

    event.listen(trail.database.engine, "commit", fails)
    with pytest.raises(AuditError):
        trail.record(READ)
    event.remove(trail.database.engine, "commit", fails)
    trail.record(READ)
    assert trail.verify().entries == 2


_WRITER = """
import sys
from pathlib import Path
from concurrent.futures import ThreadPoolExecutor
from cds.audit.trail import Access, AuditTrail
from cds.store import Database
from cds.store.keyring import Keyring
folder = Path(sys.argv[1])
trail = AuditTrail(Database(f"sqlite:///{folder / 'audit.sqlite3'}"), Keyring(folder).key)
def write(number):
    trail.record(Access("ward", "read", "x", thing=f"film/{number}"))
    sys.stdout.write(f"film/{number}\\n"); sys.stdout.flush()
with ThreadPoolExecutor(4) as threads:
    list(threads.map(write, range(100000)))
"""


def test_no_acknowledged_entry_is_lost_when_the_process_is_killed(make_trail: MakeTrail, tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for round_ in range(3):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            acknowledged += [process.stdout.readline().decode().strip() for _ in range(20 + 15 * round_)]
            process.send_signal(signal.SIGKILL)
            acknowledged += [line.decode().strip() for line in process.stdout if line.endswith(b"\n")]
    trail = make_trail()
    kept = [entry.thing for entry in trail.entries()]
    assert len(acknowledged) >= 20 + 35 + 50
    assert all(acknowledged.count(thing) <= kept.count(thing) for thing in set(acknowledged))
    assert trail.verify().problems == ()


def test_a_purge_removes_the_oldest_and_vouches_for_where_the_chain_begins(
    make_trail: MakeTrail, tmp_path: Path
) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    days = iter(range(100))
    trail = make_trail(clock=lambda: start + timedelta(days=next(days)))
    for _ in range(5):
        trail.record(READ)
    assert trail.purge_before(start + timedelta(days=3), Access("cli:ann", "delete", "x")) == 3
    assert [entry.seq for entry in trail.entries()] == [4, 5, 6]
    assert trail.verify().problems == ()
    assert trail.purge_before(start + timedelta(days=3), Access("cli:ann", "delete", "x")) == 0
    trail.record(READ)
    assert trail.purge_before(start + timedelta(days=365), Access("cli:ann", "delete", "x")) == 3
    assert trail.verify().problems == ()
    assert [entry.seq for entry in trail.entries()] == [7, 8]
    trail.database.close()
    tamper(tmp_path, "DELETE FROM entry WHERE seq = 7")
    assert make_trail().verify().problems
