"""What people say of findings: appended, never changed, each with the model and the score it is about."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.orm import Session

from cds.store.tables import VerdictRow
from vision.result import Box, Finding

Verdict = Literal["agree", "disagree", "corrected", "not_assessable"]
_OF_FILM = select(VerdictRow).where(VerdictRow.film_id == bindparam("film_id")).order_by(VerdictRow.said_at)


@dataclass(frozen=True)
class SaidVerdict:
    """One verdict as it is kept.

    verdict  of the film's result: right; wrong; there, but elsewhere (`regions` says where); or not to be told
    regions  where the person says the finding lies; only of a corrected one
    """

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
    regions: tuple[Box, ...] = ()


def add_verdict(
    session: Session,
    film_id: str,
    finding: Finding,
    verdict: Verdict,
    *,
    said_by: str,
    at: datetime,
    regions: Sequence[Box] = (),
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
        regions=[box.model_dump() for box in regions] or None,
        said_at=at,
    )
    session.add(row)
    return _said(row)


def verdicts_of_film(session: Session, film_id: str) -> dict[str, SaidVerdict]:
    """Return the last word on each finding of a film."""
    return {row.finding: _said(row) for row in session.scalars(_OF_FILM, {"film_id": film_id})}


def judged(session: Session, film_ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return film -> the findings on which someone has said something."""
    found: dict[str, set[str]] = {}
    rows = session.execute(
        select(VerdictRow.film_id, VerdictRow.finding).where(VerdictRow.film_id.in_(film_ids)).distinct()
    )
    for film_id, finding in rows:
        found.setdefault(film_id, set()).add(finding)
    return {film_id: frozenset(findings) for film_id, findings in found.items()}


def recent_verdicts(
    session: Session, *, limit: int, before: datetime | None = None, after: tuple[datetime, str] | None = None
) -> list[SaidVerdict]:
    """Return verdicts, the newest first; `after`, time and id of the verdict that the listing goes on after."""
    query = select(VerdictRow).order_by(VerdictRow.said_at.desc(), VerdictRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(VerdictRow.said_at < before)
    if after is not None:
        query = query.where(tuple_(VerdictRow.said_at, VerdictRow.id) < tuple_(*after))
    return [_said(row) for row in session.scalars(query)]


def _said(row: VerdictRow) -> SaidVerdict:
    kept = {name: getattr(row, name) for name in SaidVerdict.__dataclass_fields__}
    return SaidVerdict(**{**kept, "regions": tuple(map(Box.model_validate, row.regions or ()))})
