"""The audit trail: entries are appended, never changed, and each carries a keyed hash that covers the one before it.

The order is the sequence number, never the clock. Entries that wait at the same time are committed together, synced
once. The trail is a file of its own, so a store busy with results delays no entry. Knows no web.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from sqlalchemy import Column, Integer, MetaData, Select, String, Table, delete, func, select, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cds.errors import AuditError
from cds.store.database import Database

AUDIT_FILE = "audit.sqlite3"
GENESIS = "0" * 64
PURGE = "audit purge"
_PATIENCE_MS = 2_000
_PSEUDONYM_DIGITS = 32

Action = Literal["create", "read", "update", "delete", "execute"]
Outcome = Literal["ok", "refused", "failed"]

_metadata = MetaData()
_ENTRIES = Table(
    "entry",
    _metadata,
    Column("seq", Integer, primary_key=True),
    Column("at", String(32), nullable=False),
    Column("client", String(255), nullable=False),
    Column("user", String(255)),
    Column("role", String(64)),
    Column("action", String(16), nullable=False),
    Column("what", String(128), nullable=False),
    Column("thing", String(255)),
    Column("patient", String(64), index=True),
    Column("outcome", String(16), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
_HEAD = Table(
    "head",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
)
_COVERED = [column.name for column in _ENTRIES.columns if column.name != "hash"]
_GIVEN = {
    column.name: column.type.length
    for column in _ENTRIES.columns
    if column.name not in ("seq", "at", "previous", "hash") and isinstance(column.type, String)
}
_NAMES = [column.name for column in _ENTRIES.columns]
_INSERT = f"INSERT INTO entry ({','.join(f'[{name}]' for name in _NAMES)}) VALUES ({','.join('?' * len(_NAMES))})"  # noqa: S608
_MARK = "INSERT OR REPLACE INTO head (id, seq, hash, mac) VALUES (1, ?, ?, ?)"
_FORBIDDEN = ("UPDATE", "DELETE")


@dataclass(frozen=True)
class Access:
    """One access to what is kept of patients, or one act of an operator.

    client   who asks: name of a key, issuer of a token, or "cli:" and the account on this machine
    action   what was done; `execute` is a decision or an act
    what     route template or verb; never text of the request
    outcome  refused: not allowed or not acceptable; failed: by a fault
    user     on whose behalf, as the client says
    thing    kind and id of what was touched, such as "film/6f1c..."
    patient  "system|value" or "server|Patient/id"; only its keyed pseudonym is written
    """

    client: str
    action: Action
    what: str
    outcome: Outcome = "ok"
    role: str | None = None
    user: str | None = None
    thing: str | None = None
    patient: str | None = None


@dataclass(frozen=True)
class Entry:
    """One row of the trail; `patient` is a pseudonym."""

    seq: int
    at: str
    client: str
    user: str | None
    role: str | None
    action: Action
    what: str
    thing: str | None
    patient: str | None
    outcome: Outcome
    previous: str
    hash: str


@dataclass(frozen=True)
class Verification:
    """What a look at every entry found.

    head        hash of the last entry; kept elsewhere, it proves later that nothing before it was taken away
    problems    (sequence number, what is wrong); empty when the chain is whole
    clock_back  sequence numbers at which the clock was set back
    """

    entries: int
    first: int | None
    last: int | None
    head: str
    problems: tuple[tuple[int, str], ...]
    clock_back: tuple[int, ...]


@dataclass
class _Waiting:
    access: Access
    done: bool = False
    error: AuditError | None = None


@dataclass
class _Room:
    """Entries that wait to be committed together."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    writer: threading.Lock = field(default_factory=threading.Lock)
    waiting: list[_Waiting] = field(default_factory=list)


