"""The tables of browsers: those that were led to an authorization server, and those that were let in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cds.store.tables import Base


class CodeRequestRow(Base):
    """A browser on its way to an authorization server and back; its secrets are kept as their sha256.

    nonce      what an ID token must repeat
    return_to  path of the page it came from
    """

    __tablename__ = "code_request"

    state: Mapped[str] = mapped_column(String(64), primary_key=True)
    browser: Mapped[str] = mapped_column(String(64))
    issuer: Mapped[str] = mapped_column(String(2048))
    token_endpoint: Mapped[str] = mapped_column(String(2048))
    verifier: Mapped[str] = mapped_column(String(128))
    nonce: Mapped[str] = mapped_column(String(64))
    return_to: Mapped[str] = mapped_column(String(2048))
    begun_at: Mapped[datetime] = mapped_column(index=True)


class BrowserSessionRow(Base):
    """Who a browser was let in as, and until when.

    client   who it is, as the audit trail names them
    shown    the name people know them by, where the provider said one
    roles    names of roles, a space between
    case_id  the one case that may be read, after a SMART launch
    seen_at  when it was last used
    """

    __tablename__ = "browser_session"

    token: Mapped[str] = mapped_column(String(64), primary_key=True)
    client: Mapped[str] = mapped_column(String(2100))
    shown: Mapped[str | None] = mapped_column(String(128))
    roles: Mapped[str] = mapped_column(String(255))
    case_id: Mapped[str | None] = mapped_column(String(36))
    seen_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
