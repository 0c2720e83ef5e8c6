"""A person says whose a film or report is, where identifiers, birth date or sex left it open.

The decision is kept with what the item said of itself before, and can be taken back by another. From then on the item
is the patient's in every join; birth date and sex that would contradict are set aside. What was sent back into the
study of a film that turns out to be another patient's is withdrawn.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.errors import NotAcceptedError, NotFoundError
from cds.jobs.queue import enqueue
from cds.site.configuration import IdentityTable
from cds.store.exchange_tables import IdentityDecisionRow
from cds.store.tables import FilmRow, ReportRow

ItemKind = Literal["film", "report"]
_OF_IDENTITY = ("identifier_system", "identifier_value", "birth_date", "sex")


@dataclass(frozen=True)
class Unresolved:
    """A film or report that says of no patient known here whose it is."""

    kind: ItemKind
    id: str
    accession: str | None
    received_at: datetime


@dataclass(frozen=True)
class Decision:
    """What a person decided, and what the item had said."""

    id: str
    kind: ItemKind
    item_id: str
    identifier_system: str
    identifier_value: str
    was: dict[str, Any]
    decided_by: str
    reason: str
    decided_at: datetime


def unresolved(session: Session, *, limit: int = 200) -> list[Unresolved]:
    """Return the current films and reports without an issuer that is known here, the newest first."""
    found: list[Unresolved] = []
    for kind, table in _TABLES.items():
        query = (
            select(table)
            .where(table.superseded_by.is_(None), table.identifier_system.is_(None))
            .order_by(table.received_at.desc())
            .limit(limit)
        )
        found += [Unresolved(kind, row.id, row.accession, row.received_at) for row in session.scalars(query)]
    return sorted(found, key=lambda item: item.received_at, reverse=True)[:limit]


def confirm_identity(
    session: Session,
    kind: ItemKind,
    item_id: str,
    identifier: tuple[str, str],
    identity: IdentityTable,
    *,
    by: str,
    reason: str,
    at: datetime,
) -> Decision:
    """Take a film or report for a patient's, because a person says so.

    identifier  (system, value) of the patient, of an issuer that is configured

    Raises NotFoundError without such an item, NotAcceptedError for an issuer that is not configured.
    """
    row: FilmRow | ReportRow | None = session.get(_TABLES[kind], item_id)
    if row is None:
        raise NotFoundError(f"no such {kind}")
    system, value = identifier
    if identity.for_system(system) is None or not value:
        raise NotAcceptedError("issuer_unknown", "the identifier's system is no issuer of identity.yaml")
    was = {name: _plain(getattr(row, name)) for name in _OF_IDENTITY}
    decision = Decision(str(uuid.uuid4()), kind, item_id, system, value, was, by, reason, at)
    session.add(IdentityDecisionRow(**asdict(decision)))
    row.identifier_system, row.identifier_value = system, value
    row.birth_date = row.sex = None
    if is_anothers(session, row):
        enqueue(session, "withdraw_objects", item_id, at=at)
    return decision


def is_anothers(session: Session, row: FilmRow | ReportRow) -> bool:
    """Return whether a person gave a film to another patient than its header names: it lies in the wrong study."""
    decisions = decisions_on(session, row.id) if isinstance(row, FilmRow) else []
    if not decisions:
        return False
    named = tuple(decisions[0].was[name] for name in ("identifier_system", "identifier_value"))
    return named[0] is not None and named != (row.identifier_system, row.identifier_value)


def decisions_on(session: Session, item_id: str) -> list[Decision]:
    """Return what was decided on an item, in order."""
    query = select(IdentityDecisionRow).where(IdentityDecisionRow.item_id == item_id)
    rows = session.scalars(query.order_by(IdentityDecisionRow.decided_at))
    return [Decision(**{name: getattr(row, name) for name in Decision.__dataclass_fields__}) for row in rows]


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


_TABLES: dict[ItemKind, Any] = {"film": FilmRow, "report": ReportRow}
