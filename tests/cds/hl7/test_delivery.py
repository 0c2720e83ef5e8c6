"""Messages over a socket: late, twice, in another order or damaged, they leave what delivery in order would leave."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hl7.client import MLLPClient
from sqlalchemy import select

from cds.arrival import ReportArrivals
from cds.audit import AuditTrail
from cds.hl7 import Feed
from cds.hl7.listener import Listener
from cds.settings import Settings
from cds.site.configuration import Configs, IdentityTable
from cds.site.orders import OrderTable
from cds.store import BlobFolder, Database
from cds.store.exchange_tables import PatientMergeRow
from cds.store.keyring import Keyring
from cds.store.tables import ReportRow
from tests.cds.hl7.messages import merge, oru, verdict
from tests.end_to_end.cds_processes import free_port

START = datetime(2026, 3, 1, tzinfo=UTC)
MakeFeed = Callable[[str], tuple[Feed, Database]]


@dataclass(frozen=True)
class Sent:
    """A message and the answer it is due."""

    block: bytes
    code: str
    control_id: str


@pytest.fixture
def make_feed(tmp_path: Path, identity: IdentityTable) -> MakeFeed:
    def make(name: str) -> tuple[Feed, Database]:
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        database = Database(f"sqlite:///{folder}/roentgen.sqlite3")
        database.migrate()
        orders = OrderTable.from_csv(Configs().packaged_text("orders.csv"))
        reports = ReportArrivals(database, BlobFolder(folder / "blobs"), identity, orders)
        trail = AuditTrail(Database(f"sqlite:///{folder}/audit.sqlite3"), Keyring(folder).key)
        return Feed(database, reports, identity, ZoneInfo("UTC"), trail), database

    return make


def _in_order(count: int, dice: random.Random) -> list[Sent]:
    """Return messages as a RIS sends them: versions of reports, merges of numbers, and some that are damaged."""
    sent: list[Sent] = []
    while len(sent) < count:
        at = (START + timedelta(minutes=len(sent))).strftime("%Y%m%d%H%M%S+0000")
        order, number = f"R{dice.randrange(count // 4 + 1)}", str(dice.randrange(1, count // 10 + 2))
        kind, control_id = dice.random(), f"C{len(sent)}"
        if kind < 0.06:
            sent.append(Sent(merge(number, f"9{number}", at=at, control_id=control_id), "AA", control_id))
        elif kind < 0.12:
            sent.append(_damaged(oru(order=order, control_id=control_id), control_id, dice))
        else:
            status = dice.choices("PFCX", (4, 6, 2, 1))[0]
            text = [f"Version {len(sent)} of {order}."]
            block = oru(text, order=order, number=f"7{order}", status=status, issued=at, control_id=control_id)
            sent.append(Sent(block, "AA", control_id))
    return sent


def _damaged(block: bytes, control_id: str, dice: random.Random) -> Sent:
    """Return a message that has to be refused, in one of the ways in which senders get them wrong."""
    wrong, right, code = dice.choice(
        [
            (b"|||F\r", b"|||Q\r", "AE"),
            (b"20260301110000+0000|||F", b"yesterday|||F", "AE"),
            (b"\rPID|", b"\rPIX|", "AE"),
            (b"nodule", b"nod\xffle", "AE"),
            (b"UNICODE UTF-8", b"8859/99", "AE"),
            (b"|P|2.5.1", b"|T|2.5.1", "AR"),
            (b"ORU^R01^ORU_R01", b"ORM^O01^ORM_O01", "AR"),
        ]
    )
    assert wrong in block
    return Sent(block.replace(wrong, right), code, control_id)


def _disturbed(sent: list[Sent], dice: random.Random) -> list[Sent]:
    """Return the same messages out of order, a fifth of them twice."""
    disturbed = sent + [message for message in sent if dice.random() < 0.2]
    dice.shuffle(disturbed)
    return disturbed


def _deliver(feed: Feed, messages: list[Sent]) -> None:
    """Send messages over one connection, and hold each answer against the one that is due."""
    listener = Listener(Settings(hl7_port=free_port()), feed)
    listener.start()
    try:
        with MLLPClient("127.0.0.1", listener.port) as client:
            for message in messages:
                assert verdict(client.send_message(message.block)[1:-2]) == (message.code, message.control_id)
    finally:
        listener.stop()


def _state(database: Database) -> tuple[object, object]:
    """Return what matters afterwards: the current version of each report, and which numbers are one person."""
    with database.reading() as session:
        rows = session.scalars(select(ReportRow).where(ReportRow.superseded_by.is_(None))).all()
        reports = sorted((row.source_id, row.status, row.sha256, row.identifier_value, row.issued_at) for row in rows)
        merges = sorted((row.system, row.old, row.new) for row in session.scalars(select(PatientMergeRow)))
    return reports, merges


def _check(make_feed: MakeFeed, count: int) -> None:
    dice = random.Random(7)  # noqa: S311
    sent = _in_order(count, dice)
    orderly, disturbed = make_feed("orderly"), make_feed("disturbed")
    _deliver(orderly[0], sent)
    _deliver(disturbed[0], _disturbed(sent, dice))
    assert _state(disturbed[1]) == _state(orderly[1])
    assert _state(orderly[1])[0]


def test_the_final_state_does_not_depend_on_the_order_of_delivery(make_feed: MakeFeed) -> None:
    _check(make_feed, 150)


@pytest.mark.soak
def test_ten_thousand_messages_in_any_order_leave_one_state(make_feed: MakeFeed) -> None:
    _check(make_feed, 10_000)
