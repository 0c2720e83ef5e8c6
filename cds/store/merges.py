"""Record numbers that were merged: which numbers of an issuer are the same person.

Kept beside what arrived, which stays as it came: a merge that was itself corrected leaves nothing behind, and it does
not matter whether a film, a report or the merge comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, or_, select, tuple_
from sqlalchemy.orm import Session

from cds.store.exchange_tables import PatientMergeRow

_LONGEST_CHAIN = 32
_WANTED: BindParameter[Any] = bindparam("wanted", expanding=True)
_MERGES = select(PatientMergeRow.system, PatientMergeRow.old, PatientMergeRow.new).where(
    or_(
        tuple_(PatientMergeRow.system, PatientMergeRow.old).in_(_WANTED),
        tuple_(PatientMergeRow.system, PatientMergeRow.new).in_(_WANTED),
    )
)


def add_merge(session: Session, system: str, old: str, new: str, *, at: datetime) -> None:
    """Keep that `old` is now `new`; of two merges of the same number the later one holds, whatever came first."""
    row = session.get(PatientMergeRow, (system, old))
    if row is None:
        session.add(PatientMergeRow(system=system, old=old, new=new, merged_at=at))
        session.flush()
    elif (row.merged_at, row.new) < (at, new):
        row.new, row.merged_at = new, at


def with_merged(session: Session, identifiers: Iterable[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    """Return (system, value) identifiers with every other number that a merge says is the same person."""
    known = set(identifiers)
    frontier = known
    for _ in range(_LONGEST_CHAIN):
        if not frontier:
            break
        rows = session.execute(_MERGES, {"wanted": list(frontier)}).all()
        frontier = {(row.system, value) for row in rows for value in (row.old, row.new)} - known
        known |= frontier
    return frozenset(known)
