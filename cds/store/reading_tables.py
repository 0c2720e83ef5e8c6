"""The tables of the reading room: what happened to a film there, and second opinions. Rows of events never change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cds.store.tables import Base


class ReadingEventRow(Base):
    """One thing that a person did in the reading room: rows are added and never changed.

    kind     opened, read, reopened, priority or told (`cds.store.reading`)
    finding  the critical result that was told
    detail   what else belongs to the kind, such as the level and the reason of a priority
    """

    __tablename__ = "reading_event"
    __table_args__ = (Index("ix_reading_event_film_id_kind", "film_id", "kind"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    film_id: Mapped[str | None] = mapped_column(ForeignKey("film.id"))
    report_id: Mapped[str | None] = mapped_column(ForeignKey("report.id"), index=True)
    finding: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]]
    said_by: Mapped[str] = mapped_column(String(255))
    said_at: Mapped[datetime] = mapped_column(index=True)


class SecondOpinionRow(Base):
    """A question to a remote reader about one film, and the answer once it is there.

    question  as it was sent: without the patient in it
    report    text that went along, without the patient in it
    """

    __tablename__ = "second_opinion"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("film.id"), index=True)
    question: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(String(255))
    asked_at: Mapped[datetime] = mapped_column(index=True)
    report: Mapped[str | None] = mapped_column(Text)
    reply: Mapped[str | None] = mapped_column(Text)
    replied_by: Mapped[str | None] = mapped_column(String(255))
    replied_at: Mapped[datetime | None]
