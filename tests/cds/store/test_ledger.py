"""Cases and the ledger of follow-ups: one case for each subject, each follow-up opened and closed once."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from cds.store import Database
from cds.store.ledger import case_by_id, kept_case, open_follow_ups, store_case, subject_in_use
from cds.store.tables import FollowUpRow
from fusion import Assessment, FollowUp, Suggestion


def _assessment(at: datetime, *follow_ups: FollowUp) -> Assessment:
    return Assessment(at=at, follow_ups=follow_ups)


def _follow_up(action: str, **more: Any) -> FollowUp:
    return FollowUp(
        key="nodule-ct",
        action=action,  # type: ignore[arg-type]
        source="rule",
        rule_id="nodule",
        rule_version="1",
        summary="CT of the nodule",
        severity="warning",
        orderables=("ct_chest_without_contrast",),
        suggestions=(Suggestion(orderable="ct_chest_without_contrast", text="CT"),),
        due_to=date(2026, 6, 1),
        citation="c",
        **more,
    )


def _store(database: Database, assessment: Assessment, at: datetime, subject: str = "s|1") -> str:
    with database.writing() as session:
        return store_case(session, subject, assessment, film_id=None, report_id=None, at=at)


def test_a_case_keeps_its_id_and_holds_the_latest_assessment(database: Database, at: datetime) -> None:
    first = _store(database, _assessment(at), at)
    later = at + timedelta(hours=1)
    assert _store(database, _assessment(later, _follow_up("open")), later) == first
    with database.reading() as session:
        case = case_by_id(session, first)
    assert case is not None
    assert case.assessment.follow_ups[0].key == "nodule-ct"


def test_an_assessment_that_says_nothing_new_or_is_older_need_not_be_stored(database: Database, at: datetime) -> None:
    case_id = _store(database, _assessment(at), at)
    later, earlier = at + timedelta(hours=1), at - timedelta(days=1)
    with database.reading() as session:

        def kept(assessment: Assessment, when: datetime, film: str | None = None) -> str | None:
            return kept_case(session, "s|1", assessment, film_id=film, report_id=None, at=when)

        assert kept(_assessment(later), later) == case_id
        assert kept(_assessment(earlier, _follow_up("open")), earlier) == case_id
        assert kept(_assessment(later, _follow_up("open")), later) is None
        assert kept(_assessment(later), later, film="another") is None
        assert kept_case(session, "s|2", _assessment(at), film_id=None, report_id=None, at=at) is None


def test_the_ledger_opens_keeps_closes_and_opens_anew(database: Database, at: datetime) -> None:
    def opened() -> list[date]:
        with database.reading() as session:
            return [entry.opened_on for entry in open_follow_ups(session, "s|1")]

    _store(database, _assessment(at, _follow_up("close", reason="done")), at)
    assert opened() == []
    _store(database, _assessment(at, _follow_up("open")), at)
    later = at + timedelta(days=3)
    _store(database, _assessment(later, _follow_up("keep")), later)
    assert opened() == [at.date()]
    _store(database, _assessment(later, _follow_up("overdue")), later)
    assert opened() == [at.date()]
    _store(database, _assessment(later, _follow_up("close", reason="CT done")), later)
    assert opened() == []
    with database.reading() as session:
        assert session.query(FollowUpRow).one().closed_reason == "CT done"
    _store(database, _assessment(later, _follow_up("open")), later)
    assert opened() == [later.date()]


def test_an_open_follow_up_names_every_step_that_would_close_it(database: Database, at: datetime) -> None:
    _store(database, _assessment(at, _follow_up("open")), at)
    with database.reading() as session:
        (entry,) = open_follow_ups(session, "s|1")
    assert entry.orderables == ("ct_chest_without_contrast",)
    assert entry.due_to == date(2026, 6, 1)


def test_what_is_kept_stays_with_the_subject_it_was_first_kept_under(database: Database, at: datetime) -> None:
    _store(database, _assessment(at), at, subject="z|1")
    with database.reading() as session:
        assert subject_in_use(session, ["a|1", "z|1"]) == "z|1"
        assert subject_in_use(session, ["a|1", "b|1"]) == "a|1"


def test_the_database_file_can_be_read_by_plain_sqlite(database: Database, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "data" / "roentgen.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
