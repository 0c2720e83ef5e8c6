"""A report and a registration feed: what is acknowledged is stored, what is refused says why and repeats nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select

from cds.arrival import FilmArrivals
from cds.assessing.joining import evidence_of
from cds.audit import AuditTrail
from cds.hl7 import Feed
from cds.store import BlobFolder, Database
from cds.store.tables import JobRow, ReportRow
from fusion import read_patient
from tests.cds.conftest import SYSTEM
from tests.cds.hl7.messages import TEXT, merge, msh, oru, reason, verdict


def _reports(database: Database) -> list[ReportRow]:
    with database.reading() as session:
        return list(session.scalars(select(ReportRow).order_by(ReportRow.received_at)))


def _current(database: Database) -> list[ReportRow]:
    return [row for row in _reports(database) if row.superseded_by is None and row.status != "entered-in-error"]


def test_a_report_is_stored_with_whose_it_is_and_of_what(
    feed: Feed, database: Database, blobs: BlobFolder, at: datetime
) -> None:
    assert verdict(feed.receive(oru(control_id="C7"), at=at)) == ("AA", "C7")
    (row,) = _reports(database)
    assert (row.identifier_system, row.identifier_value) == (SYSTEM, "4711")
    assert (row.accession_system, row.accession) == ("urn:oid:2.999.1.1", "A1")
    assert row.study_instance_uid == "2.25.2"
    assert (row.birth_date, row.sex) == (date(1950, 1, 2), "female")
    assert (row.status, row.issued_at) == ("final", datetime(2026, 3, 1, 11, 0, tzinfo=UTC))
    assert row.exam == "XR CHEST 2 VIEWS"
    assert blobs.get(row.sha256).decode() == "\n".join(["FINDINGS:", *TEXT])
    with database.reading() as session:
        assert [job.kind for job in session.scalars(select(JobRow))] == ["extract_report"]


def test_findings_and_impression_stand_under_their_headings(
    feed: Feed, database: Database, blobs: BlobFolder, at: datetime
) -> None:
    block = oru(()).replace(
        b"ZDS|",
        b"OBX|1|TX|71046&GDT^^C4||Opacity at the left base.||||||F\r"
        b"OBX|2|FT|19005-8^Impression^LN||Pneumonia.\\.br\\Follow up in 6 weeks.||||||F\r"
        b"OBX|3|ED|PDF||^AP^PDF^Base64^JVBERi0=||||||F\rZDS|",
    )
    assert verdict(feed.receive(block, at=at))[0] == "AA"
    (row,) = _reports(database)
    assert blobs.get(row.sha256).decode() == (
        "FINDINGS:\nOpacity at the left base.\nIMPRESSION:\nPneumonia.\nFollow up in 6 weeks."
    )


def test_a_message_sent_twice_is_one_report(feed: Feed, database: Database, at: datetime) -> None:
    assert verdict(feed.receive(oru(), at=at))[0] == "AA"
    assert verdict(feed.receive(oru(control_id="2"), at=at))[0] == "AA"
    assert len(_reports(database)) == 1


def test_a_correction_supersedes_and_a_late_preliminary_does_not(feed: Feed, database: Database, at: datetime) -> None:
    feed.receive(oru(["Corrected."], status="C", issued="20260301130000"), at=at)
    feed.receive(oru(["First."], status="F", issued="20260301120000"), at=at)
    feed.receive(oru(["Before."], status="P", issued="20260301113000"), at=at)
    assert [row.status for row in _current(database)] == ["corrected"]


@pytest.mark.parametrize("taken_back", [{"status": "X"}, {"observation_status": "D"}, {"observation_status": "W"}])
def test_a_report_that_is_taken_back_is_no_longer_current(
    feed: Feed, database: Database, at: datetime, taken_back: dict[str, str]
) -> None:
    feed.receive(oru(), at=at)
    assert verdict(feed.receive(oru(**taken_back), at=at))[0] == "AA"  # type: ignore[arg-type]
    assert _current(database) == []


def test_an_order_without_a_result_is_acknowledged_and_leaves_nothing(
    feed: Feed, database: Database, at: datetime
) -> None:
    assert verdict(feed.receive(oru(status="S"), at=at))[0] == "AA"
    assert _reports(database) == []


def test_two_reports_of_one_message_are_two_reports(feed: Feed, database: Database, at: datetime) -> None:
    second = oru(["The second."], order="R2").split(b"\r")[2:-1]
    assert verdict(feed.receive(oru() + b"\r".join(second), at=at))[0] == "AA"
    assert len(_current(database)) == 2


@pytest.mark.parametrize(
    ("block", "code", "why"),
    [
        (b"", "AE", "no_header"),
        (b"PID|1||4711", "AE", "no_header"),
        (oru().replace(b"PID|", b"PIX|"), "AE", "segment_missing"),
        (msh("ORU^R01").encode() + b"\rPID|1||4711^^^NORTH", "AE", "segment_missing"),
        (oru(order="").replace(b"|P|^RIS|", b"||^RIS|"), "AE", "no_identifier"),
        (oru([""]), "AE", "no_text"),
        (oru(status="Q"), "AE", "bad_status"),
        (oru(issued="yesterday"), "AE", "bad_time"),
        (oru(number="47\x0711"), "AE", "bad_identifier"),
        (oru(charset="8859/99"), "AE", "unknown_character_set"),
        (oru(processing_id="T"), "AR", "unsupported_processing_id"),
        (msh("ORM^O01").encode(), "AR", "unsupported_type"),
        (merge("", "4712"), "AE", "no_identifier"),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_nothing_is_stored(
    feed: Feed, database: Database, at: datetime, block: bytes, code: str, why: str
) -> None:
    answer = feed.receive(block, at=at)
    assert (verdict(answer)[0], reason(answer)) == (code, why)
    assert _reports(database) == []


def test_an_answer_repeats_nothing_of_the_patient(feed: Feed, at: datetime) -> None:
    for block in (oru(), oru(status="Q"), oru(issued="19500102x"), merge("4711", "")):
        answer = feed.receive(block, at=at)
        assert not any(word in answer for word in (b"PLANTED", b"4711", b"19500102"))


def test_enhanced_mode_is_answered_in_its_own_codes(feed: Feed, at: datetime) -> None:
    assert verdict(feed.receive(oru(enhanced="AL"), at=at))[0] == "CA"
    assert verdict(feed.receive(oru(enhanced="AL", status="Q"), at=at))[0] == "CE"


def test_what_cannot_be_stored_now_is_rejected_so_that_it_is_sent_again(
    feed: Feed, database: Database, at: datetime, tmp_path: Path
) -> None:
    database.engine.dispose()
    event.listen(database.engine, "connect", lambda made, _: made.execute("PRAGMA busy_timeout = 50"))
    holder = sqlite3.connect(tmp_path / "data" / "roentgen.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    answer = feed.receive(oru(), at=at)
    holder.execute("ROLLBACK")
    holder.close()
    assert (verdict(answer)[0], reason(answer)) == ("AR", "not_now")
    assert verdict(feed.receive(oru(), at=at))[0] == "AA"
    assert len(_reports(database)) == 1


def test_what_was_taken_is_in_the_audit_trail(feed: Feed, audit: AuditTrail, at: datetime) -> None:
    feed.receive(oru(), at=at)
    feed.receive(merge("4711", "4712"), at=at)
    entries = list(audit.entries())
    assert [(entry.client, entry.what) for entry in entries] == [
        ("hl7 RIS@NORTH", "hl7 ORU"),
        ("hl7 RIS@NORTH", "hl7 ADT merge"),
    ]
    assert all("4711" not in str(entry) for entry in entries)


# merges


def _films_of(database: Database, number: str) -> list[str]:
    record = {"resourceType": "Patient", "id": "p", "identifier": [{"system": SYSTEM, "value": number}]}
    patient = read_patient([record], at=datetime(2026, 3, 2, tzinfo=UTC))
    with database.reading() as session:
        evidence = evidence_of(session, patient, [record], at=datetime(2026, 3, 2, tzinfo=UTC))
    return list(evidence.notes.values())


@pytest.mark.parametrize("merged_first", [True, False])
def test_after_a_merge_the_record_finds_the_films_of_the_former_number(
    feed: Feed,
    films: FilmArrivals,
    database: Database,
    make_film: Callable[..., bytes],
    at: datetime,
    *,
    merged_first: bool,
) -> None:
    assert _films_of(database, "4712") == []
    if merged_first:
        feed.receive(merge("4711", "4712"), at=at)
    films.receive(make_film(), source="c-store", at=at)
    if not merged_first:
        feed.receive(merge("4711", "4712"), at=at)
    assert any("not yet analysed" in note or "waits" in note for note in _films_of(database, "4712"))


def test_a_merge_that_was_corrected_leaves_nothing_behind(
    feed: Feed, films: FilmArrivals, database: Database, make_film: Callable[..., bytes], at: datetime
) -> None:
    films.receive(make_film(), source="c-store", at=at)
    feed.receive(merge("4711", "4713", at="20260301130000+0000"), at=at)
    feed.receive(merge("4711", "4712", at="20260301120000+0000"), at=at)
    assert _films_of(database, "4712") == []
    assert _films_of(database, "4713") != []


def test_a_chain_of_merges_leads_to_the_last_number_in_any_order(
    feed: Feed, films: FilmArrivals, database: Database, make_film: Callable[..., bytes], at: datetime
) -> None:
    feed.receive(merge("4712", "4713"), at=at)
    feed.receive(merge("4711", "4712"), at=at)
    films.receive(make_film(), source="c-store", at=at)
    assert _films_of(database, "4713") != []


def test_other_events_of_a_registration_feed_are_acknowledged(feed: Feed, at: datetime) -> None:
    block = merge("4711", "4712").replace(b"A40^ADT_A39", b"A08^ADT_A01").replace(b"MRG|", b"PV1|")
    assert verdict(feed.receive(block, at=at))[0] == "AA"


_HOSTILE = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@_HOSTILE
@given(data=st.data())
def test_every_block_gets_exactly_one_acknowledgement(feed: Feed, at: datetime, data: st.DataObject) -> None:
    block = bytearray(data.draw(st.sampled_from([oru(), merge("1", "2")])))
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(block) - 1))
        block[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    code, _ = verdict(feed.receive(bytes(block), at=at))
    assert code in {"AA", "AE", "AR", "CA", "CE", "CR"}
