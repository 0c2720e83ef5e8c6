"""The tables of the exchange with archives: what was made for a study, and how far each archive was looked through."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cds.store.tables import Base


class DicomObjectRow(Base):
    """One object that was made of a film and its result.

    fingerprint   of film and result that it says
    revision      counted from 1 for each film
    withdrawn_at  since when it is not valid any more
    """

    __tablename__ = "dicom_object"

    sop_instance_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    film_id: Mapped[str] = mapped_column(ForeignKey("film.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int]
    made_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class WatchedStudyRow(Base):
    """One study that an archive has shown, as it was when its films were fetched.

    said  check sum of whose study the archive said it was, and which
    """

    __tablename__ = "watched_study"

    node: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    study_date: Mapped[str] = mapped_column(String(8), index=True)
    instances: Mapped[int | None]
    said: Mapped[int] = mapped_column(BigInteger)
    fetched_at: Mapped[datetime]
