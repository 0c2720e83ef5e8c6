"""What people say of findings: appended, never changed, each with the model and the score it is about."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.store.tables import VerdictRow
from vision.result import Finding

Verdict = Literal["agree", "disagree", "not_assessable"]


@dataclass(frozen=True)
class SaidVerdict:
    """One verdict as it is kept."""

    id: str
    film_id: str
    finding: str
    verdict: str
    said_by: str
    score: float
    label: bool | None
    model: str
    model_version: str
    model_sha256: str
    said_at: datetime


def add_verdict(
    session: Session, film_id: str, finding: Finding, verdict: Verdict, *, said_by: str, at: datetime
) -> SaidVerdict:
    """Append what someone said of a finding; a later word of the same person stands beside the earlier one."""
    row = VerdictRow(
        id=str(uuid.uuid4()),
        film_id=film_id,
        finding=finding.key,
        verdict=verdict,
        said_by=said_by,
        score=finding.score,
        label=finding.label,
        model=finding.model.id,
        model_version=finding.model.version,
        model_sha256=finding.model.sha256,
        said_at=at,
    )
    session.add(row)
    return _said(row)


def verdicts_of_film(session: Session, film_id: str) -> dict[str, SaidVerdict]:
    """Return the last word on each finding of a film."""
    rows = session.scalars(select(VerdictRow).where(VerdictRow.film_id == film_id).order_by(VerdictRow.said_at))
    return {row.finding: _said(row) for row in rows}


def recent_verdicts(session: Session, *, limit: int, before: datetime | None = None) -> list[SaidVerdict]:
    """Return verdicts, the newest first."""
    query = select(VerdictRow).order_by(VerdictRow.said_at.desc()).limit(limit)
    if before is not None:
        query = query.where(VerdictRow.said_at < before)
    return [_said(row) for row in session.scalars(query)]


def _said(row: VerdictRow) -> SaidVerdict:
    return SaidVerdict(**{name: getattr(row, name) for name in SaidVerdict.__dataclass_fields__})
