"""Sessions of browsers that were let in: kept in the store by the sha256 of a token that only a cookie holds.

A session ends at its set time, when it was not used for long, or when the browser signs out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from cds.operating.logs import logger, place_of
from cds.roles import ROLES, Role
from cds.signin.codeflow import digest
from cds.store import Database
from cds.store.browser_tables import BrowserSessionRow

_MOVES_EVERY = timedelta(minutes=1)
_PATIENCE_MS = 250
_log = logger(__name__)


@dataclass(frozen=True)
class BrowserSession:
    """Who a browser was let in as.

    client   who it is, as the audit trail names them
    shown    the name people know them by
    case_id  the one case that may be read, after a SMART launch
    """

    client: str
    shown: str | None
    roles: frozenset[Role]
    case_id: str | None


class BrowserSessions:
    """What browsers hold.

    idle  how long a session may lie unused
    """

    def __init__(self, database: Database, idle: timedelta) -> None:
        self._database = database
        self._idle = idle

    def open(self, session: Session, who: BrowserSession, *, at: datetime, lives: timedelta) -> str:
        """Let a browser in, and return the token it is known by from now on."""
        token = secrets.token_urlsafe(32)
        session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.ends_at < at))
        session.add(
            BrowserSessionRow(
                token=digest(token),
                client=who.client,
                shown=who.shown,
                roles=" ".join(sorted(who.roles)),
                case_id=who.case_id,
                seen_at=at,
                ends_at=at + lives,
            )
        )
        return token

    def of(self, token: str, *, at: datetime, is_use: bool = True) -> BrowserSession | None:
        """Return the session of a token; None when there is none, or none any more.

        is_use  whether a person is at work; what a page asks for by itself keeps no session alive
        """
        with self._database.reading() as session:
            row = session.get(BrowserSessionRow, digest(token))
        if row is None or at >= row.ends_at or at >= row.seen_at + self._idle:
            return None
        if is_use and at >= row.seen_at + _MOVES_EVERY:
            self._move(row.token, at)
        roles = frozenset(name for name in row.roles.split() if name in ROLES)
        return BrowserSession(row.client, row.shown, roles, row.case_id)

    def end(self, token: str) -> None:
        """End a session, if there is one."""
        with self._database.writing() as session:
            session.execute(delete(BrowserSessionRow).where(BrowserSessionRow.token == digest(token)))

    def _move(self, token: str, at: datetime) -> None:
        """Keep that a session is in use; where the store is busy, the next use keeps it."""
        try:
            with self._database.writing(patience_ms=_PATIENCE_MS) as session:
                row = session.get(BrowserSessionRow, token)
                if row is not None:
                    row.seen_at = at
        except OperationalError as error:
            _log.warning("use of a session not kept", **place_of(error))