class AuditTrail:
    """The trail of one data folder.

    database  of its own; `keys` gives the keys named `audit` and `pseudonym`
    clock     wall clock, UTC
    patience_ms  how long an entry waits for another process that writes
    """

    def __init__(
        self,
        database: Database,
        keys: Callable[[str], bytes],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        patience_ms: int = _PATIENCE_MS,
    ) -> None:
        self._made = database
        self._keys = keys
        self._clock = clock
        self._patience_ms = patience_ms
        self._room = _Room()

    @cached_property
    def database(self) -> Database:
        """The database, its tables made when they are not there."""
        with self._made.writing() as session:
            _metadata.create_all(session.connection())
            _seal(session)
        return self._made

    def record(self, access: Access) -> None:
        """Append an entry; when this returns it is on disk. Raises AuditError, then it is not.

        Entries of other threads that wait meanwhile are committed with the first one's.
        """
        mine = _Waiting(access)
        with self._room.lock:
            self._room.waiting.append(mine)
        with self._room.writer:
            if not mine.done:
                self._commit_waiting()
        if mine.error is not None:
            raise mine.error

    def _commit_waiting(self) -> None:
        with self._room.lock:
            batch, self._room.waiting = self._room.waiting, []
        error = None
        try:
            with self._writing.begin() as connection:
                self._append(connection, [item.access for item in batch])
        except (SQLAlchemyError, OSError):
            error = AuditError("the audit trail cannot be written; nothing is answered without it")
        for item in batch:
            item.done, item.error = True, error

    @cached_property
    def _writing(self) -> Engine:
        return self.database.engine.execution_options(writing=True, patience_ms=self._patience_ms)

    def _append(self, connection: Connection, accesses: Sequence[Access]) -> None:
        seq, previous = self._head(connection)
        at, rows = self._clock().astimezone(UTC).isoformat(timespec="microseconds"), []
        for access in accesses:
            seq += 1
            row = dict(zip(_COVERED, (seq, at, *self._columns(access), previous), strict=True))
            previous = self._hash(row)
            rows.append((*row.values(), previous))
        connection.exec_driver_sql(_INSERT, rows)
        connection.exec_driver_sql(_MARK, (seq, previous, self._mac(seq, previous)))

    def _columns(self, access: Access) -> Iterator[str | None]:
        for name, limit in _GIVEN.items():
            value = getattr(access, name)
            if name == "patient" and value is not None:
                value = self.pseudonym(value)
            yield value if value is None else value[:limit]

    def pseudonym(self, subject: str) -> str:
        """Return the keyed pseudonym under which the trail knows a patient ("system|value")."""
        digest = hmac.digest(self._keys("pseudonym"), subject.encode("utf-8", "surrogatepass"), "sha256")
        return digest.hex()[:_PSEUDONYM_DIGITS]

    def entries(
        self,
        *,
        patient: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Yield entries in their order; of one patient ("system|value"), or of a span of time by the clock.

        after  a sequence number; at most `limit` entries that follow it
        """
        query = select(_ENTRIES).where(_ENTRIES.c.seq > after).order_by(_ENTRIES.c.seq).limit(limit)
        if patient is not None:
            query = query.where(_ENTRIES.c.patient == self.pseudonym(patient))
        if since is not None:
            query = query.where(_ENTRIES.c.at >= since.astimezone(UTC).isoformat(timespec="microseconds"))
        if until is not None:
            query = query.where(_ENTRIES.c.at < until.astimezone(UTC).isoformat(timespec="microseconds"))
        with self.database.reading() as session:
            yield from _found(session, query)

    def verify(self, *, head: str | None = None) -> Verification:
        """Look at every entry: whether one was changed, removed or inserted.

        head  a head that was kept elsewhere; its entry must still be there
        """
        problems: list[tuple[int, str]] = []
        clock_back: list[int] = []
        vouched: set[str] = set()
        before: Entry | None = None
        first: Entry | None = None
        count, head_found = 0, head is None or head == GENESIS
        with self.database.reading() as session:  # one transaction: entries and mark of the same moment
            for entry in _found(session, select(_ENTRIES).order_by(_ENTRIES.c.seq)):
                count += 1
                problems += self._problems(entry, before)
                if before is not None and entry.at < before.at:
                    clock_back.append(entry.seq)
                if entry.what == PURGE and entry.thing:
                    vouched.add(entry.thing)
                head_found = head_found or head in (entry.hash, entry.previous)
                first, before = first or entry, entry
            kept = session.execute(select(_HEAD)).mappings().one_or_none()
        if first is not None and first.previous != GENESIS and _anchor(first.seq - 1, first.previous) not in vouched:
            problems.insert(0, (first.seq, "entries before this one were removed, and no purge vouches for it"))
        last = (before.seq, before.hash) if before else (0, GENESIS)
        problems += self._head_problems(kept, last)
        if not head_found:
            problems.append((last[0], "the head that was kept elsewhere is no longer in the trail"))
        return Verification(
            count, first.seq if first else None, last[0] or None, last[1], tuple(problems), tuple(clock_back)
        )

    def _problems(self, entry: Entry, before: Entry | None) -> Iterator[tuple[int, str]]:
        row = {name: getattr(entry, name) for name in _COVERED}
        if not hmac.compare_digest(self._hash(row), entry.hash):
            yield entry.seq, "changed, or not written by this service"
        if before is not None and entry.seq != before.seq + 1:
            yield entry.seq, f"{entry.seq - before.seq - 1} entries before this one were removed"
        elif before is not None and entry.previous != before.hash:
            yield entry.seq, "does not follow the entry before it"

    def _head_problems(self, kept: Mapping[Any, Any] | None, last: tuple[int, str]) -> Iterator[tuple[int, str]]:
        if kept is None:
            if last[0]:
                yield last[0], "the mark of the last entry was removed"
        elif not hmac.compare_digest(self._mac(kept["seq"], kept["hash"]), kept["mac"]):
            yield last[0], "the mark of the last entry was changed"
        elif (kept["seq"], kept["hash"]) != last:
            yield last[0], f"the last entry is not number {kept['seq']}, the one that was written last"

    def purge_before(self, before: datetime, access: Access) -> int:
        """Remove the oldest entries, up to the first at or after a time; returns how many.

        The removal is an entry itself, in the same transaction, and vouches for where the chain begins now. The last
        entry always stays.
        """
        moment = before.astimezone(UTC).isoformat(timespec="microseconds")
        with self.database.writing() as session:
            keep = session.scalar(select(func.min(_ENTRIES.c.seq)).where(_ENTRIES.c.at >= moment))
            last, _ = self._head(session.connection())
            until = (keep if keep is not None else last) - 1
            anchor = session.execute(select(_ENTRIES).where(_ENTRIES.c.seq == until)).mappings().one_or_none()
            if anchor is None:
                return 0
            _unseal(session)
            removed = len(
                session.scalars(delete(_ENTRIES).where(_ENTRIES.c.seq <= until).returning(_ENTRIES.c.seq)).all()
            )
            _seal(session)
            act = Access(access.client, "delete", PURGE, role=access.role, thing=_anchor(until, anchor["hash"]))
            self._append(session.connection(), [act])
            return removed

    def _head(self, connection: Connection) -> tuple[int, str]:
        """Return number and hash that the next entry follows: of the last one written, were it removed since."""
        kept = connection.exec_driver_sql("SELECT seq, hash, mac FROM head").one_or_none()
        if kept is not None and hmac.compare_digest(self._mac(kept[0], kept[1]), kept[2]):
            return kept[0], kept[1]
        last = connection.exec_driver_sql("SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1").one_or_none()
        return (last[0], last[1]) if last is not None else (0, GENESIS)

    def _hash(self, row: dict[str, str | int | None]) -> str:
        covered = json.dumps([row[name] for name in _COVERED], separators=(",", ":"))
        return hmac.new(self._keys("audit"), covered.encode(), hashlib.sha256).hexdigest()

    def _mac(self, seq: int, digest: str) -> str:
        return hmac.new(self._keys("audit"), f"head {seq} {digest}".encode(), hashlib.sha256).hexdigest()


def _found(session: Session, query: Select[Any]) -> Iterator[Entry]:
    for row in session.execute(query.execution_options(yield_per=1000)).mappings():
        yield Entry(**row)


def _anchor(seq: int, digest: str) -> str:
    return f"entry/{seq}/{digest}"


def _seal(session: Session) -> None:
    """Let the database itself refuse to change or remove an entry."""
    for verb in _FORBIDDEN:
        session.execute(
            text(
                f"CREATE TRIGGER IF NOT EXISTS no_{verb.lower()} BEFORE {verb} ON entry "
                "BEGIN SELECT RAISE(ABORT, 'entries are only appended'); END"
            )
        )


def _unseal(session: Session) -> None:
    for verb in _FORBIDDEN:
        session.execute(text(f"DROP TRIGGER IF EXISTS no_{verb.lower()}"))
