"""The tables of what is exchanged with other systems: who a patient is to them, what they are told, what they asked."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cds.store.tables import Base


class PatientRow(Base):
    """What the record says of a subject, to contradict a wrong join where no record is at hand."""

    __tablename__ = "patient"

    subject: Mapped[str] = mapped_column(String(600), primary_key=True)
    birth_date: Mapped[date | None]
    sex: Mapped[str | None] = mapped_column(String(16))
    seen_at: Mapped[datetime]


class PatientAliasRow(Base):
    """One of the names of a subject: "system|value", or "server|Patient/id" with the id by itself."""

    __tablename__ = "patient_alias"

    alias: Mapped[str] = mapped_column(String(600), primary_key=True)
    subject: Mapped[str] = mapped_column(ForeignKey("patient.subject"), index=True)
    fhir_id: Mapped[str | None] = mapped_column(String(255), index=True)


class PatientMergeRow(Base):
    """That a record number was merged into another of the same issuer, at the time of the sender's event."""

    __tablename__ = "patient_merge"

    system: Mapped[str] = mapped_column(String(255), primary_key=True)
    old: Mapped[str] = mapped_column(String(255), primary_key=True)
    new: Mapped[str] = mapped_column(String(255), index=True)
    merged_at: Mapped[datetime]


class IdentityDecisionRow(Base):
    """That a person said whose a film or report is; rows are added and never changed.

    kind  film or report
    was   what it said of itself before: identifier, birth date, sex
    """

    __tablename__ = "identity_decision"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    item_id: Mapped[str] = mapped_column(String(36), index=True)
    identifier_system: Mapped[str] = mapped_column(String(255))
    identifier_value: Mapped[str] = mapped_column(String(255))
    was: Mapped[dict[str, Any]]
    decided_by: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime]


class EventRow(Base):
    """That a result was stored, as other systems are told of it.

    type   film.analysed, film.rejected or report.extracted
    """

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_at", "at", "id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    item_id: Mapped[str] = mapped_column(String(36))
    at: Mapped[datetime]


class SubscriptionRow(Base):
    """Who is told of results, where, and with which secret the message is signed."""

    __tablename__ = "subscription"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client: Mapped[str] = mapped_column(String(255), index=True)
    url: Mapped[str] = mapped_column(String(2048))
    events: Mapped[dict[str, Any]]
    secret: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]


class IdempotencyRow(Base):
    """The answer to a request that carried an Idempotency-Key, for a repeat of the same request."""

    __tablename__ = "idempotency_key"

    client: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int]
    media_type: Mapped[str] = mapped_column(String(255))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    stored_at: Mapped[datetime] = mapped_column(index=True)
