"""The table of who is who in projects of de-identified data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from cds.store.tables import Base


class PseudonymRow(Base):
    """Whom a pseudonym stands for: "issuer|number" of a film's header."""

    __tablename__ = "pseudonym"

    project: Mapped[str] = mapped_column(String(40), primary_key=True)
    pseudonym: Mapped[str] = mapped_column(String(16), primary_key=True)
    identity: Mapped[str] = mapped_column(String(600))
    made_at: Mapped[datetime]
