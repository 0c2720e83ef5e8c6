"""The ledger of follow-ups and the latest assessment of each patient.

A subject is who an assessment is about: "system|value" of an identifier, or "server|Patient/id" where there is none.
A patient may be known by several; what is kept stays with the one it was first kept under.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, select, union
from sqlalchemy.orm import Session

from cds.store.tables import AssessmentRow, FilmRow, FollowUpRow, ReportRow
from fusion.assessment import Assessment, FollowUp, OpenFollowUp

_OPEN = ("open", "overdue")
_OPEN_OF = select(FollowUpRow).where(FollowUpRow.subject == bindparam("subject"), FollowUpRow.state.in_(_OPEN))
_KEPT = select(
    AssessmentRow.case_id,
    AssessmentRow.film_id,
    AssessmentRow.report_id,
    AssessmentRow.assessed_at,
    AssessmentRow.assessment,
).where(AssessmentRow.subject == bindparam("subject"))


@dataclass(frozen=True)
class Case:
    """The latest assessment of one subject and what it rested on."""

    case_id: str
    subject: str
    film_id: str | None
    report_id: str | None
    assessment: Assessment
    assessed_at: datetime


@dataclass(frozen=True)
class OverdueFollowUp:
    """An open entry of the ledger whose date has passed."""

    subject: str
    due_to: date
    follow_up: FollowUp


def subject_in_use(session: Session, candidates: Sequence[str]) -> str:
    """Return the first of a patient's subjects under which something is kept, else the first."""
    if len(candidates) == 1:
        return candidates[0]
    kept = set(
        session.scalars(
            union(
                select(AssessmentRow.subject).where(AssessmentRow.subject.in_(candidates)),
                select(FollowUpRow.subject).where(FollowUpRow.subject.in_(candidates)),
            )
        )
    )
    return next((subject for subject in candidates if subject in kept), candidates[0])


def subject_of(row: FilmRow | ReportRow) -> str | None:
    """Return whose film or report it is; None where its identifier has no issuer."""
    if row.identifier_system is None or row.identifier_value is None:
        return None
    return f"{row.identifier_system}|{row.identifier_value}"


def open_follow_ups(session: Session, subject: str) -> tuple[OpenFollowUp, ...]:
    """Return what is open for a subject, as `fusion.assess` takes it."""
    rows = session.scalars(_OPEN_OF, {"subject": subject})
    return tuple(_open(row, FollowUp.model_validate(row.follow_up)) for row in rows)


def kept_case(
    session: Session, subject: str, assessment: Assessment, *, film_id: str | None, report_id: str | None, at: datetime
) -> str | None:
    """Return the id of the subject's case when storing this assessment would add nothing.

    That is so when the kept one says the same of the same film and report, or is of a later time.
    """
    row = session.execute(_KEPT, {"subject": subject}).one_or_none()
    if row is None:
        return None
    same = (row.film_id, row.report_id) == (film_id, report_id) and _content(row.assessment) == _content(
        assessment.model_dump(mode="json")
    )
    return str(row.case_id) if same or row.assessed_at > at else None


def store_case(
    session: Session,
    subject: str,
    assessment: Assessment,
    *,
    film_id: str | None,
    report_id: str | None,
    at: datetime,
) -> str:
    """Keep an assessment as the latest of its subject, bring the ledger up to date, and return the case id."""
    row = session.get(AssessmentRow, subject)
    if row is None:
        row = AssessmentRow(subject=subject, case_id=str(uuid.uuid4()))
        session.add(row)
    row.film_id, row.report_id, row.assessed_at = film_id, report_id, at
    row.assessment = assessment.model_dump(mode="json")
    _update_ledger(session, subject, assessment.follow_ups, at)
    return row.case_id


def case_by_id(session: Session, case_id: str) -> Case | None:
    row = session.scalar(select(AssessmentRow).where(AssessmentRow.case_id == case_id))
    return None if row is None else _case(row)


def cases_of_films(session: Session, film_ids: Sequence[str]) -> dict[str, Case]:
    """Return the case that rests on each film, where there is one."""
    rows = session.scalars(select(AssessmentRow).where(AssessmentRow.film_id.in_(film_ids)))
    return {row.film_id: _case(row) for row in rows if row.film_id is not None}


def cases_of_subjects(session: Session, subjects: Sequence[str]) -> dict[str, str]:
    """Return subject -> id of its case, where there is one."""
    rows = session.scalars(select(AssessmentRow).where(AssessmentRow.subject.in_(subjects)))
    return {row.subject: row.case_id for row in rows}


def overdue_follow_ups(session: Session, today: date) -> list[OverdueFollowUp]:
    """Return the open follow-ups whose date has passed, the longest overdue first."""
    rows = session.scalars(
        select(FollowUpRow)
        .where(FollowUpRow.state.in_(_OPEN), FollowUpRow.due_to < today)
        .order_by(FollowUpRow.due_to, FollowUpRow.subject)
    )
    return [
        OverdueFollowUp(row.subject, row.due_to, FollowUp.model_validate(row.follow_up))
        for row in rows
        if row.due_to is not None
    ]


def _update_ledger(session: Session, subject: str, follow_ups: Sequence[FollowUp], at: datetime) -> None:
    known = {row.key: row for row in session.scalars(select(FollowUpRow).where(FollowUpRow.subject == subject))}
    for follow_up in follow_ups:
        row = known.get(follow_up.key)
        state = {"open": "open", "keep": "open", "overdue": "overdue", "close": "closed"}[follow_up.action]
        if row is None:
            if state == "closed":
                continue
            row = FollowUpRow(id=str(uuid.uuid4()), subject=subject, key=follow_up.key, state="new")
            session.add(row)
        entry = follow_up.model_dump(mode="json")
        if row.state == state and row.follow_up == entry:
            continue
        if row.state in ("new", "closed"):
            row.opened_on = at.date()
        row.state, row.changed_at, row.due_to, row.follow_up = state, at, follow_up.due_to, entry
        row.closed_reason = follow_up.reason if state == "closed" else None


def _content(assessment: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in assessment.items() if name != "at"}


def _open(row: FollowUpRow, follow_up: FollowUp) -> OpenFollowUp:
    return OpenFollowUp(
        key=row.key,
        rule_id=follow_up.rule_id,
        finding=follow_up.finding,
        summary=follow_up.summary,
        orderables=follow_up.orderables,
        opened_on=row.opened_on,
        due_from=follow_up.due_from,
        due_to=follow_up.due_to,
    )


def _case(row: AssessmentRow) -> Case:
    return Case(
        row.case_id, row.subject, row.film_id, row.report_id, Assessment.model_validate(row.assessment), row.assessed_at
    )
