"""Results on their way back: objects are made of a film when its study is complete, and queued for every archive.

What the site's gates hold back is left out until a person's verdict lets it go; a correction or a verdict makes a new
revision, and a note that takes the earlier one back. Objects are kept, so that what is sent again is the same.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pydicom
from pydicom.dataset import Dataset
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.assessing.resolving import is_anothers
from cds.audit import Access, AuditTrail
from cds.dicom.nodes import Node
from cds.dicom.peers import Peer
from cds.errors import DeliveryError, NotYetError
from cds.jobs.queue import Job, enqueue
from cds.outputs import Made, Source, make_objects, withdrawal_of
from cds.site.codes import FindingCodes
from cds.site.gates import Gates
from cds.store import BlobFolder, Database
from cds.store.dicom_objects import last_revision, valid_objects, versions_of, withdraw
from cds.store.films import PRIOR, StoredFilm, film_by_id
from cds.store.pacs_tables import DicomObjectRow
from cds.store.tables import FilmRow, VerdictRow
from cds.store.verdicts import SaidVerdict, verdicts_of_film

_ORDER = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Returning:
    """Makes objects and sends them.

    quiet  how long no film of a study must have come for it to be complete, where nobody says how many there are
    """

    database: Database
    blobs: BlobFolder
    codes: FindingCodes
    gates: Gates
    nodes: Sequence[Node]
    our_title: str
    quiet: timedelta
    audit: AuditTrail

    @property
    def destinations(self) -> Mapping[str, Node]:
        return {node.id: node for node in self.nodes if node.send is not None}

    def analysed(self, session: Session, job: Job, at: datetime) -> None:
        """Queue the making of objects, in the transaction that stores a film's result."""
        if job.kind == "analyse_film" and self.destinations:
            enqueue(session, "make_objects", job.subject_id, at=at)

    def judged(self, session: Session, said: SaidVerdict, at: datetime) -> None:
        """Queue the making of objects anew, in the transaction that keeps a verdict."""
        if self.destinations:
            enqueue(session, "make_objects", said.id, at=at)

    def make(self, job: Job) -> None:
        """Make the objects of a film whose result or verdict the job names, and queue them for every destination.

        Raises NotYetError while films of the study may still come.
        """
        with self.database.reading() as session:
            verdict = session.get(VerdictRow, job.subject_id)
            film = film_by_id(session, verdict.film_id if verdict is not None else job.subject_id)
        if film is None or film.result is None or film.row.source == PRIOR or film.row.superseded_by is not None:
            return
        self._require_complete(film.row)
        with self.database.reading() as session:
            verdicts = verdicts_of_film(session, film.row.id)
            if is_anothers(session, film.row):
                return
            earlier = valid_objects(session, versions_of(session, film.row))
            revision = last_revision(session, film.row.id) + 1
        released = self.gates.released(film.result, verdicts)
        source = Source.of(self.blobs.get(film.row.sha256), released, self.codes, revision=revision)
        if earlier and all(row.fingerprint == source.fingerprint and row.film_id == film.row.id for row in earlier):
            return
        self._keep(film, source, self._made(source, earlier), earlier)

    def withdraw_all(self, job: Job) -> None:
        """Take back everything that was made of the film that the job names: it is another patient's than its study."""
        with self.database.reading() as session:
            film = film_by_id(session, job.subject_id)
            earlier = valid_objects(session, [job.subject_id])
            revision = last_revision(session, job.subject_id) + 1
        if film is None or film.result is None or not earlier:
            return
        source = Source.of(self.blobs.get(film.row.sha256), film.result, self.codes, revision=revision)
        note = Made("withdrawal", withdrawal_of(source, [self._dataset(row) for row in earlier]))
        self._keep(film, source, [note], earlier)

    def send(self, job: Job) -> None:
        """Send one object to its destination. Raises DeliveryError where it did not arrive."""
        node = self.destinations.get(job.destination)
        if node is None:
            raise DeliveryError("the site's configuration has no such destination any more", for_good=True)
        with self.database.reading() as session:
            row = session.get_one(DicomObjectRow, job.subject_id)
        peer = Peer(node, self.our_title)
        data = self.blobs.get(row.sha256)
        self.audit.record(Access(f"dicom:{node.id}", "read", f"send {row.kind}", thing=f"film/{row.film_id}"))
        peer.send(data)
        if node.confirm and node.send == "c-store":
            peer.ask_commitment([(row.sop_class_uid, row.sop_instance_uid)])

    def _made(self, source: Source, earlier: Sequence[DicomObjectRow]) -> list[Made]:
        """Return the new objects, and a note that takes back the earlier ones; notes themselves stand."""
        old = {row.sop_instance_uid: self._dataset(row) for row in earlier if row.kind != "withdrawal"}
        report = next((old[row.sop_instance_uid] for row in earlier if row.kind == "report"), None)
        made = make_objects(source, replaces=report)
        if old:
            made.append(Made("withdrawal", withdrawal_of(source, list(old.values()))))
        return made

    def _keep(self, film: StoredFilm, source: Source, made: Sequence[Made], earlier: Sequence[DicomObjectRow]) -> None:
        """Store objects and queue them, in one transaction that also marks the earlier ones withdrawn."""
        digests = {one.sop_instance_uid: self.blobs.put(one.written()) for one in made}
        at = datetime.now(UTC)
        with self.database.writing() as session:
            withdraw(session, [row for row in earlier if row.kind != "withdrawal"], at=at)
            for number, one in enumerate(made):
                session.add(
                    DicomObjectRow(
                        sop_instance_uid=one.sop_instance_uid,
                        film_id=film.row.id,
                        kind=one.kind,
                        sop_class_uid=str(one.dataset.SOPClassUID),
                        sha256=digests[one.sop_instance_uid],
                        fingerprint=source.fingerprint,
                        revision=source.revision,
                        made_at=at + number * _ORDER,
                        withdrawn_at=at if one.kind == "withdrawal" else None,
                    )
                )
                for destination in self.destinations:
                    enqueue(
                        session,
                        "send_object",
                        one.sop_instance_uid,
                        destination=destination,
                        at=at + number * _ORDER,
                    )

    def _require_complete(self, film: FilmRow) -> None:
        """Raise NotYetError unless all films of the study are here, by their number or by the quiet."""
        with self.database.reading() as session:
            mine = FilmRow.study_instance_uid == film.study_instance_uid
            count = session.scalar(select(func.count(FilmRow.sop_instance_uid.distinct())).where(mine)) or 0
            newest = session.scalar(select(func.max(FilmRow.received_at)).where(mine)) or film.received_at
        quiet_at = newest + self.quiet
        now = datetime.now(UTC)
        if quiet_at > now and count != self._expected(film.study_instance_uid):
            raise NotYetError(min(quiet_at, now + self.quiet))

    def _expected(self, study_uid: str) -> int | None:
        """Return how many instances an archive says the study has; None where none can be asked."""
        for node in self.nodes:
            if node.watch or node.priors:
                try:
                    return Peer(node, self.our_title).instances_in(study_uid)
                except DeliveryError:
                    continue
        return None

    def _dataset(self, row: DicomObjectRow) -> Dataset:
        return pydicom.dcmread(io.BytesIO(self.blobs.get(row.sha256)))
