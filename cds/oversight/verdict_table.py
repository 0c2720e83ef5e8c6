"""Verdicts as a table for retraining and monitoring: one row per word said, the oldest first, without identity.

`patient` groups the films of one patient within one export, so that training and test can be kept apart by patient; it
is a hash under a key that is thrown away, so it leads nowhere and differs from export to export.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import IO

from sqlalchemy import select
from sqlalchemy.orm import Session

from cds.store.tables import FilmRow, ImagingResultRow, VerdictRow

COLUMNS = (
    "said_at", "said_by", "film", "image_sha256", "patient", "population", "view", "finding", "verdict", "present",
    "score", "label", "regions", "model", "model_version", "model_sha256",
)  # fmt: skip


def export_verdicts(session: Session, out: IO[str], *, since: datetime | None = None) -> int:
    """Write the table as CSV and return how many rows it has.

    present  whether the person sees the finding: 1, 0, or empty where they could not tell or nothing was labelled
    regions  JSON list of boxes in fractions of the film, where the person drew some
    """
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in _rows(session, since):
        writer.writerow(row)
        count += 1
    return count


def _rows(session: Session, since: datetime | None) -> Iterator[dict[str, object]]:
    key = secrets.token_bytes(32)
    query = (
        select(VerdictRow, FilmRow, ImagingResultRow.result["population"], ImagingResultRow.result["view"])
        .join(FilmRow, FilmRow.id == VerdictRow.film_id)
        .outerjoin(ImagingResultRow, ImagingResultRow.film_id == VerdictRow.film_id)
        .order_by(VerdictRow.said_at)
    )
    if since is not None:
        query = query.where(VerdictRow.said_at >= since)
    for said, film, population, view in session.execute(query):
        yield {
            "said_at": said.said_at.isoformat(),
            "said_by": said.said_by,
            "film": film.id,
            "image_sha256": film.sha256,
            "patient": _group(key, film),
            "population": population or "",
            "view": view or "",
            "finding": said.finding,
            "verdict": said.verdict,
            "present": _present(said),
            "score": said.score,
            "label": "" if said.label is None else int(said.label),
            "regions": json.dumps(said.regions) if said.regions else "",
            "model": said.model,
            "model_version": said.model_version,
            "model_sha256": said.model_sha256,
        }


def _group(key: bytes, film: FilmRow) -> str:
    """Return the patient's group; a film without identifier is a group of its own."""
    named = film.identifier_value is not None
    subject = f"{film.identifier_system}|{film.identifier_value}" if named else f"film|{film.id}"
    return hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()[:16]


def _present(said: VerdictRow) -> int | str:
    if said.verdict == "corrected":
        return 1
    if said.label is None or said.verdict == "not_assessable":
        return ""
    return int(said.label is (said.verdict == "agree"))
