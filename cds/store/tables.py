"""The tables of the store. Times are UTC; results are the JSON of the packages' result types.

No name of a patient is stored; identity is (system, value) with birth date and sex to contradict it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class UtcTime(TypeDecorator[datetime]):
    """Aware times, stored as UTC; refuses naive ones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None else None


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, date: Date, dict[str, Any]: JSON}  # noqa: RUF012


class FilmRow(Base):
    """One version of one DICOM instance as it arrived."""

    __tablename__ = "film"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "sha256"),
        Index("ix_film_identifier", "identifier_system", "identifier_value"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    identifier_system: Mapped[str | None] = mapped_column(String(255))
    identifier_value: Mapped[str | None] = mapped_column(String(255))
    accession_system: Mapped[str | None] = mapped_column(String(255))
    accession: Mapped[str | None] = mapped_column(String(64), index=True)
    birth_date: Mapped[date | None]
    sex: Mapped[str | None] = mapped_column(String(8))
    taken_at: Mapped[datetime | None]
    source: Mapped[str] = mapped_column(String(32))
    received_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(16))
    superseded_by: Mapped[str | None] = mapped_column(ForeignKey("film.id"))


class ImagingResultRow(Base):
    """The one result of one film."""

    __tablename__ = "imaging_result"

    film_id: Mapped[str] = mapped_column(ForeignKey("film.id"), primary_key=True)
    result: Mapped[dict[str, Any]]
    rejected: Mapped[str | None] = mapped_column(String(64))
    stored_at: Mapped[datetime]


class ReportRow(Base):
    """One version of one radiology report as it arrived."""

    __tablename__ = "report"
    __table_args__ = (
        Index("ix_report_versions", "source", "source_id"),
        Index("ix_report_identifier", "identifier_system", "identifier_value"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    source: Mapped[str] = mapped_column(String(64))
    source_id: Mapped[str] = mapped_column(String(600))
    sha256: Mapped[str] = mapped_column(String(64))
    identifier_system: Mapped[str | None] = mapped_column(String(255))
    identifier_value: Mapped[str | None] = mapped_column(String(255))
    accession_system: Mapped[str | None] = mapped_column(String(255))
    accession: Mapped[str | None] = mapped_column(String(64), index=True)
    study_instance_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    birth_date: Mapped[date | None]
    sex: Mapped[str | None] = mapped_column(String(8))
    status: Mapped[str] = mapped_column(String(16))
    issued_at: Mapped[datetime]
    exam: Mapped[str | None] = mapped_column(String(255))
    received_at: Mapped[datetime]
    superseded_by: Mapped[str | None] = mapped_column(ForeignKey("report.id"))


class ReportResultRow(Base):
    """The one structured report of one report."""

    __tablename__ = "report_result"

    report_id: Mapped[str] = mapped_column(ForeignKey("report.id"), primary_key=True)
    result: Mapped[dict[str, Any]]
    stored_at: Mapped[datetime]


class JobRow(Base):
    """Work to do once: leased by a worker, done when its result is stored or, with a destination, delivered."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("kind", "subject_id", "destination"),
        Index("ix_job_due", "state", "kind", "due_at"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject_id: Mapped[str] = mapped_column(String(64))
    destination: Mapped[str] = mapped_column(String(64), default="", server_default="")
    state: Mapped[str] = mapped_column(String(16))
    due_at: Mapped[datetime]
    leased_by: Mapped[str | None] = mapped_column(String(128))
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class AssessmentRow(Base):
    """The latest assessment of one patient, as a case page shows it."""

    __tablename__ = "assessment"

    subject: Mapped[str] = mapped_column(String(600), primary_key=True)
    case_id: Mapped[str] = mapped_column(String(36), unique=True)
    film_id: Mapped[str | None] = mapped_column(ForeignKey("film.id"), index=True)
    report_id: Mapped[str | None] = mapped_column(ForeignKey("report.id"))
    assessment: Mapped[dict[str, Any]]
    assessed_at: Mapped[datetime]


class FollowUpRow(Base):
    """An entry of the ledger of follow-ups."""

    __tablename__ = "follow_up"
    __table_args__ = (UniqueConstraint("subject", "key"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    subject: Mapped[str] = mapped_column(String(600), index=True)
    key: Mapped[str] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(16))
    follow_up: Mapped[dict[str, Any]]
    opened_on: Mapped[date]
    due_to: Mapped[date | None] = mapped_column(index=True)
    closed_reason: Mapped[str | None] = mapped_column(Text)
    changed_at: Mapped[datetime]


class CardRow(Base):
    """A card that was returned, so that feedback can be tied to its rule and models.

    key   what the card says of its subject, the same whenever it says it again
    role  of the user it was for: the type of resource, or the site's name for it
    """

    __tablename__ = "card"

    uuid: Mapped[str] = mapped_column(String(36), primary_key=True)
    service: Mapped[str] = mapped_column(String(64), index=True)
    hook: Mapped[str] = mapped_column(String(32))
    hook_instance: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(600), index=True)
    encounter: Mapped[str | None] = mapped_column(String(255))
    key: Mapped[str] = mapped_column(String(64))
    rule_id: Mapped[str] = mapped_column(String(128), index=True)
    rule_version: Mapped[str] = mapped_column(String(32))
    models: Mapped[dict[str, Any]]
    indicator: Mapped[str] = mapped_column(String(16))
    role: Mapped[str | None] = mapped_column(String(64))
    silent: Mapped[bool] = mapped_column(default=False)
    shown_at: Mapped[datetime]


class FeedbackRow(Base):
    """What became of a card; the same feedback sent twice is one row."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("card_uuid", "outcome", "outcome_timestamp"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    card_uuid: Mapped[str] = mapped_column(String(36), index=True)
    service: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    outcome_timestamp: Mapped[datetime]
    detail: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]


class VerdictRow(Base):
    """What a person said of one finding of one film; rows are added and never changed.

    said_by  the client whose key was used
    score    of the finding when it was judged, with the model that gave it
    regions  boxes in fractions of the film, where the person says the finding lies; None unless corrected
    """

    __tablename__ = "verdict"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("film.id"), index=True)
    finding: Mapped[str] = mapped_column(String(64))
    verdict: Mapped[str] = mapped_column(String(16))
    said_by: Mapped[str] = mapped_column(String(255))
    score: Mapped[float] = mapped_column(Float)
    label: Mapped[bool | None]
    model: Mapped[str] = mapped_column(String(64))
    model_version: Mapped[str] = mapped_column(String(32))
    model_sha256: Mapped[str] = mapped_column(String(64))
    regions: Mapped[list[dict[str, float]] | None] = mapped_column(JSON(none_as_null=True))
    said_at: Mapped[datetime] = mapped_column(index=True)


class ReplayRow(Base):
    """Token ids already seen, until they expire."""

    __tablename__ = "token_seen"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    jti: Mapped[str] = mapped_column(String(255), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)
